package chattest_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"natter/chat"
	"natter/internal/chattest"
)

// act is one call in a history; told is what came back.
type act struct {
	verb       string
	user, with chat.User // with is who is invited
	id         string    // of the session that is meant; "" for an invitation
}

type told struct {
	code  chat.Code // "" is success
	id    string
	state chat.State
}

// pair is a session of two in the model. Others' chats end an invitation a little
// later, or not if they are over by then: such a one is in doubt until somebody
// finds out.
type pair struct {
	id          string
	host, guest chat.User
	open, doubt bool
}

func (p pair) has(u chat.User) bool { return p.host == u || p.guest == u }

// may reports whether the session is one that the caller can do this to.
func (p pair) may(a act) bool {
	switch a.verb {
	case "accept": // whoever is in the chat already is told so
		return p.guest == a.user || p.open && p.has(a.user)
	case "deny":
		return p.guest == a.user
	case "withdraw":
		return p.host == a.user
	case "quit":
		return p.has(a.user)
	}
	return true
}

// world is all that has not ended, ordered by id.
type world []pair

func (w world) find(id string) (pair, bool) {
	for _, p := range w {
		if p.id == id {
			return p, true
		}
	}
	return pair{}, false
}

func (w world) busy(u chat.User) bool {
	return slices.ContainsFunc(w, func(p pair) bool { return p.open && p.has(u) })
}

func (w world) without(drop func(pair) bool) world {
	return slices.DeleteFunc(slices.Clone(w), drop)
}

func (w world) with(p pair) world {
	w = append(w.without(func(o pair) bool { return o.id == p.id }), p)
	slices.SortFunc(w, func(a, b pair) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	return w
}

// opened is the world after a chat has begun.
func (w world) opened(p pair) world {
	p.open, p.doubt = true, false
	w = w.with(p)
	for i, o := range w {
		w[i].doubt = o.doubt || !o.open && (o.has(p.host) || o.has(p.guest))
	}
	return w
}

func (w world) closed(id string) world { return w.without(func(p pair) bool { return p.id == id }) }

// step is what the promises say about one call: whether this answer may be given, and
// what is so after it. It is written down here once more, on purpose, and not taken
// from the rules.
func (w world) step(a act, r told) (bool, world) {
	p, here := w.find(a.id)
	free := func() bool { return !w.busy(p.host) && !w.busy(p.guest) }
	if refused := r.code == chat.NotInChat || r.code == chat.NothingToDo; here && !p.may(a) {
		return refused, w // it is none of their business
	}
	switch a.verb {
	case "invite":
		return w.invite(a, r)
	case "quit":
		switch {
		case r.code == chat.NotInChat:
			return !here || !p.open, w
		case r.code == "":
			return !here || p.open, w.closed(a.id)
		}
	case "withdraw", "deny":
		switch {
		case r.code == chat.NothingToDo:
			return w.ended(p, here)
		case r.code == "":
			return !here || !p.open, w.closed(a.id) // done before is done
		}
	case "accept":
		switch {
		case r.code == chat.NothingToDo:
			return w.ended(p, here)
		case r.code == chat.InChat:
			return here && !p.open && w.busy(a.user), w
		case r.code == "" && r.state == chat.Open:
			return here && (p.open || free()), w.opened(p)
		case r.code == "" && r.state == chat.Closed:
			return here && !p.open && w.busy(p.host), w.closed(a.id)
		}
	}
	return false, w
}

// ended is the answer that an invitation is over; one in doubt then is.
func (w world) ended(p pair, here bool) (bool, world) {
	if here && !p.open {
		return p.doubt, w.closed(p.id)
	}
	return true, w
}

func (w world) invite(a act, r told) (bool, world) {
	mine := func(p pair) bool { return !p.open && p.host == a.user }
	crossing := func(p pair) bool { return !p.open && p.host == a.with && p.guest == a.user }
	p, here := w.find(r.id)
	switch {
	case r.code == chat.InChat:
		return w.busy(a.user), w
	case r.code == chat.Busy:
		return w.busy(a.with) || slices.ContainsFunc(w, mine), w
	case r.code == "" && r.state == chat.Open && here && p.open: // asked again: it has accepted theirs
		return p.host == a.with && p.guest == a.user, w
	case r.code != "" || w.busy(a.user):
		return false, w
	case r.state == chat.Open:
		return here && crossing(p) && !w.busy(a.with), w.opened(p)
	case r.state == chat.Closed:
		return here && crossing(p) && w.busy(a.with), w.closed(r.id)
	case here: // asked again
		return mine(p) && p.guest == a.with, w
	}
	certain := func(p pair) bool { return !p.doubt && (mine(p) || crossing(p)) }
	if w.busy(a.with) || slices.ContainsFunc(w, certain) {
		return false, w
	}
	w = w.without(func(p pair) bool { return mine(p) || crossing(p) }) // they had been in doubt
	return true, w.with(pair{id: r.id, host: a.user, guest: a.with})
}

var sessionModel = porcupine.Model{
	Init: func() any { return world(nil) },
	Step: func(state, input, output any) (bool, any) {
		ok, w := state.(world).step(input.(act), output.(told))
		return ok, w
	},
	Equal: func(a, b any) bool { return slices.Equal(a.(world), b.(world)) },
	DescribeOperation: func(input, output any) string {
		return fmt.Sprintf("%+v -> %+v", input, output)
	},
}

// board is where clients find the ids of sessions.
type board struct {
	mu  sync.Mutex
	ids []string
}

func (b *board) note(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(b.ids, id) {
		b.ids = append(b.ids, id)
	}
}

// recent is one of the last few ids.
func (b *board) recent(r *rand.Rand) (string, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.ids) == 0 {
		return "", false
	}
	last := b.ids[max(0, len(b.ids)-5):]
	return last[r.IntN(len(last))], true
}

