package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/term"
)

// toldToStop is the cause of a context that a signal has ended.
type toldToStop struct{ signal syscall.Signal }

func (t toldToStop) Error() string { return t.signal.String() }

// code returns the exit code as shells set it.
func (t toldToStop) code() int { return 128 + int(t.signal) }

// signals returns a context that a hang-up, an interrupt or a termination ends, once: a
// second one ends the program. A signal that is ignored, as a hang-up is under nohup, stays so.
// The returned function ends the context for another reason.
func signals(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	told := make(chan os.Signal, 1)
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM} {
		if !signal.Ignored(s) {
			signal.Notify(told, s)
		}
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case s := <-told:
			signal.Stop(told)
			cancel(toldToStop{s.(syscall.Signal)})
		case <-ctx.Done():
			signal.Stop(told)
		}
	}()
	return ctx, func(cause error) {
		cancel(cause)
		<-stopped
	}
}

// attended is a terminal as input. After a hang-up the input ends, perhaps before the signal arrives:
// hungUp is called for both.
type attended struct {
	*os.File
	hungUp context.CancelCauseFunc
}

func (a attended) Read(b []byte) (int, error) {
	n, err := a.File.Read(b)
	if err != nil && (!errors.Is(err, io.EOF) || !term.IsTerminal(int(a.Fd()))) {
		a.hungUp(toldToStop{syscall.SIGHUP})
	}
	return n, err
}

// attend returns in; its end counts as a hang-up if the terminal was hung up and the signal is not
// ignored.
func attend(in io.Reader, hungUp context.CancelCauseFunc) io.Reader {
	if !isTerminal(in) || signal.Ignored(syscall.SIGHUP) {
		return in
	}
	return attended{in.(*os.File), hungUp}
}

// dataDir returns the directory of chatcli's data: $XDG_DATA_HOME/chatcli if that is absolute, or the
// default of the system.
func dataDir(getenv func(string) string, home func() (string, error)) (string, error) {
	if dir := getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "chatcli"), nil
	}
	if dir := getenv("LOCALAPPDATA"); runtime.GOOS == "windows" && dir != "" {
		return filepath.Join(dir, "chatcli"), nil
	}
	dir, err := home()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, ".local", "share", "chatcli"), nil
}
