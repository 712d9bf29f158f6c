package delivery_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/broker/brokertest"
	"natter/broker/embedded"
	"natter/chat"
	"natter/session"
	"natter/session/delivery"
)

const timeout = 30 * time.Second

// hall is a session without its coordinator: members talk through a relay that loses,
// repeats and delays what they say, and cuts them off. Each is on a channel of its own,
// id-NAME, and hears on it what the relay brings.
type hall struct {
	t         *testing.T
	srv       *embedded.Server
	mailboxes *broker.Mailboxes
	js        jetstream.JetStream
	relay     *nats.Conn
	s         chat.Session

	mu           sync.Mutex
	rnd          *rand.Rand
	wild         bool // the relay does its worst
	full         bool // nothing more can be stored
	down         bool // nobody can join
	incarnations map[chat.User]int
	cut          map[chat.User]bool
	late         []*nats.Msg
}

func newHall(t *testing.T, seed uint64, names ...chat.Name) *hall {
	t.Helper()
	srv := brokertest.Run(t)
	all := chat.Grant{Publish: []string{">"}, Subscribe: []string{">"}}
	relay := brokertest.Dial(t, srv, all, "_INBOX", nats.NoEcho())
	store := brokertest.Dial(t, srv, all, "_INBOX")
	h := &hall{
		t: t, srv: srv, relay: relay.Conn, rnd: rand.New(rand.NewPCG(seed, seed)), incarnations: map[chat.User]int{}, cut: map[chat.User]bool{},
		s: chat.Session{ID: chat.NewSessionID(), State: chat.Open},
	}
	for _, n := range names {
		h.s.Members = append(h.s.Members, chat.Member{Name: n, Accepted: true})
	}
	var err error
	if h.js, err = jetstream.New(store.Conn); err != nil {
		t.Fatal(err)
	}
	if err := broker.EnsureStreams(t.Context(), h.js, jetstream.MemoryStorage, 1); err != nil {
		t.Fatal(err)
	}
	if h.mailboxes, err = broker.OpenMailboxes(t.Context(), store.Conn); err != nil {
		t.Fatal(err)
	}
	if _, err := relay.Subscribe("chat.session.>", h.bring); err != nil {
		t.Fatal(err)
	}
	if err := relay.Flush(); err != nil {
		t.Fatal(err)
	}
	return h
}

// bring takes what a member says to the others, or not.
func (h *hall) bring(m *nats.Msg) {
	h.mu.Lock()
	defer h.mu.Unlock()
	token := strings.Split(m.Subject, ".")
	from := chat.User(token[len(token)-1])
	for _, to := range h.s.Present() {
		if to.User() == from || h.cut[from] || h.cut[to.User()] || token[3] == "to" && token[4] != string(to.User()) {
			continue
		}
		token[2] = h.channel(to.User())
		out := &nats.Msg{Subject: strings.Join(token, "."), Data: m.Data}
		switch n := h.rnd.IntN(100); {
		case !h.wild || n < 70:
			_ = h.relay.PublishMsg(out)
		case n < 80:
			_ = h.relay.PublishMsg(out)
			_ = h.relay.PublishMsg(out)
		case n < 90:
			h.late = append(h.late, out)
		}
	}
	if len(h.late) > 3 || !h.wild {
		h.rnd.Shuffle(len(h.late), func(i, j int) { h.late[i], h.late[j] = h.late[j], h.late[i] })
		for _, out := range h.late {
			_ = h.relay.PublishMsg(out)
		}
		h.late = nil
	}
}

func (h *hall) channel(u chat.User) string { return h.s.ID + "-" + string(u) }

func (h *hall) is(what *bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return *what
}

// set changes how the relay behaves.
func (h *hall) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

// join is what the coordinator would do.
func (h *hall) join(u chat.User) func(context.Context, string, bool, ...nats.Option) (*nats.Conn, chat.JoinReply, error) {
	return func(_ context.Context, _ string, again bool, opts ...nats.Option) (*nats.Conn, chat.JoinReply, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.down {
			return nil, chat.JoinReply{}, chat.Errorf(chat.NotConnected, "Not connected to the server.")
		}
		if again {
			h.incarnations[u]++
		}
		channel := h.channel(u)
		nc := brokertest.Dial(h.t, h.srv, chat.MemberGrant(u, channel), chat.MemberInbox(u, channel), opts...)
		return nc.Conn, chat.JoinReply{Channel: channel, Incarnation: h.incarnations[u]}, nil
	}
}

