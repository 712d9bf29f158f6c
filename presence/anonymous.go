package presence

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"natter/broker/rpc"
	"natter/chat"
)

// anonymous is a connection without a user: one in the lobby, or one that has not authenticated yet.
type anonymous struct {
	id      connID
	network string // as in broker.Network
	age     time.Duration
	sent    int64     // messages that the server has counted
	used    time.Time // last: a message, or else the connection itself
}

// oldest sorts anonymous connections: the least recently used first.
func oldest(a, b anonymous) int {
	return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.id.id, b.id.id))
}

// crowded returns the anonymous connections beyond most from one network, the least recently used ones. 0 is
// no limit.
func crowded(all []anonymous, most int) []anonymous {
	if most <= 0 {
		return nil
	}
	var over []anonymous
	for _, same := range byNetwork(all) {
		over = append(over, same[:max(len(same)-most, 0)]...)
	}
	return over
}

// idle returns the anonymous connections that were not used for a time. 0 is no limit.
func idle(all []anonymous, most time.Duration, now time.Time) []anonymous {
	return slices.DeleteFunc(slices.Clone(all), func(g anonymous) bool { return most <= 0 || now.Sub(g.used) < most })
}

// fewest returns n anonymous connections to close so that others can connect. Each is the least recently used
// one of the network that has most at that point.
func fewest(all []anonymous, n int) []anonymous {
	type ranked struct {
		anonymous
		left int // of its network, when it goes
	}
	var order []ranked
	for _, same := range byNetwork(all) {
		for i, g := range same {
			order = append(order, ranked{g, len(same) - i})
		}
	}
	slices.SortFunc(order, func(a, b ranked) int { return cmp.Or(cmp.Compare(b.left, a.left), oldest(a.anonymous, b.anonymous)) })
	var out []anonymous
	for _, r := range order[:min(max(n, 0), len(order))] {
		out = append(out, r.anonymous)
	}
	return out
}

func byNetwork(all []anonymous) map[string][]anonymous {
	networks := map[string][]anonymous{}
	for _, g := range all {
		networks[g.network] = append(networks[g.network], g)
	}
	for _, same := range networks {
		slices.SortFunc(same, oldest)
	}
	return networks
}

// mostReserve bounds how many connections a server keeps free for newcomers.
const mostReserve = 256

// short returns how many anonymous connections must be closed so that a server with have of at most most
// connections has some free; most is 0 if it is not known. The newest anonymous connections stay, however many
// users are connected, because some of them are about to sign in.
func short(have, most, anonymous int) int {
	if most <= 0 {
		return 0
	}
	reserve := min(max(most/8, 2), mostReserve)
	return max(min(have-(most-reserve), anonymous-reserve/2), 0)
}

// uses remembers when anonymous connections were used.
type uses map[connID]anonymous

// note sets the last use of anonymous connections that were found on servers that answered, and forgets all
// others there.
func (u uses) note(found []anonymous, answered map[string]bool, now time.Time) []anonymous {
	next := uses{}
	for i, g := range found {
		before, known := u[g.id]
		switch {
		case known && before.sent == g.sent:
			found[i].used = before.used
		case g.sent == 0:
			found[i].used = now.Add(-g.age)
		default:
			found[i].used = now
		}
		next[g.id] = found[i]
	}
	maps.DeleteFunc(u, func(id connID, _ anonymous) bool { return answered[id.server] })
	maps.Copy(u, next)
	return found
}

// Reasons why connections without a user are closed.
const (
	ForIdle    = "idle"    // not used for too long
	ForAddress = "address" // too many from one address
	ForRoom    = "room"    // the server was about to have no connection left
)

// anonymousCounts counts the anonymous connections, and the ones that were closed.
type anonymousCounts struct {
	account string // public key of the lobby; "" until a request says it

	mu     sync.Mutex
	now    int
	closed map[string]uint64 // by reason
	told   map[string]time.Time
	uses   uses
}

// lobbyIs sets the account of the lobby, if it is not known yet.
func (l *anonymousCounts) lobbyIs(account string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.account = cmp.Or(l.account, account)
}

