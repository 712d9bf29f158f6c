package direct

import "os"

// hostSecret is the random number that the kernel draws when it starts, which only programs on
// this host can read, with the network namespace: a container has a loopback of its own.
func hostSecret() []byte {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil
	}
	space, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return nil
	}
	return append(boot, space...)
}
