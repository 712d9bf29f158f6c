package download

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncAll makes everything durable that was written where work is, and reports whether it
// can: many small files take one wait then, not one each. Since Linux 5.8 it says what failed.
func syncAll(work *os.Root) (bool, error) {
	d, err := work.Open(".")
	if err != nil {
		return true, err
	}
	defer d.Close()
	return true, unix.Syncfs(int(d.Fd()))
}
