package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"natter/client"
)

// footprint measures the memory of chatcli in a chat, and what a chat adds to the
// coordinator.
func (b *bench) footprint() error {
	var begun, after, later, chat []float64
	for range b.runs {
		mb, err := b.inAChat()
		if err != nil {
			return err
		}
		begun, after, later = append(begun, mb[0]), append(after, mb[1]), append(later, mb[2])
		idle, err := b.heapOf(false)
		if err != nil {
			return err
		}
		open, err := b.heapOf(true)
		if err != nil {
			return err
		}
		chat = append(chat, (open-idle)/float64(b.size.cut/2)/1024)
	}
	b.table.absolute("memory of chatcli in a chat", begun, "MB", atMost(20))
	b.table.compare(fmt.Sprintf("the same, after %d messages at full speed, next to after %d", 2*b.size.each, b.size.each), later, after, megabytes, atMost(1.2))
	b.table.absolute("memory of the coordinator per open chat", chat, "KB", atMost(4))
	return nil
}

// inAChat returns the memory in MB of a chatcli that has heard one message, when it has heard
// many, and when it has heard as many again.
func (b *bench) inAChat() (mb [3]float64, err error) {
	s, err := b.coordinator("none")
	if err != nil {
		return mb, err
	}
	defer s.kill()
	bob, err := b.terminal(s.server, "bob", "yes", "/wait invitation", "y")
	if err != nil {
		return mb, err
	}
	defer bob.end()
	alice, err := b.terminal(s.server, "alice", "yes", "/wait user bob", "2", "bob")
	if err != nil {
		return mb, err
	}
	defer alice.end()
	for i := range mb {
		last := fmt.Sprintf("the end of %d", i)
		says := last + "\n"
		if i > 0 {
			says = strings.Repeat(text+"\n", b.size.each) + says
		}
		if _, err := io.WriteString(alice.in, says); err != nil {
			return mb, err
		}
		if mb[i], err = bob.memoryAfter(last); err != nil {
			return mb, err
		}
	}
	return mb, nil
}

// terminal is a chatcli that lines are typed into.
type terminal struct {
	cmd    *exec.Cmd
	cancel context.CancelFunc
	in     io.WriteCloser
	out    io.Reader
}

func (b *bench) terminal(s *server, lines ...string) (*terminal, error) {
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	t := &terminal{cancel: cancel, cmd: exec.CommandContext(ctx, filepath.Join(b.dir, "chatcli"), "--plain", "--server", s.url())}
	t.cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+filepath.Join(s.Dir, lines[0]))
	var err error
	if t.in, err = t.cmd.StdinPipe(); err != nil {
		return t, err
	}
	if t.out, err = t.cmd.StdoutPipe(); err != nil {
		return t, err
	}
	if err := t.cmd.Start(); err != nil {
		return t, err
	}
	_, err = io.WriteString(t.in, strings.Join(lines, "\n")+"\n")
	return t, err
}

// memoryAfter is what the process has of the machine's memory in MB when it has shown a text.
func (t *terminal) memoryAfter(text string) (float64, error) {
	if err := readUntil(t.out, text); err != nil {
		return 0, fmt.Errorf("chatcli never shows %q: %w", text, err)
	}
	n, err := resident(t.cmd.Process.Pid)
	return n / (1 << 20), err
}

func (t *terminal) end() {
	t.cancel()
	_ = t.in.Close()
	_ = t.cmd.Wait() // says that it was killed
}

// heapOf returns the heap of a coordinator with its broker after so many users have logged in, with or
// without a chat for each two of them, and have lost their connections, whose memory would exceed
// all the rest.
func (b *bench) heapOf(chats bool) (bytes float64, err error) {
	s, err := b.server("")
	if err != nil {
		return 0, err
	}
	defer s.kill()
	var people []*client.Client
	if chats {
		people, err = b.couples(s, b.size.cut/2)
	} else {
		people, err = b.people(s, b.size.cut)
	}
	closeAll(people)
	if err != nil {
		return 0, err
	}
	// Longer than the broker caches its files, and shorter than the grace time.
	time.Sleep(time.Duration(b.size.seconds) * time.Second)
	var n uint64
	if err := s.call.Call("Server.Allocated", None{}, &n); err != nil {
		return 0, err
	}
	return float64(n), b.heap(s, fmt.Sprintf("chats-%t", chats))
}
