package chattest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nkeys"

	"natter/broker"
	"natter/broker/brokertest"
	"natter/broker/rpc"
	"natter/chat"
	"natter/internal/chattest"
	"natter/internal/coord"
)

// timeout is for what comes for certain.
const timeout = 20 * time.Second

// intruder is a registered user who speaks the protocol by hand, and not politely.
type intruder struct {
	*brokertest.Conn
	t    *testing.T
	in   *chattest.Installation
	user chat.User
	key  loginKey

	ticket chat.Ticket
}

type loginKey struct {
	nkeys.KeyPair
	public string
}

func newLogin(t *testing.T) loginKey {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return loginKey{pair, public}
}

// theirs is the terminal of every intruder.
const theirs = "t"

// enter asks the lobby for a name and opens the answer.
func enter(t *testing.T, in *chattest.Installation, name string, key loginKey) (chat.Ticket, *chat.Error) {
	t.Helper()
	return enterWith(t, in, key, chat.EnterRequest{Name: name, Hello: &chat.EnterHello{Terminal: theirs}})
}

// enterWith is enter with more to say, or less: without a hello it takes no name.
func enterWith(t *testing.T, in *chattest.Installation, key loginKey, q chat.EnterRequest) (chat.Ticket, *chat.Error) {
	t.Helper()
	reply := entering(t, in, key, q)
	return reply.Ticket, reply.Error
}

// entering is enterWith with the whole reply.
func entering(t *testing.T, in *chattest.Installation, key loginKey, q chat.EnterRequest) chat.EnterReply {
	t.Helper()
	curve, err := nkeys.CreateCurveKeys()
	if err != nil {
		t.Fatal(err)
	}
	q.Proto, q.Key = chat.Proto, key.public
	q.Seal, err = curve.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	q.Proof = key.prove(t, q)
	lobby := brokertest.Lobby(t, in.Server)
	defer lobby.Close()
	box, err := rpc.Call(t.Context(), lobby.Conn, chat.Enter, chat.Address{}, q)
	if told, ok := err.(*chat.Error); ok {
		return chat.EnterReply{Error: told}
	}
	data, err := curve.Open(box.Box, box.From)
	if err != nil {
		t.Fatalf("the answer to %q: %v", q.Name, err)
	}
	var reply chat.EnterReply
	if err := json.Unmarshal(data, &reply); err != nil {
		t.Fatal(err)
	}
	return reply
}

// prove signs a request; a key that is none signs nothing.
func (k loginKey) prove(t *testing.T, q chat.EnterRequest) []byte {
	t.Helper()
	if k.KeyPair == nil {
		return nil
	}
	return must(k.Sign(chat.EnterText(q)))(t)
}

// intrude lets an intruder in under a name, with a key of their own; they are visible.
func intrude(t *testing.T, in *chattest.Installation, name string) *intruder {
	t.Helper()
	return intrudeWith(t, in, name, newLogin(t))
}

func intrudeWith(t *testing.T, in *chattest.Installation, name string, key loginKey) *intruder {
	t.Helper()
	ticket, told := enter(t, in, name, key)
	if told != nil {
		t.Fatalf("%s enters: %v", name, told)
	}
	u := chat.Name(name).User()
	m := &intruder{t: t, in: in, user: u, key: key, ticket: ticket, Conn: holder(t, in, ticket, key, chat.Inbox(u))}
	must(ask(m, chat.Hello, chat.HelloRequest{Proto: chat.Proto, Name: chat.Name(name)}))(t)
	must(ask(m, chat.SetPresence, chat.PresenceRequest{Presence: chat.Visible}))(t)
	return m
}

// holder is a connection with a ticket.
func holder(t *testing.T, in *chattest.Installation, ticket chat.Ticket, key loginKey, inbox string) *brokertest.Conn {
	t.Helper()
	return brokertest.Dial(t, in.Server, chat.Grant{}, inbox,
		nats.UserJWT(func() (string, error) { return ticket.JWT, nil }, key.Sign))
}

// ask is a well-formed request of an intruder.
func ask[Q, R any](m *intruder, r chat.Request[Q, R], q Q) (R, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return rpc.Call(ctx, m.Conn.Conn, r, chat.Address{User: m.user}, q)
}

