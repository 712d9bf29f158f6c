package direct

import "golang.org/x/sys/unix"

// hostSecret is the random number that the system draws when it starts, which only programs on
// this host can read.
func hostSecret() []byte {
	boot, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return nil
	}
	return []byte(boot)
}
