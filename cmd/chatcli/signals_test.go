//go:build !windows

package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/creack/pty"
)

// TestAttend: the end of a terminal's input is a hang-up if the terminal is gone, also
// when no signal has come; Ctrl-D is none.
func TestAttend(t *testing.T) {
	if signal.Ignored(syscall.SIGHUP) { // by who runs the tests
		heeded := make(chan os.Signal, 1)
		signal.Notify(heeded, syscall.SIGHUP)
		defer signal.Stop(heeded)
	}
	for _, hungUp := range []bool{false, true} {
		us, them, err := pty.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer us.Close()
		defer them.Close()
		ctx, end := context.WithCancelCause(t.Context())
		in := attend(them, end)
		if hungUp {
			err = us.Close()
		} else {
			_, err = us.WriteString("\x04")
		}
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.ReadFull(in, make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("hung up %t: read %d bytes, %v", hungUp, n, err)
		}
		if told := context.Cause(ctx) != nil; told != hungUp {
			t.Errorf("hung up %t: told of it %t", hungUp, told)
		}
		end(context.Canceled)
	}
}