func must[R any](r R, err error) func(*testing.T) R {
	return func(t *testing.T) R {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
}

// raw sends bytes as a request, and returns the error in the answer, or nil.
func (m *intruder) raw(r *chat.Route, header nats.Header, data []byte) *chat.Error {
	m.t.Helper()
	q := &nats.Msg{Subject: r.Subject(chat.Address{User: m.user}), Header: header, Data: data}
	reply, err := m.RequestMsg(q, timeout)
	if errors.Is(err, nats.ErrMaxPayload) { // the server has told the library what the ticket carries
		return chat.Errorf(chat.TooLong, "refused by the library")
	}
	if err != nil {
		m.t.Fatalf("%s %.60q: %v", q.Subject, data, err)
	}
	return refusal(m.t, reply)
}

// refusal is the error in an answer, which must be fit to be shown.
func refusal(t *testing.T, reply *nats.Msg) *chat.Error {
	t.Helper()
	code := reply.Header.Get(micro.ErrorCodeHeader)
	if code == "" {
		return nil
	}
	e := &chat.Error{}
	if err := json.Unmarshal(reply.Data, e); err != nil || string(e.Code) != code || e.Text == "" {
		t.Fatalf("the refusal %q %q is not one", code, reply.Data)
	}
	if e.Text != chat.CleanLine(e.Text) || len(e.Text) > 1024 {
		t.Errorf("a sentence not fit to be shown: %.200q", e.Text)
	}
	return e
}

// joins makes an intruder's connection to a session that they are in.
func (m *intruder) joins(id string) (*brokertest.Conn, string) {
	m.t.Helper()
	key := newLogin(m.t)
	reply := must(ask(m, chat.Join, chat.JoinRequest{Session: id, Key: key.public}))(m.t)
	return holder(m.t, m.in, reply.Ticket, key, chat.MemberInbox(m.user, reply.Channel)), reply.Channel
}

// accepts answers the invitation that waits for the intruder.
func (m *intruder) accepts(id string) {
	m.t.Helper()
	must(ask(m, chat.Answer, chat.AnswerRequest{Session: id, Accept: true}))(m.t)
}

// code fails unless err is an error with one of the codes.
func code(t *testing.T, what string, err error, codes ...chat.Code) {
	t.Helper()
	told := &chat.Error{}
	if !errors.As(err, &told) || !slices.Contains(codes, told.Code) {
		t.Errorf("%s: %v, want %v", what, err, codes)
	}
}

// converse is honest talk both ways, word by word.
func converse(t *testing.T, a, b *chattest.User, what string) {
	t.Helper()
	for i := range 5 {
		says(t, a, fmt.Sprintf("%s %d", what, i), b)
		says(t, b, fmt.Sprintf("%s %d too", what, i), a)
	}
}

// says has one say something, and all others hear just that from them next.
func says(t *testing.T, from *chattest.User, text string, to ...*chattest.User) {
	t.Helper()
	if err := from.Say(text); err != nil {
		t.Fatalf("%s says %q: %v", from.Me(), text, err)
	}
	for _, u := range to {
		if got := chattest.Wait[chattest.Text](u); got.From != from.Me() || got.Text != text {
			t.Fatalf("%s hears %.60q from %s, want %q from %s", u.Me(), got.Text, got.From, text, from.Me())
		}
	}
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	late := time.After(timeout)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("in vain waited for: %s", what)
		}
	}
}

// ear hears everything in the users' account.
type ear struct {
	*brokertest.Conn
	in chan *nats.Msg
}

func listenTo(t *testing.T, in *chattest.Installation) *ear {
	t.Helper()
	e := &ear{brokertest.Dial(t, in.Server, chat.Grant{Subscribe: []string{">"}}, "_INBOX"), make(chan *nats.Msg, 1<<17)}
	if _, err := e.ChanSubscribe(">", e.in); err != nil {
		t.Fatal(err)
	}
	e.flush(t)
	return e
}

func (e *ear) flush(t *testing.T) {
	t.Helper()
	if err := e.Flush(); err != nil {
		t.Fatal(err)
	}
}

// heard takes what has come in since the last time.
func (e *ear) heard(t *testing.T) []*nats.Msg {
	t.Helper()
	e.flush(t)
	var all []*nats.Msg
	for len(e.in) > 0 {
		all = append(all, <-e.in)
	}
	return all
}

// examiner reads streams byte for byte.
type examiner struct {
	t  *testing.T
	js jetstream.JetStream
}

func examine(t *testing.T, in *chattest.Installation) *examiner {
	t.Helper()
	nc := brokertest.Dial(t, in.Server, chat.StoringGrant(), chat.StoreInbox)
	x := &examiner{t, must(jetstream.New(nc.Conn))(t)}
	x.streams() // what those who have just come leave behind is stored by now
	return x
}

// stream is everything that a stream holds.
func (x *examiner) stream(name string) string {
	x.t.Helper()
	s := must(x.js.Stream(x.t.Context(), name))(x.t)
	state := s.CachedInfo().State
	var all strings.Builder
	fmt.Fprintf(&all, "%s %d..%d\n", name, state.FirstSeq, state.LastSeq)
	for seq := state.FirstSeq; seq > 0 && seq <= state.LastSeq; seq++ {
		m, err := s.GetMsg(x.t.Context(), seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			x.t.Fatal(err)
		}
		fmt.Fprintf(&all, "%d %s %v %s\n", m.Sequence, m.Subject, m.Header, m.Data)
	}
	return all.String()
}

// streams is what all of them hold, once they are at rest.
func (x *examiner) streams() string {
	x.t.Helper()
	all, before := "", "nothing"
	eventually(x.t, "streams at rest", func() bool {
		before = all
		all = x.stream(broker.AccountsStream) + x.stream(broker.LiveStream) + x.stream(broker.MailboxesStream) + x.stream(broker.AuditStream)
		return all == before
	})
	return all
}

// quiet has nothing logged but errors, where a test asks thousands of times.
func quiet(c *coord.Config) { c.Log = slog.New(slog.DiscardHandler) }
