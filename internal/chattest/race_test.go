package chattest_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/broker/brokertest"
	"natter/chat"
	"natter/internal/chattest"
	"natter/internal/coord"
)

var rounds = flag.Int("natter.rounds", 1, "how many times the usual number of races are run")

// player is a user whose calls race with others', and what came of the sessions as
// this user was told.
type player struct {
	*intruder
	mu    sync.Mutex
	known map[string]chat.SessionReply
}

func play(t *testing.T, in *chattest.Installation, name string) *player {
	t.Helper()
	p := &player{intruder: intrude(t, in, name), known: map[string]chat.SessionReply{}}
	_, err := p.Subscribe(chat.UserSession.Subject(chat.Address{User: p.user}), func(m *nats.Msg) {
		var n chat.SessionNotice
		if err := json.Unmarshal(m.Data, &n); err != nil {
			t.Error(err)
		}
		p.hear(chat.SessionReply{Session: n.Session, Revision: n.Revision})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	return p
}

// hear takes the newest that is told about a session; it never goes backward.
func (p *player) hear(n chat.SessionReply) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.known[n.Session.ID]
	if n.Revision <= before.Revision {
		return
	}
	if stage(n.Session) < stage(before.Session) {
		p.t.Errorf("%s hears at %d of %+v after %+v", p.user, n.Revision, n.Session, before.Session)
	}
	p.known[n.Session.ID] = n
}

func stage(s chat.Session) int {
	return slices.Index([]chat.State{"", chat.Proposed, chat.Open, chat.Closed}, s.State)
}

// live are the sessions that the player is in and that have not ended as far as they know,
// in order.
func (p *player) live() []chat.Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []chat.Session
	for _, id := range slices.Sorted(maps.Keys(p.known)) {
		s := p.known[id].Session
		if _, in := s.Member(p.user); in && s.State != chat.Closed {
			found = append(found, s)
		}
	}
	return found
}

func (p *player) last(id string) chat.SessionReply {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known[id]
}

// did is a step that a player was told had been done.
type did struct {
	verb string
	by   chat.User
	was  chat.SessionReply
}

func (p *player) invite(guests ...string) (did, error) {
	r, err := ask(p.intruder, chat.Invite, chat.InviteRequest{Guests: guests})
	return p.done("invite", r, err)
}

func (p *player) answer(id string, accept bool) (did, error) {
	r, err := ask(p.intruder, chat.Answer, chat.AnswerRequest{Session: id, Accept: accept})
	verb := map[bool]string{true: "accept", false: "deny"}[accept]
	return p.done(verb, r, err)
}

func (p *player) withdraw(id string) (did, error) {
	r, err := ask(p.intruder, chat.Withdraw, chat.SessionRequest{Session: id})
	return p.done("withdraw", r, err)
}

func (p *player) quit(id string) (did, error) {
	r, err := ask(p.intruder, chat.End, chat.EndRequest{Session: id, Reason: chat.ByQuit})
	return p.done("quit", r, err)
}

func (p *player) leave(id string) (did, error) {
	r, err := ask(p.intruder, chat.Leave, chat.SessionRequest{Session: id})
	return p.done("leave", r, err)
}

func (p *player) done(verb string, r chat.SessionReply, err error) (did, error) {
	if err == nil {
		p.hear(r)
	} else if e, ok := err.(*chat.Error); !ok || e.Code == chat.Internal || e.Code == chat.Timeout || e.Code == chat.NotRegistered {
		p.t.Errorf("%s: %s: %v", p.user, verb, err)
	}
	return did{verb, p.user, r}, err
}

// books are the stored records, and judge what they say.
type books struct {
	t  *testing.T
	js jetstream.JetStream

	mu       sync.Mutex
	sessions map[string]chat.SessionReply
	opened   map[string]bool
	judged   map[string]bool // compared already; late notices of it may still come
}

// openBooks follows the records of sessions as they are stored.
func openBooks(t *testing.T, in *chattest.Installation) *books {
	t.Helper()
	nc := brokertest.Dial(t, in.Server, chat.StoringGrant(), chat.StoreInbox)
	js, err := jetstream.New(nc.Conn)
	if err != nil {
		t.Fatal(err)
	}
	b := &books{t: t, js: js, sessions: map[string]chat.SessionReply{}, opened: map[string]bool{}, judged: map[string]bool{}}
	cons, err := js.OrderedConsumer(t.Context(), broker.LiveStream, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{chat.StateRoot + ".session.*"},
	})
	if err != nil {
		t.Fatal(err)
	}
	follow, err := cons.Consume(b.enter)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { follow.Stop(); <-follow.Closed() })
	return b
}

