package chattest_test

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natter/client"
	"natter/internal/chattest"
)

// stillLine dials connections that nobody reads from while it is locked.
type stillLine struct{ sync.Mutex }

func (l *stillLine) Dial(network, address string) (net.Conn, error) {
	c, err := net.Dial(network, address)
	return stillConn{c, l}, err
}

type stillConn struct {
	net.Conn
	line *stillLine
}

func (c stillConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.line.Lock()
	defer c.line.Unlock()
	return n, err
}

// A member whose computer stands still holds up nobody, and misses nothing when it goes on.
func TestAStandstillHoldsUpNobody(t *testing.T) {
	const many = 3000 // more than may wait to be read
	in := chattest.Run(t, quiet)
	line := &stillLine{}
	ann, ben := in.User("ann"), in.User("ben")
	cid := chattest.Dial(t, client.Config{URL: in.Server.URL(), Log: in.Config.Log, Options: []nats.Option{
		nats.SetCustomDialer(line), nats.PingInterval(time.Hour),
	}}, "cid")
	chattest.Chat(ann, ben, cid)
	say := func(text string) {
		if err := ann.Say(text); err != nil {
			t.Error(err)
		}
	}
	say("first")
	for _, u := range []*chattest.User{ben, cid} {
		chattest.Wait[chattest.Text](u)
	}
	line.Lock()
	going := sync.OnceFunc(line.Unlock)
	defer going()
	go func() {
		for n := range many {
			say(fmt.Sprint(n))
		}
	}()
	hears := func(u *chattest.User) {
		n := 0
		chattest.Until(u, "everything", func(e client.Event) bool {
			if e, ok := e.(chattest.Text); ok {
				if e.Text != fmt.Sprint(n) {
					t.Fatalf("%s hears %q as number %d", u.Me(), e.Text, n)
				}
				n++
			}
			return n == many
		})
	}
	hears(ben)
	going()
	hears(cid)
}
