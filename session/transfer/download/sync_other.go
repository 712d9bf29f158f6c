//go:build !linux

package download

import "os"

// syncAll reports that this system has no way to make many files durable at once.
func syncAll(*os.Root) (bool, error) { return false, nil }
