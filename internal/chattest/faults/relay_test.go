package faults_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"natter/internal/chattest/faults"
)

// built is the directory of the programs that are tested; "" until there are any.
var built string

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(built)
		os.Exit(code)
	}))
}

// line is a relay to a server that repeats what it is told, and one client.
func line(t *testing.T) (*faults.Relay, net.Conn, *bufio.Reader) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for in := bufio.NewReader(c); ; {
					s, err := in.ReadString('\n')
					if err != nil {
						return
					}
					fmt.Fprint(c, s)
				}
			}()
		}
	}()
	r, err := faults.NewRelay(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	c := dial(t, r)
	return r, c, bufio.NewReader(c)
}

func dial(t *testing.T, r *faults.Relay) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(r.URL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func echo(t *testing.T, c net.Conn, in *bufio.Reader, text string) {
	t.Helper()
	fmt.Fprintln(c, text)
	if got, err := in.ReadString('\n'); err != nil || got != text+"\n" {
		t.Fatalf("%q comes back as %q, %v", text, got, err)
	}
}

func TestRelayHoldsAndReleases(t *testing.T) {
	r, c, in := line(t)
	echo(t, c, in, "one")
	for _, flaw := range []faults.Flaw{{HoldUp: true}, {HoldDown: true}, {HoldUp: true, HoldDown: true}} {
		r.Set(flaw)
		fmt.Fprintln(c, "held")
		back := make(chan string, 1)
		go func() {
			s, _ := in.ReadString('\n')
			back <- s
		}()
		select {
		case s := <-back:
			t.Fatalf("%+v lets %q through", flaw, s)
		default:
		}
		r.Set(faults.Flaw{})
		if s := <-back; s != "held\n" {
			t.Fatalf("%+v: %q comes out when the flaw ends", flaw, s)
		}
	}
}

func TestRelayCuts(t *testing.T) {
	r, c, in := line(t)
	echo(t, c, in, "one")
	r.Set(faults.Flaw{Cut: true})
	if _, err := in.ReadString('\n'); err == nil {
		t.Fatal("the connection is not cut")
	}
	again := dial(t, r)
	if _, err := bufio.NewReader(again).ReadString('\n'); err == nil {
		t.Fatal("a new connection gets through")
	}
	r.Set(faults.Flaw{})
	last := dial(t, r)
	echo(t, last, bufio.NewReader(last), "two")
}
