package embedded

import (
	"errors"
	"strings"

	"golang.org/x/sys/windows"
)

// volume says how much room there is where a directory is. That nothing may be written
// there is found by writing.
func volume(dir string) (free int64, readOnly bool, err error) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, false, err
	}
	var mine, all, unused uint64
	if err := windows.GetDiskFreeSpaceEx(path, &mine, &all, &unused); err != nil {
		return 0, false, err
	}
	return int64(mine), false, nil
}

func noSpace(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || strings.Contains(err.Error(), windows.ERROR_DISK_FULL.Error())
}
