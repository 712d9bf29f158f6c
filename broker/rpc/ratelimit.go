package rpc

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"natter/chat"
)

// Limits are how many requests a second one asker may have for long; 0 is no limit.
// chat.BurstFactor times as many may come at once, as after a lost connection, and
// chat.LobbyFactor times as many from one address in the lobby.
type Limits struct {
	Requests int // of one user
	Lobby    int // of one address in the lobby
	Invites  int // invitations among the requests of a user
	Lists    int // lists among them
}

// Excess is somebody who asks too much: a user, or an address in the lobby. With neither
// it is about all the others.
type Excess struct {
	User    chat.User
	Address string
	Text    string
}

// limiter refuses requests that are over a limit, before they cost anything. Refusals are
// themselves kept to the limit: what is beyond twice of it is not even answered, so that
// answering does not become the load.
type limiter struct {
	class   string // in metrics
	what    string // as in "Too many lists"
	ofHosts bool   // not of users
	closed  bool   // lets nothing through
	limit   int
	refused atomic.Uint64

	mu     sync.Mutex
	askers keyed[asker]
	over   []*asker // askers that were refused something since the last report
	more   int      // others, who are only counted
}

// asker is one user or address at a limiter.
type asker struct {
	key     string
	tokens  *rate.Limiter
	answers *rate.Limiter // of refusals
	since   time.Time     // asked counts from then on
	asked   int
	over    bool // refused something since the last report
}

func newLimiter(class, what string, ofHosts bool, limit int) *limiter {
	if limit <= 0 {
		return nil
	}
	g := &limiter{class: class, what: what, limit: limit, ofHosts: ofHosts}
	factor := chat.BurstFactor
	if ofHosts {
		factor = chat.LobbyFactor
	}
	fill := func(factor int) *rate.Limiter {
		return rate.NewLimiter(rate.Limit(limit), burst(float64(limit), factor))
	}
	g.askers = newKeyed(refill(factor), func(now time.Time) *asker {
		return &asker{tokens: fill(factor), answers: fill(chat.BurstFactor), since: now}
	})
	return g
}

const (
	reportEvery = time.Second // how often askers over a limit are reported
	mostReports = 16          // so many of them
)

// pass lets a request through, or returns why not, and whether to say so.
func (g *limiter) pass(key string, now time.Time) (refusal *chat.Error, tell bool) {
	if g == nil {
		return nil, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.askers.get(key, now)
	if !a.over && now.Sub(a.since) >= reportEvery {
		a.since, a.asked = now, 0
	}
	a.asked++
	wait := take(a.tokens, now)
	if wait == 0 {
		return nil, false
	}
	g.refused.Add(1)
	g.note(a, key)
	what := g.what
	if g.ofHosts {
		what += " from your address"
	}
	return TooFast(what, wait), a.answers.AllowN(now, 1)
}

// refuse refuses a request at a limiter that lets nothing through, and reports whether to say so.
func (g *limiter) refuse(key string, now time.Time) (tell bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.askers.get(key, now)
	if !a.over {
		a.since, a.asked = now, 0
	}
	a.asked++
	g.refused.Add(1)
	g.note(a, key)
	return a.answers.AllowN(now, 1)
}

// note has an asker told of in the next report.
func (g *limiter) note(a *asker, key string) {
	switch {
	case a.over:
	case len(g.over) < mostReports:
		a.key, a.over = key, true
		g.over = append(g.over, a)
	default:
		g.more++
	}
}

// report is who was refused something since the last report.
func (g *limiter) report(now time.Time) []Excess {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []Excess
	for _, a := range g.over {
		seconds := max(int(now.Sub(a.since).Round(time.Second)/time.Second), 1)
		what := g.what
		if a.asked == 1 {
			what = strings.TrimSuffix(what, "s")
		}
		e := Excess{Text: fmt.Sprintf("%d %s in %d s, limit %d; slowed down", a.asked, what, seconds, g.limit)}
		if g.closed {
			e.Text = fmt.Sprintf("%d %s in %d s; refused", a.asked, what, seconds)
		}
		if g.ofHosts {
			e.Address = a.key
		} else {
			e.User = chat.User(a.key)
		}
		all = append(all, e)
		a.over = false
	}
	if g.more > 0 {
		all = append(all, Excess{Text: fmt.Sprintf("%d more %s, limit %d; slowed down", g.more, g.what, g.limit)})
	}
	g.over, g.more = nil, 0
	return all
}

// TooFast is the error for somebody who is over a limit, and can go on after a while.
func TooFast(what string, wait time.Duration) *chat.Error {
	seconds := int(math.Ceil(wait.Seconds()))
	e := chat.Errorf(chat.Rate, "Too many %s; try again in %d s.", what, seconds)
	e.Wait = time.Duration(seconds) * time.Second
	return e
}

// limiters are those of a service.
type limiters struct {
	requests, lobby, invites, lists *limiter
	forged                          *limiter // lobby requests whose origin is not known

	mu      sync.Mutex
	pending bool // a report
}

func newLimiters(l Limits) *limiters {
	g := &limiters{
		requests: newLimiter("requests", "requests", false, l.Requests),
		lobby:    newLimiter("lobby", "requests", true, l.Lobby),
		invites:  newLimiter("invitations", "invitations", false, l.Invites),
		lists:    newLimiter("lists", "lists", false, l.Lists),
		forged:   newLimiter("forged", "forged requests", true, cmp.Or(l.Lobby, chat.RequestRate)),
	}
	g.forged.closed = true
	return g
}

func (g *limiters) all() []*limiter {
	return slices.DeleteFunc([]*limiter{g.requests, g.lobby, g.invites, g.lists, g.forged}, func(g *limiter) bool { return g == nil })
}

// pass lets a request through all limiters on its way. The operator, and those to whom
// the operator gave an observer's credentials, know what they do.
func (g *limiters) pass(r *chat.Route, c Caller, now time.Time) (refusal *chat.Error, tell bool) {
	switch r.From() {
	case chat.Anyone:
		return g.lobby.pass(network(c.Origin.Host), now)
	case chat.Operator, chat.Observer:
		return nil, false
	}
	special := (*limiter)(nil)
	switch r {
	case chat.Invite.Route:
		special = g.invites
	case chat.List.Route:
		special = g.lists
	}
	if refusal, tell = special.pass(string(c.User), now); refusal != nil {
		return refusal, tell
	}
	return g.requests.pass(string(c.User), now)
}

// due reports whether a report has to be asked for.
func (g *limiters) due() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	due := !g.pending
	g.pending = true
	return due
}

// report is what there is to tell of those who ask too much.
func (g *limiters) report(now time.Time) []Excess {
	g.mu.Lock()
	g.pending = false
	g.mu.Unlock()
	var all []Excess
	for _, limiter := range g.all() {
		all = append(all, limiter.report(now)...)
	}
	return all
}

// refused counts the requests that were refused, by class.
func (g *limiters) refused() map[string]uint64 {
	n := map[string]uint64{}
	for _, limiter := range g.all() {
		n[limiter.class] = limiter.refused.Load()
	}
	return n
}
