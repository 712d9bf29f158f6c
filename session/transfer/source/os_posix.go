//go:build !windows

package source

import (
	"errors"
	"os"
	"syscall"

	"natter/session/transfer/journal"
)

const nonBlocking = syscall.O_NONBLOCK

// identify says which file is open, and in which state.
func identify(f *os.File) (journal.SourceFile, error) {
	info, err := f.Stat()
	if err != nil {
		return journal.SourceFile{}, err
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return journal.SourceFile{}, errors.New("the system does not say which file it is")
	}
	return journal.SourceFile{Device: uint64(s.Dev), Inode: uint64(s.Ino), Size: info.Size(), Modified: info.ModTime()}, nil
}
