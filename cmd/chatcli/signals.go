package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
)

// toldToStop is the cause of the end when a signal was.
type toldToStop struct{ signal syscall.Signal }

func (t toldToStop) Error() string { return t.signal.String() }

// code is the exit code as shells know it.
func (t toldToStop) code() int { return 128 + int(t.signal) }

// signals returns a context that a hang-up, an interrupt or a termination ends, once: a
// second one ends the program. A hang-up that is ignored (nohup) stays so. A reader of
// our output that goes away is no signal, but an error where we write.
func signals(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	told := make(chan os.Signal, 1)
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM} {
		if !signal.Ignored(s) {
			signal.Notify(told, s)
		}
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
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
	return ctx, func() {
		cancel(context.Canceled)
		<-stopped
	}
}

// dataDir is where chatcli keeps keys: $XDG_DATA_HOME/chatcli if that is absolute, or the
// system's place for such things.
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
