package console

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natter/chat"
)

// Each of several consoles knows everything, and one of them shows it.
func TestShare(t *testing.T) {
	s := newShare()
	s.hold(1, []entry{line("mine")})
	s.hold(2, []entry{line("another's")})
	if got, ok := s.take(1); !ok || textOf(got) != "SERVER   mine\n" {
		t.Errorf("%v %v", got, ok)
	}
	for _, key := range []uint64{1, 3} {
		if _, ok := s.take(key); ok {
			t.Errorf("%d is there", key)
		}
	}
	s.hold(2, nil)
	if got, ok := s.take(2); !ok || len(got) > 0 {
		t.Error("what another console has shown is shown when it is sent again")
	}
	for range maxHeld {
		s.hold(4, []entry{line("again and again")})
	}
	s.hold(5, nil)
	if _, ok := s.take(4); !ok {
		t.Error("the last of many that are alike is not there")
	}
	for n := range uint64(3 * maxHeld) {
		s.hold(n, []entry{line("x")})
	}
	if len(s.held) > maxHeld || len(s.order) > maxHeld {
		t.Errorf("%d held", len(s.held))
	}
}

// sharing is a console of several and its clock.
type sharing struct {
	*Console
	at time.Time
}

func newSharing() *sharing {
	s := &sharing{at: time.Unix(1000, 0)}
	s.Console = New(Config{Shared: true, Out: io.Discard, Now: func() time.Time { return s.at }, Location: time.UTC})
	s.share = newShare()
	return s
}

// gets is one copy of a message, or both.
func (s *sharing) gets(m nats.Msg, queues ...string) {
	for _, q := range queues {
		m.Sub = &nats.Subscription{Queue: q}
		s.show(&m)
	}
}

// shown is what it has shown, without the times.
func (s *sharing) shown() string {
	var b strings.Builder
	for line := range strings.Lines(string(bytes.Clone(s.lines.waiting.text))) {
		b.WriteString(line[len("00:00:00.000 "):])
	}
	s.lines.waiting.reset()
	return b.String()
}

func says(u chat.User, n uint64) nats.Msg {
	return nats.Msg{Subject: chat.Said.Subject(chat.Address{User: u, Session: sid}), Data: frame(n, fmt.Sprint("text ", n))}
}

func keeps(u chat.User, ns ...uint64) nats.Msg {
	var p chat.StoredMessages
	for _, n := range ns {
		p.Messages = append(p.Messages, chat.Message{N: n, Text: fmt.Sprint("text ", n)})
	}
	data, _ := json.Marshal(p)
	return nats.Msg{Subject: chat.Stored.Subject(chat.Address{User: u, Session: sid}), Data: data}
}