func (h *hall) store(from chat.User) func(context.Context, chat.StoreRequest) (chat.StoreReply, error) {
	return func(ctx context.Context, q chat.StoreRequest) (chat.StoreReply, error) {
		reply := chat.StoreReply{Stored: map[chat.User]uint64{}}
		if h.is(&h.full) {
			return reply, chat.Errorf(chat.Full, "The server can keep no more.")
		}
		for u, upTo := range q.Received {
			if err := h.mailboxes.Drop(ctx, h.s.ID, u, from, upTo); err != nil {
				return reply, err
			}
		}
		for _, u := range q.For {
			id := fmt.Sprint(h.s.ID, u, from, q.Messages[0].N, len(q.Messages))
			at, err := h.mailboxes.Put(ctx, h.s.ID, u, from, id, chat.StoredMessages{Messages: q.Messages})
			if err != nil {
				return reply, err
			}
			reply.Stored[u] = at
		}
		return reply, nil
	}
}

// fetch reads the stream; the senders delete from it.
func (h *hall) fetch(to chat.User) func(context.Context, string, func(chat.User, chat.StoredMessages)) error {
	return func(ctx context.Context, id string, take func(chat.User, chat.StoredMessages)) error {
		left, err := h.mailboxes.Left(ctx, id, to)
		if left == 0 || err != nil {
			return err
		}
		c, err := h.js.OrderedConsumer(ctx, broker.MailboxesStream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{chat.StateRoot + ".mailbox." + id + "." + string(to) + ".*"}})
		if err != nil {
			return err
		}
		batch, err := c.FetchNoWait(int(left))
		if err != nil {
			return err
		}
		for m := range batch.Messages() {
			var stored chat.StoredMessages
			if err := json.Unmarshal(m.Data(), &stored); err != nil {
				return err
			}
			take(chat.User(m.Subject()[strings.LastIndexByte(m.Subject(), '.')+1:]), stored)
		}
		return batch.Error()
	}
}

// speaker is one run of a member's program.
type speaker struct {
	*delivery.Conn
	name  chat.Name
	said  []string
	mu    sync.Mutex
	heard map[chat.Name][]string
	done  map[string]session.SentState // of what was said
	late  []string                     // not delivered so far
	waits []session.Event              // what was told of messages that wait or are kept
	moved chan struct{}
}

func (h *hall) enter(name chat.Name, rejoin bool) *speaker {
	p := &speaker{name: name, heard: map[chat.Name][]string{}, done: map[string]session.SentState{}, moved: make(chan struct{}, 1)}
	u := name.User()
	p.Conn = delivery.New(delivery.Options{
		Me: u, Rejoin: rejoin, Rules: chat.Rules{MaxText: chat.MaxText}, Log: slog.New(slog.DiscardHandler), Report: true,
		Join: h.join(u), Store: h.store(u), Fetch: h.fetch(u), Tell: p.tell, AllBye: func(string) {},
	}, h.s)
	h.t.Cleanup(func() { p.Close(false) })
	p.Start()
	return p
}

func (p *speaker) tell(e session.Event) {
	p.mu.Lock()
	switch e := e.(type) {
	case session.Texts:
		for _, m := range e.Messages {
			p.heard[e.From] = append(p.heard[e.From], m.Text)
		}
	case session.Sent:
		p.done[e.Text] = e.State
	case session.NotDelivered:
		if e.Kept {
			p.late = append(p.late, e.Text)
		}
	case session.MessageWaits, session.MessageStored:
		p.waits = append(p.waits, e)
	}
	p.mu.Unlock()
	select {
	case p.moved <- struct{}{}:
	default:
	}
}

// until waits until something is true of what a speaker has heard.
func (p *speaker) until(t *testing.T, what string, so func() bool) {
	t.Helper()
	late := time.After(timeout)
	for {
		p.mu.Lock()
		ok := so()
		p.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-p.moved:
		case <-late:
			p.mu.Lock()
			defer p.mu.Unlock()
			t.Fatalf("%s: in vain waited for: %s; heard %v", p.name, what, p.heard)
		}
	}
}

func (p *speaker) says(t *testing.T, text string) {
	t.Helper()
	p.said = append(p.said, text)
	if err := p.Say(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

// inOrder tells what is wrong with what somebody has heard of one other: each text ends
// with its number, and these must grow.
func inOrder(heard []string) error {
	last := -1
	for _, text := range heard {
		n, err := strconv.Atoi(text[strings.LastIndexByte(text, ' ')+1:])
		if err != nil {
			return err
		}
		if n <= last {
			return fmt.Errorf("%q after number %d", text, last)
		}
		last = n
	}
	return nil
}

// TestWildRelay has three talk through a relay that loses, repeats and delays, and cuts
// them off; one is killed and comes back, twice. Each hears what every other has said
// once and in order; who was killed hears everything that the earlier run had not
// acknowledged, and nobody misses what was told to be stored or delivered.
func TestWildRelay(t *testing.T) {
	for _, seed := range []uint64{1} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			wildTalk(t, seed)
		})
	}
}

