package broker_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker"
	"natter/broker/brokertest"
	"natter/chat"
)

// Why there is no connection is said in a few words, without addresses that nobody typed
// and without passwords.
func TestPlainly(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{nats.ErrNoServers, "connection refused"},
		{fmt.Errorf("dial: %w", &net.DNSError{Err: "no such host", Name: "chat.example", Server: "127.0.0.53:53", IsNotFound: true}), "no such host"},
		{&net.OpError{Op: "read", Net: "tcp", Addr: &net.TCPAddr{Port: 4222}, Err: os.ErrDeadlineExceeded}, "no answer"},
		{&net.OpError{Op: "dial", Net: "tcp", Err: net.UnknownNetworkError("x")}, "unknown network x"},
		{&url.Error{Op: "parse", URL: "nats://u:secret@h", Err: net.ErrClosed}, "use of closed network connection"},
		{nats.ErrTimeout, "timeout"},
		{nats.ErrNoInfoReceived, "it is no NATS server"},
		{nats.ErrMaxConnectionsExceeded, "it takes no more connections for now"},
		{errors.New("nats: 'Maximum Connections Exceeded'"), "it takes no more connections for now"},
		{&net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.EPIPE)}, "it ended the connection; perhaps it takes no more for now"},
	} {
		if got := broker.Plainly(c.err); got != c.want {
			t.Errorf("%v: %q, not %q", c.err, got, c.want)
		}
	}
}

// An address where no WebSocket is spoken is named as that, without what it answered.
func TestNoWebSocketIsNamed(t *testing.T) {
	srv := brokertest.Run(t)
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	for _, url := range []string{strings.Replace(srv.URL(), "nats://", "ws://", 1), strings.Replace(web.URL, "http://", "ws://", 1)} {
		_, err := nats.Connect(url)
		if err == nil {
			t.Fatal("connected")
		}
		if got := broker.Plainly(err); got != "it does not speak WebSocket there; nats:// or tls:// may be right" {
			t.Errorf("%s: %q", url, got)
		}
	}
}

// TestFailedHandshakesAreTidiedUp: whoever comes back to a server that does not answer keeps one
// socket open, and not one for each try.
func TestFailedHandshakesAreTidiedUp(t *testing.T) {
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			conn, err := front.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	greeted := make(chan struct{})
	go func() { // is a server once
		defer close(greeted)
		conn := <-accepted
		fmt.Fprint(conn, "INFO {\"max_payload\":1024}\r\n")
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			if lines.Text() == "PING" {
				fmt.Fprint(conn, "PONG\r\n")
				break
			}
		}
		conn.Close()
	}()
	nc, err := broker.Connect(t.Context(), "nats://"+front.Addr().String(), t.Name(), nats.Timeout(50*time.Millisecond),
		nats.CustomReconnectDelay(func(int) time.Duration { return time.Millisecond }))
	if err != nil {
		t.Fatal(err)
	}
	<-greeted
	before := <-accepted
	for range 5 {
		next := <-accepted
		_ = before.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := before.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the socket of a try that is over: %v", err)
		}
		before.Close()
		before = next
	}
	before.Close()
	go nc.Close()
	front.Close()
	for conn := range accepted {
		conn.Close()
	}
}

// TestConnectEndsWithItsContext: nobody waits for a server that accepts and says nothing once
// what they wait for is no longer wanted.
func TestConnectEndsWithItsContext(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		conn, err := silent.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		cancel()
		_, _ = conn.Read(make([]byte, 1)) // until the other side ends it
	}()
	if _, err := broker.Connect(ctx, "nats://"+silent.Addr().String(), t.Name(), nats.Timeout(time.Hour)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestQuietAddress: an address that accepts and says nothing takes little time from the others,
// the first time and hardly any afterwards. Alone, it has all the time that there is.
func TestQuietAddress(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	srv := brokertest.Run(t)
	alone := "nats://" + silent.Addr().String()
	both := alone + "," + srv.URL()
	for _, most := range []time.Duration{3 * time.Second, time.Second} {
		begun := time.Now()
		nc, err := broker.Connect(t.Context(), both, t.Name(), nats.Timeout(time.Minute), nats.DontRandomize(), nats.CustomInboxPrefix(chat.LobbyInbox))
		if err != nil {
			t.Fatal(err)
		}
		nc.Close()
		if took := time.Since(begun); took > most {
			t.Errorf("the other address is reached after %v, not within %v", took, most)
		}
	}
	begun := time.Now()
	if _, err := broker.Connect(t.Context(), alone, t.Name(), nats.Timeout(1500*time.Millisecond)); !errors.Is(err, nats.ErrTimeout) && !os.IsTimeout(err) {
		t.Errorf("alone: %v", err)
	}
	if took := time.Since(begun); took < 1500*time.Millisecond {
		t.Errorf("alone, it has only %v", took)
	}
}