// Who shows what was stored does not depend on the order in which a console gets it and the
// same messages on the channel.
func TestStoredWaits(t *testing.T) {
	const mine, others = Queue, ""
	for _, test := range []struct {
		what string
		do   func(*sharing)
		want string
	}{
		{"heard a moment later, by another console", func(s *sharing) {
			s.gets(keeps("bob", 1), others, mine)
			s.gets(says("bob", 1), others)
			s.at = s.at.Add(storedWait)
			s.releaseStored(nothing)
		}, ""},
		{"heard a moment later, here", func(s *sharing) {
			s.gets(keeps("bob", 1), others)
			s.gets(says("bob", 1), others, mine)
			s.at = s.at.Add(storedWait)
			s.releaseStored(nothing)
		}, "MESSAGE  7f3a9c bob: text 1\n"},
		{"never heard", func(s *sharing) {
			s.gets(keeps("bob", 1, 2), others, mine)
			s.at = s.at.Add(storedWait)
			s.releaseStored(nothing)
		}, "MESSAGE  7f3a9c bob: text 1\nMESSAGE  7f3a9c bob: text 2\n"},
		{"heard when it is too late, before that was looked for", func(s *sharing) {
			s.gets(keeps("bob", 1), others)
			s.at = s.at.Add(storedWait)
			s.gets(says("bob", 1), others, mine)
		}, ""},
		{"the first copy was missed", func(s *sharing) {
			s.gets(keeps("bob", 1), mine)
			s.gets(says("bob", 2), mine)
		}, "MESSAGE  7f3a9c bob: text 1\nMESSAGE  7f3a9c bob: text 2\n"},
		{"in the sender's order", func(s *sharing) {
			s.gets(keeps("bob", 1, 2, 3), others, mine)
			s.gets(says("carol", 9), others, mine)
			s.gets(says("bob", 3), others, mine)
		}, "MESSAGE  7f3a9c carol: text 9\nMESSAGE  7f3a9c bob: text 1\nMESSAGE  7f3a9c bob: text 2\nMESSAGE  7f3a9c bob: text 3\n"},
		{"in the sender's order, the second copy last", func(s *sharing) {
			s.gets(keeps("bob", 1, 2), others)
			s.gets(says("bob", 2), others)
			s.gets(keeps("bob", 1, 2), mine)
		}, "MESSAGE  7f3a9c bob: text 1\n"},
		{"before the end", func(s *sharing) {
			end, _ := json.Marshal(chat.Audit{Event: "session.end", Text: "ended", Session: sid})
			s.gets(keeps("bob", 1), others, mine)
			s.gets(nats.Msg{Subject: "chat.audit.action", Data: end}, others, mine)
		}, "MESSAGE  7f3a9c bob: text 1\nACTION   ended\n"},
		{"more than may wait", func(s *sharing) {
			for n := range uint64(maxStored + 1) {
				s.gets(keeps("bob", n+1), others)
			}
			s.gets(keeps("bob", maxStored+2), others, mine)
			s.gets(says("bob", 1), others, mine)
		}, ""},
		{"what is none", func(s *sharing) {
			m := keeps("bob", 1)
			m.Data = []byte("x")
			s.gets(m, others, mine)
		}, "REFUSED  record of stored messages is unreadable, 1 byte\n"},
	} {
		s := newSharing()
		test.do(s)
		is(t, test.what, s.shown(), test.want)
		if strings.HasPrefix(test.what, "more") && len(s.share.stored) > 1 {
			t.Errorf("%d wait", len(s.share.stored))
		}
	}
}

// arrival is a message of the broker that comes to a console.
type arrival struct {
	at     time.Duration
	m      nats.Msg
	queues []string
}

// TestSharedOnce: two consoles get what a member says and what the coordinator stores in
// orders of their own, and each message is on one of them.
func TestSharedOnce(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 1))
		consoles := []*sharing{newSharing(), newSharing()}
		arrivals := make([][]arrival, len(consoles))
		publish := func(at time.Duration, m nats.Msg) {
			shows := r.IntN(len(consoles))
			for i := range consoles {
				a := arrival{at: at + time.Duration(r.IntN(50))*time.Millisecond, m: m, queues: []string{""}}
				if i == shows {
					a.queues = append(a.queues, Queue)
				}
				arrivals[i] = append(arrivals[i], a)
			}
		}
		const messages = 20
		for n := uint64(1); n <= messages; n++ {
			at := time.Duration(n) * 100 * time.Millisecond
			stored := at + time.Duration(r.IntN(60)-30)*time.Millisecond
			switch r.IntN(4) {
			case 0:
				publish(at, says("bob", n))
			case 1:
				publish(stored, keeps("bob", n))
			case 2:
				publish(stored, keeps("bob", n))
				publish(at, says("bob", n))
			case 3:
				publish(at, says("bob", n))
				publish(stored, keeps("bob", n))
				publish(at+5*time.Second, says("bob", n))
			}
		}
		all := ""
		for i, c := range consoles {
			slices.SortStableFunc(arrivals[i], func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
			began := c.at
			for _, a := range arrivals[i] {
				c.at = began.Add(a.at)
				c.gets(a.m, a.queues...)
			}
			c.releaseStored(everything)
			all += c.shown()
		}
		for n := 1; n <= messages; n++ {
			if got := strings.Count(all, fmt.Sprintf(": text %d\n", n)); got != 1 {
				t.Fatalf("seed %d: text %d is shown %d times", seed, n, got)
			}
		}
	}
}
