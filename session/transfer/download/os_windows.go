package download

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

func free(dir *os.File) (int64, error) {
	path, err := windows.UTF16PtrFromString(dir.Name())
	if err != nil {
		return 0, err
	}
	var mine, all, unused uint64
	if err := windows.GetDiskFreeSpaceEx(path, &mine, &all, &unused); err != nil {
		return 0, err
	}
	return int64(mine), nil
}

func noSpace(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

// ours reports whether something belongs to this user. Windows says it elsewhere, and keeps
// others out of a user's directories.
func ours(fs.FileInfo) bool { return true }
