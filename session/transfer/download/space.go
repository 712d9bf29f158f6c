package download

import (
	"errors"
	"fmt"
	"os"

	"natter/internal/private"
	"natter/session/transfer"
)

// margin is how many bytes a transfer leaves free for others.
const margin = 64 << 20

// ErrFull is what errors are about space that is missing.
var ErrFull = errors.New("no space left")

// Reason is why something could not be written, as the other side is told.
func Reason(err error) transfer.Reason {
	if errors.Is(err, ErrFull) || noSpace(err) {
		return transfer.Full
	}
	return transfer.Unkept
}

// room reports an error if there is no room for so many bytes more.
func (t *Transfer) room(more int64) error {
	free, err := t.free(t.root)
	if err != nil {
		return fmt.Errorf("how much space is free in %s: %w", t.root.Name(), err)
	}
	if free-margin < more {
		return private.Errorf(ErrFull, "There is no room in %s: %s more are needed, and %s are free, of which %s are left for others. Make room, or choose another directory.",
			t.root.Name(), inBytes(more), inBytes(free), inBytes(margin))
	}
	return nil
}

// inBytes prints a number of bytes for people.
func inBytes(n int64) string {
	units := []string{"bytes", "KB", "MB", "GB", "TB", "PB"}
	f, i := float64(n), 0
	for ; f >= 1000 && i < len(units)-1; i++ {
		f /= 1000
	}
	if i == 0 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}

// freeIn returns how many bytes this user may still write where a directory is.
func freeIn(root *os.Root) (int64, error) {
	d, err := root.Open(".")
	if err != nil {
		return 0, err
	}
	defer d.Close()
	return free(d)
}