func (l *anonymousCounts) lobby() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.account
}

// Lobby counts the connections in the lobby, and those without a user that this replica has
// closed, by reason.
func (s *Service) Lobby() (now int, closed map[string]uint64) {
	s.anonymous.mu.Lock()
	defer s.anonymous.mu.Unlock()
	return s.anonymous.now, maps.Clone(s.anonymous.closed)
}

const (
	lookEvery     = 500 * time.Millisecond // who is in the lobby
	countEvery    = 50 * time.Millisecond  // how many connections our own server has, when it may soon have hardly one left
	countLess     = 250 * time.Millisecond // and otherwise
	lookPause     = 4                      // times as long as the last look took, if that is longer
	mostAnonymous = 16_384                 // that are looked at, of one server and account
	nobodyYet     = "$G"                   // the account of connections that have not authenticated
)

// WatchLobby closes connections without a user until ctx is done: unused ones, those beyond the
// limit of one address and, where a server has hardly a connection left, those of the address
// that has most.
func (s *Service) WatchLobby(ctx context.Context) {
	next := time.Now()
	for wait := countEvery; ; {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		begin, took := time.Now(), time.Duration(0)
		if !begin.Before(next) || s.ownIsShort() {
			s.checkAnonymous(ctx)
			took = time.Since(begin)
			next = time.Now().Add(max(lookEvery, lookPause*took))
		}
		wait = max(countIn(s.Connections), lookPause*took)
	}
}

// countIn is when it is looked again how many connections there are. One that fills up from
// half takes longer than countLess.
func countIn(connections func() (have, most int)) time.Duration {
	if connections == nil {
		return lookEvery
	}
	if have, most := connections(); most > 0 && have >= most/2 {
		return countEvery
	}
	return countLess
}

// ownIsShort reports whether the server in this process has hardly a connection left.
func (s *Service) ownIsShort() bool {
	if s.Connections == nil {
		return false
	}
	have, most := s.Connections()
	return short(have, most, have) > 0
}

func (s *Service) checkAnonymous(ctx context.Context) {
	lobby := s.anonymous.lobby()
	var found []anonymous
	answered := map[string]bool{}
	for _, server := range s.live.anonymousServers(s.Shared) {
		if lobby == "" {
			break
		}
		some, err := s.live.anonymousOf(ctx, server, lobby)
		if err != nil {
			continue // the server has stopped, or answers the next time
		}
		found, answered[server] = append(found, some...), true
	}
	now := time.Now()
	s.anonymous.mu.Lock()
	found = s.anonymous.uses.note(found, answered, now)
	s.anonymous.now = len(found)
	s.anonymous.mu.Unlock()
	out := map[connID]bool{}
	s.close(ForIdle, idle(found, s.ConnLimits.LobbyIdle, now), out)
	s.close(ForAddress, crowded(found, s.ConnLimits.Lobby), out)
	for _, server := range s.live.anonymousServers(s.Shared) {
		s.makeRoom(ctx, server, slices.DeleteFunc(slices.Clone(found), func(g anonymous) bool { return g.id.server != server }), out)
	}
}

// makeRoom closes anonymous connections of a server that has hardly a connection left. Only then does it look
// at anonymous connections that have not authenticated: the server itself closes them soon.
func (s *Service) makeRoom(ctx context.Context, server string, all []anonymous, out map[connID]bool) {
	have, most, err := s.connectionsOf(ctx, server)
	if err != nil || short(have, most, have) == 0 {
		return
	}
	silent, err := s.live.anonymousOf(ctx, server, nobodyYet)
	if err != nil {
		return
	}
	all = append(all, uses{}.note(silent, nil, time.Now())...)
	gone := 0
	all = slices.DeleteFunc(all, func(g anonymous) bool {
		if out[g.id] {
			gone++
		}
		return out[g.id]
	})
	s.close(ForRoom, fewest(all, short(have-gone, most, len(all))), out)
}

