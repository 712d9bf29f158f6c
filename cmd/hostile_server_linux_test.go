package cmd_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hostile is what calls itself a NATS server: it answers each subscription with as much as it
// can send.
func hostile(t *testing.T, flood func(w *bufio.Writer, subject, sid string) error) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serveHostile(conn, flood)
			}()
		}
	}()
	return "nats://" + l.Addr().String()
}

func serveHostile(conn net.Conn, flood func(w *bufio.Writer, subject, sid string) error) {
	w := bufio.NewWriterSize(conn, 1<<16)
	fmt.Fprintf(w, "INFO {\"server_id\":\"X\",\"version\":\"2.15.3\",\"headers\":true,\"max_payload\":1048576,\"nonce\":\"abcdefghijk\"}\r\n")
	w.Flush()
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 0:
		case words[0] == "PING":
			fmt.Fprint(w, "PONG\r\n")
			w.Flush()
		case words[0] == "PUB" || words[0] == "HPUB":
			_ = flood(w, strings.NewReplacer("*", "x", ">", "x").Replace(words[2]), "1")
		}
	}
}

const (
	floods   = 2 << 30 // bytes that a hostile server sends
	largeMsg = 1 << 20
)

// sendBytes sends so many bytes.
func sendBytes(w *bufio.Writer, n int) error {
	chunk := make([]byte, 1<<16)
	for range n / len(chunk) {
		if _, err := w.Write(chunk); err != nil {
			return err
		}
	}
	return w.Flush()
}

// TestHostileServer: whatever a server sends, chatcli takes at most 200 MB of memory, and ends
// with a sentence if that is what the server is up to.
func TestHostileServer(t *testing.T) {
	t.Parallel()
	for what, flood := range map[string]func(w *bufio.Writer, subject, sid string) error{
		"one message without an end": func(w *bufio.Writer, subject, sid string) error {
			fmt.Fprintf(w, "MSG %s %s %d\r\n", subject, sid, floods)
			return sendBytes(w, floods)
		},
		"many large messages": func(w *bufio.Writer, subject, sid string) error {
			for range floods / largeMsg {
				fmt.Fprintf(w, "MSG %s %s %d\r\n", subject, sid, largeMsg)
				if err := sendBytes(w, largeMsg); err != nil {
					return err
				}
				fmt.Fprint(w, "\r\n")
			}
			return w.Flush()
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), "chatcli", "--plain", "--server", hostile(t, flood), "alice")
			cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+t.TempDir())
			cmd.WaitDelay = time.Second
			timer := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
			defer timer.Stop()
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			most := make(chan int)
			go func() { most <- mostMemory(cmd.Process.Pid) }()
			if err := cmd.Wait(); err == nil {
				t.Errorf("it ends as if all were well: %s", &out)
			}
			used := <-most
			t.Logf("%d MB; %s", used>>10, &out)
			if used == 0 || used > 200<<10 {
				t.Errorf("%d KB of memory", used)
			}
		})
	}
}

// mostMemory is the greatest resident size of a process, in KB, looked at until it ends. What
// the system says afterwards (getrusage) counts the memory of the process that started it.
func mostMemory(pid int) (most int) {
	for {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		_, line, ok := strings.Cut(string(status), "VmHWM:")
		if err != nil || !ok {
			return most
		}
		var now int
		if _, err := fmt.Sscan(line, &now); err == nil {
			most = max(most, now)
		}
	}
}
