package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// start measures how long the server takes until it is ready, and the client until it asks for a name.
func (b *bench) start() error {
	if err := b.builtPrograms(); err != nil {
		return err
	}
	s, err := b.server("")
	if err != nil {
		return err
	}
	defer s.kill()
	var ready, prompt []float64
	for range b.runs * b.size.starts {
		dir, err := os.MkdirTemp(b.dir, "start-")
		if err != nil {
			return err
		}
		took, err := b.untilSaid("ready", "chatcoord", "--listen", "127.0.0.1:0", "--data-dir", dir)
		if err != nil {
			return err
		}
		ready = append(ready, took)
		took, err = b.untilSaid("Enter your username", "chatcli", "--plain", "--server", s.url(), "--key", filepath.Join(dir, "none.key"))
		if err != nil {
			return err
		}
		prompt = append(prompt, took)
	}
	b.table.absolute("chatcoord started for the first time, until ready", ready, "ms", atMost(500))
	b.table.absolute("chatcli started, until it asks for a name", prompt, "ms", atMost(100))
	return nil
}

// untilSaid runs a program until it prints a text, and returns how long that took in milliseconds.
func (b *bench) untilSaid(words, program string, args ...string) (float64, error) {
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(b.dir, program), args...)
	withParent(cmd)
	in, err := cmd.StdinPipe() // stays open and empty
	if err != nil {
		return 0, err
	}
	defer func() { _ = in.Close() }()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	err = readUntil(out, words)
	took := time.Since(begin)
	cancel()
	_ = cmd.Wait() // says that it was killed
	if err != nil {
		return 0, fmt.Errorf("%s never says %q: %w", program, words, err)
	}
	return took.Seconds() * 1000, nil
}

// readUntil reads, byte by byte because a prompt has no end of line.
func readUntil(r io.Reader, words string) error {
	var seen strings.Builder
	for in := bufio.NewReader(r); !strings.HasSuffix(seen.String(), words); {
		c, err := in.ReadByte()
		if err != nil {
			return err
		}
		seen.WriteByte(c)
	}
	return nil
}