func (s *Service) connectionsOf(ctx context.Context, server string) (have, most int, err error) {
	if s.Connections != nil {
		have, most = s.Connections()
		return have, most, nil
	}
	return s.live.connectionsOf(ctx, server)
}

// tellEvery is how often a reason is written to the audit log: there may be thousands a minute.
const tellEvery = time.Minute

// close closes anonymous connections that are not in out yet, and notes them there.
func (s *Service) close(reason string, some []anonymous, out map[connID]bool) {
	some = slices.DeleteFunc(some, func(g anonymous) bool { return out[g.id] })
	if len(some) == 0 {
		return
	}
	var links []Link
	for _, g := range some {
		out[g.id] = true
		links = append(links, Link{Server: g.id.server, ID: g.id.id})
	}
	if err := s.live.Disconnect(links); err != nil {
		s.Log.Warn("close connections without a user", "reason", reason, "err", err)
		return
	}
	s.tellClosed(reason, some)
}

// tellClosed counts connections that were closed, and writes to the audit log which address had most.
func (s *Service) tellClosed(reason string, some []anonymous) {
	g := &s.anonymous
	g.mu.Lock()
	g.closed[reason] += uint64(len(some))
	tell := reason != ForIdle && time.Since(g.told[reason]) >= tellEvery
	if tell {
		g.told[reason] = time.Now()
	}
	g.mu.Unlock()
	if !tell {
		return
	}
	from, most := "", 0
	for network, same := range byNetwork(some) {
		if len(same) > most {
			from, most = network, len(same)
		}
	}
	text := fmt.Sprintf("%s: more than %d connections in the lobby; the oldest unused ones are closed", from, s.ConnLimits.Lobby)
	if reason == ForRoom {
		text = fmt.Sprintf("the server has hardly a connection left: %d without a user are closed, most of them from %s", len(some), from)
	}
	s.Audit.Refused(chat.Audit{Event: "limit", Code: chat.Rate, Address: from, Text: text})
}

// anonymousServers returns the servers whose anonymous connections this replica watches.
func (l *Liveness) anonymousServers(shared bool) []string {
	own := l.nc.ConnectedServerId()
	if !shared {
		return []string{own}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.Collect(maps.Values(l.names))
	if own != "" && !slices.Contains(all, own) {
		all = append(all, own)
	}
	slices.Sort(all)
	return all
}

// anonymousOf lists a server's connections of an account without users.
func (l *Liveness) anonymousOf(ctx context.Context, server, account string) ([]anonymous, error) {
	m, err := l.ask(ctx, server, fmt.Appendf(nil, `{"acc":%q,"limit":%d}`, account, mostAnonymous))
	if err != nil {
		return nil, err
	}
	var reply struct {
		Data struct {
			Now         time.Time `json:"now"`
			Connections []struct {
				ID    uint64    `json:"cid"`
				IP    string    `json:"ip"`
				Start time.Time `json:"start"`
				Sent  int64     `json:"in_msgs"`
			} `json:"connections"`
		} `json:"data"`
	}
	if err := json.Unmarshal(m.Data, &reply); err != nil {
		return nil, err
	}
	var found []anonymous
	for _, c := range reply.Data.Connections {
		found = append(found, anonymous{
			id: connID{server, c.ID}, network: rpc.Network(c.IP), sent: c.Sent, age: max(reply.Data.Now.Sub(c.Start), 0),
		})
	}
	return found, nil
}

// connectionsOf asks a server how many connections it has, and how many it may have.
func (l *Liveness) connectionsOf(ctx context.Context, server string) (have, most int, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerFor)
	defer cancel()
	m, err := l.nc.RequestWithContext(ctx, "$SYS.REQ.SERVER."+server+".VARZ", nil)
	if err != nil {
		return 0, 0, err
	}
	var reply struct {
		Data struct {
			Have int `json:"connections"`
			Most int `json:"max_connections"`
		} `json:"data"`
	}
	err = json.Unmarshal(m.Data, &reply)
	return reply.Data.Have, reply.Data.Most, err
}
