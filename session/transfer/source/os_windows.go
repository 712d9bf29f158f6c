package source

import (
	"os"

	"golang.org/x/sys/windows"

	"natter/session/transfer/journal"
)

const nonBlocking = 0

// identify says which file is open, and in which state.
func identify(f *os.File) (journal.SourceFile, error) {
	info, err := f.Stat()
	if err != nil {
		return journal.SourceFile{}, err
	}
	var by windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(windows.Handle(f.Fd()), &by); err != nil {
		return journal.SourceFile{}, err
	}
	index := uint64(by.FileIndexHigh)<<32 | uint64(by.FileIndexLow)
	return journal.SourceFile{Device: uint64(by.VolumeSerialNumber), Inode: index, Size: info.Size(), Modified: info.ModTime()}, nil
}
