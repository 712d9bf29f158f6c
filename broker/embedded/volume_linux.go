package embedded

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// volume says how much room there is where a directory is, and whether nothing may be
// written there.
func volume(dir string) (free int64, readOnly bool, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, false, err
	}
	return int64(s.Bavail) * int64(s.Bsize), s.Flags&unix.ST_RDONLY != 0, nil
}

func noSpace(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || strings.Contains(err.Error(), unix.ENOSPC.Error())
}
