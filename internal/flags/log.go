package flags

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
)

// LogFile is a log that can be opened again after somebody has moved it away.
type LogFile struct {
	path string

	mu sync.Mutex
	f  *os.File
}

// OpenLog opens a log file, which is made if it is not there.
func OpenLog(path string) (*LogFile, error) {
	l := &LogFile{path: path}
	return l, l.Reopen()
}

// Reopen opens the file under its name anew. If it cannot, the former one stays open.
func (l *LogFile) Reopen() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		var cause *fs.PathError
		if errors.As(err, &cause) {
			err = cause.Err
		}
		return Usagef("cannot write the log file %s: %w", l.path, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f != nil {
		_ = l.f.Close() // what was written is written
	}
	l.f = f
	return nil
}

// Write implements io.Writer.
func (l *LogFile) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Write(b)
}

// Close closes the file.
func (l *LogFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Close()
}

// Level is the slog.Level of a word of --log-level.
func Level(word string) (l slog.Level) {
	_ = l.UnmarshalText([]byte(word)) // the words are slog's
	return l
}

// Logger opens a log file; without one, nothing is logged.
func Logger(file, level string) (*slog.Logger, func(), error) {
	if file == "" {
		return slog.New(slog.DiscardHandler), func() {}, nil
	}
	f, err := OpenLog(file)
	if err != nil {
		return nil, nil, err
	}
	return slog.New(slog.NewTextHandler(io.Writer(f), &slog.HandlerOptions{Level: Level(level)})), func() { _ = f.Close() }, nil
}
