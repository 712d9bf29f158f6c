//go:build faults

package faults_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"natter/broker"
)

// sluice is the line between a coordinator and its NATS server. It reads what the coordinator
// publishes, so that it can be shut between any two messages, on all connections at once.
type sluice struct {
	to       string
	listener net.Listener
	wg       sync.WaitGroup
	lines    sync.WaitGroup // its connections

	mu     sync.Mutex
	armed  bool
	left   int  // how many messages may pass yet, when it is armed
	deaf   bool // with the last of them, nothing comes back
	shut   bool
	quiet  time.Time     // when the last one came
	passed []string      // what they were, since it was armed
	held   string        // what was to be the next
	done   chan struct{} // closed when the coordinator can be killed
}

func newSluice(t testing.TB, to string) *sluice {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sluice{to: to, listener: l, done: make(chan struct{})}
	s.wg.Go(s.serve)
	t.Cleanup(func() {
		_ = l.Close()
		s.wg.Wait()
		s.lines.Wait()
	})
	return s
}

func (s *sluice) url() string { return "nats://" + s.listener.Addr().String() }

// arm lets so many messages through from now on. When deaf, the answer to the last one does
// not come back; else the next one is waited for.
func (s *sluice) arm(n int, deaf bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed, s.left, s.deaf, s.shut = true, n, deaf, false
	s.passed, s.held, s.done = nil, "", make(chan struct{})
}

// open is a good line for another life of the coordinator, when the server has read all that
// the one before was let say.
func (s *sluice) open() {
	s.lines.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed, s.shut = false, false
}

// close lets nothing more through, of which the coordinator could still be told.
func (s *sluice) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed, s.shut = true, true
}

// reached is closed when the line is shut.
func (s *sluice) reached() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done
}

// steps are what has passed since it was armed.
func (s *sluice) steps() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.passed
}

// still waits until the coordinator has published nothing for some time, while it can.
func (s *sluice) still(long time.Duration, end <-chan struct{}) {
	s.mu.Lock()
	from := time.Now()
	s.mu.Unlock()
	for {
		s.mu.Lock()
		if s.quiet.After(from) {
			from = s.quiet
		}
		wait := long - time.Since(from)
		s.mu.Unlock()
		if wait <= 0 {
			return
		}
		select {
		case <-time.After(wait):
		case <-end:
			return
		}
	}
}

func (s *sluice) serve() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.lines.Go(func() { s.join(c) })
	}
}

// join carries one connection. When the coordinator is dead, the server reads all that it was
// sent: it is only told that no more comes, and is listened to until it hangs up.
func (s *sluice) join(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", s.to)
	if err != nil {
		return
	}
	defer server.Close()
	back := make(chan struct{})
	go func() {
		defer close(back)
		s.down(client, server)
		_ = client.Close()
	}()
	s.up(server, client)
	_ = server.(*net.TCPConn).CloseWrite()
	<-back
}

// down brings the coordinator what the server says, which is heard to the end in any case.
func (s *sluice) down(client io.Writer, server io.Reader) {
	piece := make([]byte, 32<<10)
	for {
		n, err := server.Read(piece)
		if err != nil {
			return
		}
		s.mu.Lock()
		lost := s.shut && s.deaf
		s.mu.Unlock()
		if !lost {
			_, _ = client.Write(piece[:n]) // it may be dead
		}
	}
}

// up brings the server what the coordinator says, line by line and message by message.
func (s *sluice) up(server io.Writer, client io.Reader) {
	from := bufio.NewReader(client)
	for {
		line, err := from.ReadBytes('\n')
		if err != nil {
			return
		}
		subject, size := published(line)
		body := make([]byte, size)
		if _, err := io.ReadFull(from, body); err != nil {
			return
		}
		if err := s.pass(server, append(line, body...), subject, body); err != nil {
			return
		}
	}
}

// published is the subject of a PUB or HPUB and the size of what follows, with its end of line.
func published(line []byte) (subject string, size int) {
	words := strings.Fields(string(line))
	if len(words) < 3 || !strings.EqualFold(words[0], "PUB") && !strings.EqualFold(words[0], "HPUB") {
		return "", 0
	}
	size, _ = strconv.Atoi(words[len(words)-1])
	return words[1], size + len("\r\n")
}

// pass sends something on, unless the line is shut, or it is one message too many.
func (s *sluice) pass(server io.Writer, all []byte, subject string, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return nil
	}
	if isStep(subject, body) {
		s.quiet = time.Now()
		if s.armed && !s.count(subject, body) {
			return nil
		}
	}
	_, err := server.Write(all)
	if s.shut {
		close(s.done) // what was the last has been sent
	}
	return err
}

// count shuts the line before the message that must not pass, which is false, or with the last
// one that may.
func (s *sluice) count(subject string, body []byte) bool {
	what := named(subject, body)
	if s.left == 0 {
		s.shut, s.held = true, what
		close(s.done)
		return false
	}
	s.left--
	s.passed = append(s.passed, what)
	s.shut = s.deaf && s.left == 0
	return true
}

// isStep reports whether a message is part of what a coordinator does for somebody: a record,
// an answer, a notice, an audit record, an acknowledgement, a connection that is cut. What it
// only asks the server changes nothing, and what it does a minute later, when a record is
// buried, belongs to nobody.
func isStep(subject string, body []byte) bool {
	switch {
	case subject == "":
		return false
	case strings.HasPrefix(subject, "$SYS."):
		return strings.HasSuffix(subject, ".KICK") || strings.HasSuffix(subject, ".CLAIMS.UPDATE")
	case strings.HasPrefix(subject, "$JS."):
		return strings.HasPrefix(subject, "$JS.ACK.")
	}
	return !bytes.Contains(body, fmt.Appendf(nil, "\r\n%s: 2\r\n", broker.GoneHeader))
}

// named is what a message is, without whose.
func named(subject string, body []byte) string {
	words := strings.Split(subject, ".")
	switch {
	case words[0] == "$JS":
		return "acknowledged"
	case words[0] == "$SYS":
		return "cut"
	case strings.HasPrefix(subject, "chat.user."):
		return "tell " + words[3]
	case strings.HasPrefix(subject, "chat.audit."):
		return "audit"
	case strings.HasPrefix(subject, "natter.") && bytes.Contains(body, []byte(broker.GoneHeader+": ")):
		return "tombstone of " + words[2]
	case strings.HasPrefix(subject, "natter."):
		return words[2]
	}
	return "answer"
}
