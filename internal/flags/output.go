package flags

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/term"
)

// Output is the standard output of a program. It remembers the first write that failed, so
// that one place decides what follows from it, whichever verb has written.
type Output struct {
	w      io.Writer
	failed chan struct{}

	mu  sync.Mutex
	err error
}

// NewOutput returns an Output that writes to w.
func NewOutput(w io.Writer) *Output { return &Output{w: w, failed: make(chan struct{})} }

// Write implements io.Writer. A write is tried also after another one has failed: a disk that
// was full may have room again.
func (o *Output) Write(b []byte) (int, error) {
	n, err := o.w.Write(b)
	if err == nil {
		return n, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = err
		close(o.failed)
	}
	return n, err
}

// Err returns the sentence about the first write that failed; nil if none has.
func (o *Output) Err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		return nil
	}
	cause := o.err
	if path := (*fs.PathError)(nil); errors.As(cause, &path) {
		cause = path.Err
	}
	return fmt.Errorf("cannot write to standard output: %w", cause)
}

// Caused reports whether err is about the write that failed, which Err tells of.
func (o *Output) Caused(err error) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err != nil && errors.Is(err, o.err)
}

// Failed is closed when a write fails.
func (o *Output) Failed() <-chan struct{} { return o.failed }

// Terminal reports whether the output is a terminal.
func (o *Output) Terminal() bool {
	f, ok := o.w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// End returns the exit code of a program that would end with code: a program whose output
// was lost has tell say so, and does not end with 0. Codes over 128 are the ends by a
// signal, which need no explanation.
func (o *Output) End(code int, tell func(lost error)) int {
	lost := o.Err()
	if lost == nil || code > 128 {
		return code
	}
	tell(lost)
	if code == ExitOK {
		return ExitFailure
	}
	return code
}