func (b *books) enter(m jetstream.Msg) {
	var s chat.Session
	meta, err := m.Metadata()
	if err == nil {
		err = json.Unmarshal(m.Data(), &s)
	}
	if err != nil {
		b.t.Errorf("%s: %v", m.Subject(), err)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !strings.HasSuffix(m.Subject(), "."+s.ID) {
		b.t.Errorf("%s holds %+v", m.Subject(), s)
	}
	if before := b.sessions[s.ID].Session; stage(s) < stage(before) || before.State == chat.Closed {
		b.t.Errorf("%+v is followed by %+v", before, s)
	}
	b.sessions[s.ID] = chat.SessionReply{Session: s, Revision: meta.Sequence.Stream}
	switch s.State {
	case chat.Open:
		b.opened[s.ID] = true
		b.judge(s)
	case chat.Closed: // the open state may have been overwritten before it could be read
		ends := []chat.Reason{chat.ByQuit, chat.ByBye, chat.ByLeave, chat.ByLoss}
		b.opened[s.ID] = b.opened[s.ID] || slices.Contains(ends, s.Reason)
	}
}

// judge: everybody in a session has accepted it, and is in no other one.
func (b *books) judge(s chat.Session) {
	for _, m := range s.Members {
		if !m.Accepted {
			b.t.Errorf("%s never accepted %+v", m.Name, s)
		}
	}
	for id, other := range b.sessions {
		if id == s.ID || other.Session.State != chat.Open {
			continue
		}
		for _, m := range s.Present() {
			if _, in := other.Session.Member(m.User()); in {
				b.t.Errorf("%s is in %+v and in %+v", m.Name, s, other.Session)
			}
		}
	}
}

func (b *books) find(id string) (chat.SessionReply, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sessions[id], b.opened[id]
}

// match compares what everybody was told in the end with what is stored, and returns
// what was new.
func (b *books) match(players []*player, steps []did) []string {
	b.t.Helper()
	var ids []string
	for _, p := range players {
		p.mu.Lock()
		for id := range p.known {
			if !b.judged[id] {
				b.judged[id] = true
				ids = append(ids, id)
			}
		}
		p.mu.Unlock()
	}
	for _, id := range ids {
		b.matchOne(players, id)
	}
	for _, s := range steps {
		final, opened := b.find(s.was.Session.ID)
		reason := final.Session.Reason
		wrong := false
		switch s.verb {
		case "withdraw":
			wrong = opened || reason != chat.ByWithdraw
		case "deny":
			wrong = opened || reason != chat.ByDeny
		case "quit":
			wrong = !opened || reason != chat.ByQuit
		case "leave":
			wrong = !opened
		case "accept":
			wrong = s.was.Session.State == chat.Open && reason != chat.ByQuit && reason != chat.ByLeave
		}
		if wrong {
			b.t.Errorf("%s was told of %+v after a %s; it became %+v", s.by, s.was.Session, s.verb, final.Session)
		}
	}
	return ids
}

func (b *books) matchOne(players []*player, id string) {
	b.t.Helper()
	closed := func() bool { final, _ := b.find(id); return final.Session.State == chat.Closed }
	eventually(b.t, "the end of "+id, closed)
	final, _ := b.find(id)
	for _, p := range players {
		if _, in := final.Session.Member(p.user); !in {
			if p.last(id).Revision > 0 && !left(final.Session, p.user) {
				b.t.Errorf("%s was told of %+v", p.user, final.Session)
			}
			continue
		}
		eventually(b.t, fmt.Sprintf("%s hears of the end of %s", p.user, id), func() bool { return p.last(id).Revision >= final.Revision })
		told := p.last(id).Session
		if told.State != final.Session.State || told.Reason != final.Session.Reason || !slices.Equal(told.By, final.Session.By) {
			b.t.Errorf("%s was told %+v, stored is %+v", p.user, told, final.Session)
		}
	}
}

// left reports whether somebody left a session before its end, which they are not told.
func left(s chat.Session, u chat.User) bool {
	return slices.ContainsFunc(s.Members, func(m chat.Member) bool { return m.User() == u && m.Left != "" })
}

// endAll ends all that goes on.
func endAll(t *testing.T, players []*player) []did {
	var steps []did
	eventually(t, "everything is over", func() bool {
		over := true
		for _, p := range players {
			for _, s := range p.live() {
				over = false
				d, err := did{}, error(nil)
				switch {
				case s.State == chat.Open:
					d, err = p.quit(s.ID)
				case s.Host == p.user:
					d, err = p.withdraw(s.ID)
				default:
					d, err = p.answer(s.ID, false)
				}
				if err == nil {
					steps = append(steps, d)
				}
			}
		}
		return over
	})
	return steps
}

// move is something a player does when the race begins.
type move func() (did, error)

// draws are the situations and what can be done at once in them.
var draws = map[string]func(*testing.T, *rand.Rand, []*player) []move{
	"accept and withdraw": func(t *testing.T, _ *rand.Rand, p []*player) []move {
		id := p[0].asks(t, p[1])
		return []move{p[1].accepts(id), p[0].withdraws(id)}
	},
	"two accepts": func(t *testing.T, _ *rand.Rand, p []*player) []move {
		a, b := p[0].asks(t, p[2]), p[1].asks(t, p[2])
		return []move{p[2].accepts(a), p[2].accepts(b)}
	},
	"accept and deny": func(t *testing.T, _ *rand.Rand, p []*player) []move {
		id := p[0].asks(t, p[1])
		return []move{p[1].accepts(id), p[1].denies(id), p[1].accepts(id)}
	},
	"both quit": func(t *testing.T, _ *rand.Rand, p []*player) []move {
		id := p[0].chats(t, p[1])
		return []move{p[0].quits(id), p[1].quits(id)}
	},
	"crossing": func(_ *testing.T, _ *rand.Rand, p []*player) []move {
		return []move{p[0].invites(p[1]), p[1].invites(p[0])}
	},
	"three invite one": func(_ *testing.T, _ *rand.Rand, p []*player) []move {
		return []move{p[0].invites(p[3]), p[1].invites(p[3]), p[2].invites(p[3])}
	},
	"a ring": func(_ *testing.T, _ *rand.Rand, p []*player) []move {
		return []move{p[0].invites(p[1]), p[1].invites(p[2]), p[2].invites(p[0])}
	},
	"accepts in a ring": func(t *testing.T, _ *rand.Rand, p []*player) []move {
		a, b, c := p[0].asks(t, p[1]), p[1].asks(t, p[2]), p[2].asks(t, p[0])
		return []move{p[1].accepts(a), p[2].accepts(b), p[0].accepts(c)}
	},
	"quit, and invited again": func(t *testing.T, _ *rand.Rand, p []*player) []move {
		id := p[0].chats(t, p[1])
		return []move{p[0].quits(id), p[2].invites(p[1]), p[1].invites(p[0])}
	},
	"a group and a pair": func(t *testing.T, _ *rand.Rand, p []*player) []move {
		g := p[0].asks(t, p[1], p[2])
		id := p[3].asks(t, p[1])
		return []move{p[1].accepts(g), p[2].accepts(g), p[1].accepts(id)}
	},
	"anything": func(t *testing.T, r *rand.Rand, p []*player) []move {
		a, b := p[0].asks(t, p[1]), p[2].asks(t, p[3])
		all := []move{
			p[1].accepts(a), p[1].denies(a), p[0].withdraws(a), p[3].accepts(b), p[2].withdraws(b),
			p[1].invites(p[2]), p[3].invites(p[1]), p[0].quits(a), p[1].quits(a), p[3].invites(p[0], p[1]),
		}
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		return all[:2+r.IntN(5)]
	},
}

func names(players []*player) []string {
	var found []string
	for _, p := range players {
		found = append(found, string(p.user))
	}
	return found
}

// castFor is how many races the same players run: their first tickets are good for a minute,
// and they ask for no others.
const castFor = 200

// newCast has four new players come and the old ones go.
func newCast(t *testing.T, in *chattest.Installation, old []*player, n int) (players []*player) {
	for _, p := range old {
		must(ask(p.intruder, chat.Exit, chat.ExitRequest{}))(t)
		p.Close()
	}
	for _, name := range []string{"ann", "ben", "cid", "dot"} {
		players = append(players, play(t, in, fmt.Sprint(name, n)))
	}
	return players
}

// Both sides show the same outcome, and nobody is ever in two chats.
func TestRacesOfSessions(t *testing.T) {
	for _, replicas := range []int{1, 2, 3} {
		t.Run(fmt.Sprint(replicas), func(t *testing.T) {
			in := chattest.Run(t, quiet, beside)
			for range replicas - 1 {
				in.Start()
			}
			stored := openBooks(t, in)
			var players []*player
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			r := rand.New(rand.NewPCG(seed, 0))
			all := maps.Clone(draws)
			maps.Copy(all, groupDraws)
			kinds := slices.Sorted(maps.Keys(all))
			reached := map[string]int{}
			for n := range races(25 * len(kinds)) {
				if n%castFor == 0 {
					players = newCast(t, in, players, n/castFor)
				}
				kind := kinds[n%len(kinds)]
				r.Shuffle(len(players), func(i, j int) { players[i], players[j] = players[j], players[i] })
				moves := all[kind](t, r, players)
				r.Shuffle(len(moves), func(i, j int) { moves[i], moves[j] = moves[j], moves[i] })
				steps := atOnce(moves)
				stored.settle(players, steps, reached)
				if t.Failed() {
					t.Fatalf("in race %d of seed %d, %s", n, seed, kind)
				}
			}
			t.Logf("%d races", races(25*len(kinds)))
			for _, outcome := range slices.Sorted(maps.Keys(reached)) {
				t.Logf("%5d %s", reached[outcome], outcome)
			}
		})
	}
}

// settle lets everything that is still open end, and compares.
func (b *books) settle(players []*player, steps []did, reached map[string]int) {
	b.t.Helper()
	for _, id := range b.match(players, append(steps, endAll(b.t, players)...)) {
		final, opened := b.find(id)
		how := "invitation "
		if opened {
			how = "chat "
		}
		reached[how+string(final.Session.Reason)]++
	}
}

// beside has replicas know of each other.
func beside(c *coord.Config) { c.Shared = true }
