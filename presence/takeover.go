package presence

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nkeys"

	"natter/broker/rpc"
	"natter/broker/store"
	"natter/chat"
)

// closeWithin is how long an older terminal may take to close its connection itself after it
// was told to.
const closeWithin = 300 * time.Millisecond

// arrival makes the input of the rule from a hello. If nobody is connected with the key that the
// name belongs to by now, the asker is not its owner: the subject says which user the ticket is
// for, but not which key it was made for.
func (s *Service) arrival(ctx context.Context, q chat.HelloRequest, key string) (Arrival, error) {
	unheard := chat.Errorf(chat.Timeout, "The coordinator does not know your connection yet; try again.")
	find := func() (Connection, bool) { return s.live.Find(ctx, key) }
	if q.Place != nil { // only there: a late hello may be of a connection that is closed
		find = func() (Connection, bool) { return s.live.at(ctx, key, connID{q.Place.Server, q.Place.Connection}) }
	}
	conn, ok := find()
	if !ok {
		return Arrival{}, unheard
	}
	row, _ := s.Users.Get(store.Committed, string(q.Name.User()))
	here := row.Record.Present() && row.Record.Key == key
	known := row.Record.Connection
	switch {
	case here && row.Record.Terminal == q.Terminal && known.Server == conn.Server && known.ID == conn.ID:
		conn = known // with the port
	case !here || row.Record.Terminal != q.Terminal || known.ID == 0:
		gone := false
		if conn, gone = s.live.withPort(ctx, conn); here && gone {
			return Arrival{}, unheard // a delayed try of a program that has ended
		}
	}
	old := s.live.speaks(key, connID{conn.Server, conn.ID})
	if old && hasLeft(s, q.Name.User(), key) {
		return Arrival{}, errGivenBack
	}
	return Arrival{
		Old:  old,
		Name: q.Name, Key: key, Presence: q.Presence, Connection: conn, Terminal: q.Terminal, Takeover: q.Takeover,
		Elsewhere: s.live.Elsewhere(key, conn.Server, conn.ID),
	}, nil
}

// superseded tells an older terminal that another one has taken its place, and closes its
// connections a moment later. Both terminals receive the notice, which has the place of the new
// one.
func (s *Service) superseded(c store.Change[Record]) {
	before, after := c.Before, c.Record
	if !TakenOver(before, after) {
		return
	}
	s.Audit.Action(chat.Audit{
		Event: "user.takeover", User: after.Name, Address: after.Connection.Address,
		Text: fmt.Sprintf("%s signed in on another terminal, %s; the older one is signed out", after.Name, after.Connection.Address),
	})
	by := chat.Place{Server: after.Connection.Server, Connection: after.Connection.ID}
	out := chat.SignedOut{By: &by, Revision: c.Revision, Installation: s.log.Installation()}
	if err := rpc.Tell(s.Notices, chat.UserServer, chat.Address{User: after.User()}, chat.ServerNotice{SignedOut: &out}); err != nil {
		s.Log.Warn("tell an older terminal", "user", after.User(), "err", err)
	}
	s.jobs.After(string(after.User())+" close", closeWithin, "disconnect an older terminal", func(context.Context) error { return s.disconnectOthers(after.User()) })
}

// disconnectOthers closes the connections of a user's key but the one where the user is, and
// those of other names of the same key.
func (s *Service) disconnectOthers(u chat.User) error {
	row, _ := s.Users.Get(store.Committed, string(u))
	if !row.Record.Present() {
		return nil
	}
	all := s.Users.By(store.Committed, row.Record.Key)
	return s.live.Disconnect(s.live.LinksOf(row.Record.Key, func(c Link) bool {
		return !slices.ContainsFunc(all, func(other store.Row[Record]) bool { return other.Record.isAt(c) })
	}))
}

// isAt reports whether a connection is the user's. If the user came through the lobby and has not
// said hello since, any connection with their key is.
func (r Record) isAt(c Link) bool {
	if r.Connection.ID == 0 {
		return !c.Member && c.Key == r.Key && c.Holder == r.User()
	}
	return r.Connection.Server == c.Server && r.Connection.ID == c.ID
}

// newsFor is how long the event of a connection may take before its server is asked whether it
// has the connection: to answer, it must go through all that it has.
const newsFor = 500 * time.Millisecond

// at returns a connection of a key's owner. It waits for the event of the connection as Find
// does, but not so long for a connection that its server does not have.
func (l *Liveness) at(ctx context.Context, key string, id connID) (Connection, bool) {
	if !nkeys.IsValidPublicServerKey(id.server) { // it becomes part of a subject
		return Connection{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	soon, asked := time.After(newsFor), false
	for news := l.news(key, id); news != nil; news = l.news(key, id) {
		select {
		case <-news:
			continue
		case <-soon:
			asked = l.has(ctx, key, id)
		case <-ctx.Done():
		}
		if (!asked || ctx.Err() != nil) && l.news(key, id) != nil {
			l.giveUp(key)
			return Connection{}, false
		}
	}
	return l.connection(key, id), true
}

// news returns nil if a connection of a key's owner is known, and otherwise a channel that is
// closed when they connect.
func (l *Liveness) news(key string, id connID) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, there := l.conns[key][id]; there {
		return nil
	}
	return l.coming(key)
}

// has asks a server whether it has a connection of a key's owner.
func (l *Liveness) has(ctx context.Context, key string, id connID) bool {
	q := fmt.Appendf(nil, `{"cid":%d,"auth":true}`, id.id)
	m, err := l.ask(ctx, id.server, q)
	if err != nil {
		return false
	}
	found := map[connID]Link{}
	_, _, err = readPage(m, id.server, found)
	return err == nil && found[id].Key == key
}
