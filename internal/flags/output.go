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
	w io.Writer

	mu     sync.Mutex
	err    error
	failed func() // what is to be done at the first failure; nil is nothing
}

// NewOutput returns an Output that writes to w.
func NewOutput(w io.Writer) *Output { return &Output{w: w} }

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
		if o.failed != nil {
			o.failed()
		}
	}
	return n, err
}

// OnFailure has failed called once, when a write fails or has failed already. It must not use
// the Output.
func (o *Output) OnFailure(failed func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		failed()
	}
	o.failed = failed
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
