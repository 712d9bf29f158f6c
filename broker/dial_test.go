package broker_test

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"

	"natter/broker"
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
		{nats.ErrMaxConnectionsExceeded, "it takes no more connections for now"},
		{errors.New("nats: 'Maximum Connections Exceeded'"), "it takes no more connections for now"},
		{&net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.EPIPE)}, "it ended the connection; perhaps it takes no more for now"},
	} {
		if got := broker.Plainly(c.err); got != c.want {
			t.Errorf("%v: %q, not %q", c.err, got, c.want)
		}
	}
}
