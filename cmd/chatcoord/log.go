package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"natter/chat"
	"natter/internal/console"
	"natter/internal/flags"
)

// logger returns the log to the log file, or to standard error.
func (p *program) logger() (*slog.Logger, func(), error) {
	if p.logFile == "" {
		level := slog.LevelWarn
		if p.given("log-level") {
			level = flags.Level(p.logLevel.Value)
		}
		return slog.New(newThin(p.handler(p.err, level))), func() {}, nil
	}
	f, err := flags.OpenLog(p.logFile)
	if err != nil {
		return nil, nil, err
	}
	p.logTo = f
	return slog.New(newThin(p.handler(f, flags.Level(p.logLevel.Value)))), func() { _ = f.Close() }, nil
}

// handler writes a log in the format of --log-format.
func (p *program) handler(w io.Writer, level slog.Level) slog.Handler {
	if p.logFormat.Value == "json" {
		return console.JSONHandler(w, level).WithAttrs([]slog.Attr{slog.String("kind", "log")})
	}
	return slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})
}

// note writes a line of watch to standard error, outside of the log.
func (p *program) note(level slog.Level, text string) {
	if p.logFormat.Value == "json" {
		slog.New(p.handler(p.err, level)).Log(context.Background(), level, text)
		return
	}
	sign := "*"
	if level > slog.LevelInfo {
		sign = "!"
	}
	fmt.Fprintln(p.err, sign, text)
}

// fail writes why the program ends, in the format of --log-format if cmd has it.
func (p *program) fail(cmd *cobra.Command, args []string, failure error, code int) {
	text := strings.TrimSuffix(chat.CleanLine(failure.Error()), ".")
	if code == flags.ExitUsage {
		text += flags.Sources(cmd.Flags(), text)
	}
	if p.wantsJSON(cmd, args) {
		h := console.JSONHandler(p.err, slog.LevelInfo).WithAttrs([]slog.Attr{slog.String("kind", "error"), slog.String("event", "exit")})
		slog.New(h).Error(text, "code", code)
		return
	}
	fmt.Fprintf(p.err, "chatcoord: %s\n", text)
	if code == flags.ExitUsage {
		fmt.Fprintf(p.err, "Try %s --help.\n", cmd.CommandPath())
	}
}

// wantsJSON reports whether errors are to be written as JSON, also where the command line was
// not understood as far as that.
func (p *program) wantsJSON(cmd *cobra.Command, args []string) bool {
	const flag = "--log-format"
	if cmd == nil || cmd.Flags().Lookup(flag[2:]) == nil {
		return false
	}
	if i := slices.IndexFunc(args, func(a string) bool { return a == flag || strings.HasPrefix(a, flag+"=") }); i >= 0 {
		word := strings.TrimPrefix(args[i], flag+"=")
		if word == flag && i+1 < len(args) {
			word = args[i+1]
		}
		return word == "json"
	}
	return os.Getenv("CHATCOORD_LOG_FORMAT") == "json"
}