func wildTalk(t *testing.T, seed uint64) {
	h := newHall(t, seed, "ann", "ben", "cid")
	rnd := rand.New(rand.NewPCG(seed, 1))
	ann, ben := h.enter("ann", false), h.enter("ben", false)
	cids := []*speaker{h.enter("cid", false)}
	h.set(func() { h.wild = true })
	n := 0
	for range 3 {
		cid := cids[len(cids)-1]
		for range 40 {
			for _, p := range []*speaker{ann, ben, cid} {
				p.says(t, fmt.Sprint(p.name, " ", n))
			}
			n++
			if rnd.IntN(10) == 0 {
				u := []chat.User{"ann", "ben", "cid"}[rnd.IntN(3)]
				h.set(func() { h.cut[u] = !h.cut[u] })
			}
		}
		if len(cids) < 3 { // kill -9, and another run
			h.set(func() { h.cut["cid"] = true })
			cid.Close(true)
			if last := ann.said[len(ann.said)-1]; rnd.IntN(2) == 0 {
				ann.until(t, "stored", func() bool { return ann.done[last] == session.Stored || ann.done[last] == session.Delivered })
			}
			h.set(func() { h.cut["cid"] = false })
			cids = append(cids, h.enter("cid", true))
		}
	}
	h.set(func() { h.wild, h.cut = false, map[chat.User]bool{} })
	cid := cids[len(cids)-1]
	last := func(p, of *speaker) func() bool {
		return func() bool {
			h := p.heard[of.name]
			return len(h) > 0 && h[len(h)-1] == of.said[len(of.said)-1]
		}
	}
	for _, p := range []*speaker{ann, ben, cid} {
		for _, of := range []*speaker{ann, ben, cid} {
			if p != of {
				p.until(t, "the last of "+string(of.name), last(p, of))
			}
		}
	}
	judge(t, []*speaker{ann}, []*speaker{ben})
	judge(t, []*speaker{ben}, []*speaker{ann})
	judge(t, []*speaker{ann}, cids)
	judge(t, []*speaker{ben}, cids)
	judge(t, cids, []*speaker{ann})
	judge(t, cids, []*speaker{ben})
}

// judge looks at what the runs of one have heard of the runs of another: in order in each
// run; and all together everything that was not lost with the run that said it.
func judge(t *testing.T, hearers, speakers []*speaker) {
	t.Helper()
	of := speakers[0].name
	heard := map[string]int{}
	for _, p := range hearers {
		p.mu.Lock()
		if err := inOrder(p.heard[of]); err != nil {
			t.Errorf("%s hears %s: %v", p.name, of, err)
		}
		for _, text := range p.heard[of] {
			heard[text]++
		}
		p.mu.Unlock()
	}
	for i, p := range speakers {
		p.mu.Lock()
		for _, text := range p.said {
			promised := i == len(speakers)-1 || p.done[text] == session.Stored || p.done[text] == session.Delivered
			if promised && heard[text] == 0 || len(hearers) == 1 && heard[text] > 1 {
				t.Errorf("%s has heard %q %d times; it was %s", hearers[0].name, text, heard[text], p.done[text])
			}
		}
		p.mu.Unlock()
	}
}

// TestCheckerSees: the checkers see a repetition, another order and a loss.
func TestCheckerSees(t *testing.T) {
	for _, bad := range [][]string{{"a 1", "a 1"}, {"a 2", "a 1"}} {
		if inOrder(bad) == nil {
			t.Errorf("%q is called in order", bad)
		}
	}
}

// BenchmarkSay is a message from Say to the other's event, many under way.
func BenchmarkSay(b *testing.B) {
	srv := brokertest.Run(b)
	s := chat.Session{ID: chat.NewSessionID(), State: chat.Open, Members: []chat.Member{{Name: "ann"}, {Name: "ben"}}}
	heard := make(chan struct{}, 1<<16)
	enter := func(u chat.User, tell func(session.Event)) *delivery.Conn {
		t := delivery.New(delivery.Options{
			Me: u, Rules: chat.Rules{MaxText: chat.MaxText}, Log: slog.New(slog.DiscardHandler), Tell: tell, AllBye: func(string) {},
			Join: func(_ context.Context, id string, _ bool, opts ...nats.Option) (*nats.Conn, chat.JoinReply, error) {
				return brokertest.Dial(b, srv, chat.MemberGrant(u, id), chat.MemberInbox(u, id), opts...).Conn, chat.JoinReply{Channel: id}, nil
			},
		}, s)
		t.Start()
		return t
	}
	ann := enter("ann", func(session.Event) {})
	defer ann.Close(false)
	ben := enter("ben", func(e session.Event) {
		if e, ok := e.(session.Texts); ok {
			for range e.Messages {
				heard <- struct{}{}
			}
		}
	})
	defer ben.Close(false)
	text := strings.Repeat("x", 256)
	if err := ann.Say(b.Context(), text); err != nil {
		b.Fatal(err)
	}
	<-heard
	b.ReportAllocs()
	b.ResetTimer()
	go func() {
		for range b.N {
			_ = ann.Say(context.Background(), text)
		}
	}()
	for range b.N {
		<-heard
	}
}
