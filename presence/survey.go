package presence

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	surveyEvery = 5 * time.Second
	surveyPause = 10                     // times as long as the last survey took, if that is longer
	surveyLate  = 15 * time.Second       // and never longer than this
	answerFor   = 2 * time.Second        // within which a server answers
	quietFor    = 250 * time.Millisecond // after which no other server answers, if all known ones have
	numbersPage = 16_384                 // connections in one answer, of about 400 bytes each
	ticketsPage = 4096                   // the same with their tickets, which the server reads anew each time
	overlap     = 1024                   // of those before, in the next answer as well: so many may have ended meanwhile
)

// Survey asks all servers for their connections and corrects what is known from events: a server
// that dies sends no events about its clients, and a replica that starts has seen none.
func (l *Liveness) Survey(ctx context.Context) error {
	servers, err := l.servers(ctx)
	if err != nil {
		return fmt.Errorf("ask the servers who they are: %w", err)
	}
	l.survey(ctx, servers)
	return nil
}

// SurveyOwn asks only the server of this connection for clients that connected before the events
// were subscribed to.
func (l *Liveness) SurveyOwn(ctx context.Context) {
	l.survey(ctx, []string{l.nc.ConnectedServerId()})
}

func (l *Liveness) survey(ctx context.Context, servers []string) {
	begin := time.Now()
	found, silent := map[connID]Link{}, map[string]bool{}
	for _, server := range servers {
		err := l.connections(ctx, server, false, found)
		if err == nil && l.unknown(found) {
			err = l.connections(ctx, server, true, found)
		}
		if err != nil {
			silent[server] = true // its connections stay as they are known
		}
	}
	for _, key := range l.correct(begin, found, silent) {
		l.gone(key)
	}
}

// correct replaces the known connections by what a survey has found, except those made since it
// began. It returns the keys whose last connection is gone.
func (l *Liveness) correct(begin time.Time, found map[connID]Link, silent map[string]bool) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, c := range found {
		if c.Key == "" {
			continue // it is known, or was closed meanwhile
		}
		l.add(c.Key, id, conn{time.Now(), c.Holder, c.Member, c.Side, c.Speaks, c.Address})
	}
	var gone []string
	for key, set := range l.conns {
		for id, c := range set {
			if _, there := found[id]; !there && c.since.Before(begin) && !silent[id.server] {
				delete(set, id)
			}
		}
		if len(set) == 0 {
			delete(l.conns, key)
			gone = append(gone, key)
		}
	}
	return gone
}

// unknown reports whether a survey has found connections of which there was no event.
func (l *Liveness) unknown(found map[connID]Link) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := map[connID]bool{}
	for _, set := range l.conns {
		for id := range set {
			known[id] = true
		}
	}
	for id, c := range found {
		if c.Key == "" && !known[id] {
			return true
		}
	}
	return false
}

// servers lists the servers that answer. Known servers have the time answerFor to do so: the
// users of a server that is taken for dead are lost, and a busy machine is slow.
func (l *Liveness) servers(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerFor)
	defer cancel()
	inbox := l.nc.NewRespInbox()
	sub, err := l.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := l.nc.PublishRequest("$SYS.REQ.SERVER.PING.IDZ", inbox, nil); err != nil {
		return nil, err
	}
	var ids []string
	missing := l.knownServers()
	for {
		quiet := quietFor
		if len(missing) > 0 {
			quiet = answerFor
		}
		wait, cancel := context.WithTimeout(ctx, quiet)
		m, err := sub.NextMsgWithContext(wait)
		cancel()
		if err != nil {
			if len(ids) == 0 {
				return nil, err
			}
			return ids, nil
		}
		var who server
		if json.Unmarshal(m.Data, &who) == nil && who.ID != "" {
			l.named(who)
			ids = append(ids, who.ID)
			delete(missing, who.ID)
		}
	}
}

// knownServers are our own and those that somebody is connected to.
func (l *Liveness) knownServers() map[string]bool {
	known := map[string]bool{}
	if own := l.nc.ConnectedServerId(); own != "" {
		known[own] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, set := range l.conns {
		for id := range set {
			known[id.server] = true
		}
	}
	return known
}

// connections adds the connections that one server has in our account, with their owners
// if that is asked for.
func (l *Liveness) connections(ctx context.Context, server string, owners bool, found map[connID]Link) error {
	most := numbersPage
	if owners {
		most = ticketsPage
	}
	for offset := 0; ; offset += most - overlap {
		asked := time.Now()
		q := fmt.Appendf(nil, `{"acc":%q,"auth":%t,"limit":%d,"offset":%d}`, l.account, owners, most, offset)
		m, err := l.ask(ctx, server, q)
		if err != nil {
			return err
		}
		page, now, err := readPage(m, server, found)
		if err != nil {
			return err
		}
		if !now.IsZero() {
			l.compare(server, Ahead(asked, now, time.Now()))
		}
		if page < most {
			return nil
		}
	}
}

func (l *Liveness) ask(ctx context.Context, server string, q []byte) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, answerFor)
	defer cancel()
	return l.nc.RequestWithContext(ctx, "$SYS.REQ.SERVER."+server+".CONNZ", q)
}

// Apart is what clocks may differ.
const Apart = 2 * time.Second

// Ahead is how far a clock is ahead of ours that says now, when it is asked and heard at these
// times: what cannot be explained by the time that the answer has taken.
func Ahead(asked, now, heard time.Time) time.Duration {
	switch {
	case now.Before(asked):
		return now.Sub(asked)
	case now.After(heard):
		return now.Sub(heard)
	}
	return 0
}

// compare reports a server whose clock differs from ours, once: tickets that are made here may
// have expired there.
func (l *Liveness) compare(server string, ahead time.Duration) {
	l.mu.Lock()
	wrong := ahead.Abs() > Apart
	tell := wrong && !l.apart[server]
	l.apart[server] = wrong
	l.mu.Unlock()
	if tell && l.differs != nil {
		l.differs(server, ahead)
	}
}

func readPage(m *nats.Msg, server string, found map[connID]Link) (int, time.Time, error) {
	var reply struct {
		Data struct {
			Now         time.Time `json:"now"`
			Connections []struct {
				ID  uint64 `json:"cid"`
				IP  string `json:"ip"`
				JWT string `json:"jwt"`
			} `json:"connections"`
		} `json:"data"`
	}
	if err := json.Unmarshal(m.Data, &reply); err != nil {
		return 0, time.Time{}, err
	}
	for _, c := range reply.Data.Connections {
		o := ownerOf(c.JWT) // empty, if the request did not ask for tickets
		found[connID{server, c.ID}] = Link{Server: server, ID: c.ID, Key: o.Key, Holder: o.Holder, Member: o.member(), Side: o.side(), Speaks: o.speaks(), Address: c.IP}
	}
	return len(reply.Data.Connections), reply.Data.Now, nil
}