// record plays clients against an installation and writes down what they were told. What
// they try is drawn from a seed; in which order it happens is not.
func record(t *testing.T, users []*intruder, seed uint64, clients, ops int) []porcupine.Operation {
	t.Helper()
	b, start := &board{}, time.Now()
	var mu sync.Mutex
	var history []porcupine.Operation
	var wg sync.WaitGroup
	for c := range clients {
		r := rand.New(rand.NewPCG(seed, uint64(c)))
		wg.Go(func() {
			for range ops {
				u := users[c%len(users)]
				a := draw(r, u, users, b)
				op := porcupine.Operation{ClientId: c, Input: a, Call: int64(time.Since(start))}
				op.Output = perform(t, u, a)
				op.Return = int64(time.Since(start))
				if id := op.Output.(told).id; id != "" {
					b.note(id)
				}
				mu.Lock()
				history = append(history, op)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return history
}

func draw(r *rand.Rand, u *intruder, users []*intruder, b *board) act {
	verbs := []string{"invite", "accept", "accept", "accept", "deny", "withdraw", "quit", "quit", "quit"}
	a := act{verb: verbs[r.IntN(len(verbs))], user: u.user}
	id, ok := b.recent(r)
	if a.verb != "invite" && ok {
		a.id = id
		return a
	}
	a.verb = "invite"
	for a.with == "" || a.with == u.user {
		a.with = users[r.IntN(len(users))].user
	}
	return a
}

func perform(t *testing.T, u *intruder, a act) told {
	var r chat.SessionReply
	var err error
	switch a.verb {
	case "invite":
		r, err = ask(u, chat.Invite, chat.InviteRequest{Guests: []string{string(a.with)}, Session: chat.NewSessionID()})
	case "accept", "deny":
		r, err = ask(u, chat.Answer, chat.AnswerRequest{Session: a.id, Accept: a.verb == "accept"})
	case "withdraw":
		r, err = ask(u, chat.Withdraw, chat.SessionRequest{Session: a.id})
	case "quit":
		r, err = ask(u, chat.End, chat.EndRequest{Session: a.id, Reason: chat.ByQuit})
	}
	var e *chat.Error
	if errors.As(err, &e) {
		return told{code: e.Code}
	} else if err != nil {
		t.Error(err)
	}
	return told{id: r.Session.ID, state: r.Session.State}
}

// What clients were told has an order in which it could have happened one by one.
func TestHistoriesAreLinearizable(t *testing.T) {
	for _, replicas := range []int{1, 3} {
		t.Run(fmt.Sprint(replicas), func(t *testing.T) {
			in := chattest.Run(t, quiet, beside)
			for range replicas - 1 {
				in.Start()
			}
			seed := rand.Uint64()
			t.Logf("seed %d, %d histories", seed, races(4))
			for n := range races(4) {
				history(t, in, n, seed+uint64(n))
				if t.Failed() {
					t.Fatalf("in history %d of seed %d", n, seed)
				}
			}
		})
	}
}

// history plays one among new users, and judges it. Where there are many, one of 50 is long.
func history(t *testing.T, in *chattest.Installation, n int, seed uint64) {
	var users []*intruder
	for u := range 6 {
		users = append(users, intrude(t, in, fmt.Sprintf("user%d-%d", n, u)))
	}
	calls := 60
	if n%50 == 49 {
		calls = 1000
	}
	judge(t, record(t, users, seed, 8, calls))
	for _, u := range users {
		must(ask(u, chat.Exit, chat.ExitRequest{}))(t)
		u.Close()
	}
}

func judge(t *testing.T, history []porcupine.Operation) {
	t.Helper()
	result, info := porcupine.CheckOperationsVerbose(sessionModel, history, time.Minute)
	if result == porcupine.Ok {
		return
	}
	t.Errorf("%d calls: %s", len(history), result)
	longest := slices.MaxFunc(info.PartialLinearizationsOperations()[0], func(a, b []porcupine.Operation) int { return len(a) - len(b) })
	w := world(nil)
	for i, op := range longest {
		_, w = w.step(op.Input.(act), op.Output.(told))
		if i >= len(longest)-20 {
			t.Log(op.Call, op.Return, sessionModel.DescribeOperation(op.Input, op.Output))
		}
	}
	t.Logf("then there is %+v, and nothing can come next of:", w)
	for _, op := range history {
		if !slices.Contains(longest, op) && op.Call <= longest[len(longest)-1].Return {
			t.Log(op.Call, op.Return, sessionModel.DescribeOperation(op.Input, op.Output))
		}
	}
}

// The judge sees what it is there for: two chats of one person at the same time, and
// an invitation that is both withdrawn and accepted.
func TestHistoriesWithAFaultAreSeen(t *testing.T) {
	at := func(n int, a act, r told) porcupine.Operation {
		return porcupine.Operation{ClientId: n % 8, Input: a, Output: r, Call: int64(10 * n), Return: int64(10*n + 5)}
	}
	asked := []porcupine.Operation{
		at(0, act{verb: "invite", user: "ann", with: "cid"}, told{id: "1", state: chat.Proposed}),
		at(1, act{verb: "invite", user: "ben", with: "cid"}, told{id: "2", state: chat.Proposed}),
		at(2, act{verb: "accept", user: "cid", id: "1"}, told{id: "1", state: chat.Open}),
	}
	for name, fault := range map[string]porcupine.Operation{
		"accepted twice":         at(3, act{verb: "accept", user: "cid", id: "2"}, told{id: "2", state: chat.Open}),
		"withdrawn and accepted": at(3, act{verb: "withdraw", user: "ann", id: "1"}, told{id: "1", state: chat.Closed}),
		"busy and invited":       at(3, act{verb: "invite", user: "dot", with: "ann"}, told{id: "3", state: chat.Proposed}),
	} {
		if porcupine.CheckOperations(sessionModel, append(slices.Clone(asked), fault)) {
			t.Errorf("%s: that is fine with the judge", name)
		}
	}
	if !porcupine.CheckOperations(sessionModel, asked) {
		t.Error("what is right is not fine with the judge")
	}
}
