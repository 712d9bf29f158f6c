package session

import (
	"context"
	"errors"
	"time"

	"natter/chat"
)

const (
	// parkLost and parkSilent are how long a message waits before it is stored for a
	// member who is lost, and for one who is here but does not acknowledge.
	parkLost   = 500 * time.Millisecond
	parkSilent = resendAfter
	// parkAgain is how long the next messages for somebody are collected.
	parkAgain = time.Second
	// parkRefused is when it is tried again after the server could not.
	parkRefused = 5 * time.Second
	// parkBytes bounds one request: its messages as they are sent.
	parkBytes = chat.MaxPayload - 8<<10
	// fetchLost is how long somebody may be lost before we ask what is kept of them: most
	// come back at once.
	fetchLost = time.Second
	// collectFor is how long the end may be kept back for what somebody has said who left.
	collectFor   = 5 * time.Second
	collectAgain = 200 * time.Millisecond
	// lateAfter is how long a message may be neither taken nor stored before that is told.
	lateAfter = 15 * time.Second
)

// kept is what a talk knows of the messages that the server keeps. They are asked for
// and handed in by one goroutine, which is there only while there is something to do: a
// talk whose members all listen never has one.
type kept struct {
	busy  bool      // the goroutine runs
	must  bool      // something may be kept for us
	fetch time.Time // when to ask for it; zero: not
	first bool      // it has been asked for since the start
	asked time.Time // when, the last time
	up    time.Time // when the connection came up
	again time.Time // nothing is stored before
	look  time.Time // nor is looked for what is late
	waits bool      // that something waits was told, and not everything has arrived since
	told  uint64    // the last message that was told to be stored
}

// joined notes that the connection to a channel is up. Of who has left, or had spoken to
// an earlier run of this client, something may be kept. An earlier run may have heard
// part of that too, which those who are here can tell: they are waited for, not for long.
func (t *Talk) joined(first bool) {
	t.kept.up = time.Now()
	switch {
	case !first:
		t.kept.must = true
		t.fetchIn(0)
	case t.Rejoin:
		t.kept.must = true
		t.fetchIn(resendAfter)
		t.fetchIfAllSynced()
	}
}

// fetchIn has what is kept for us be asked for in d, or earlier; but not all the time,
// whatever others make up.
func (t *Talk) fetchIn(d time.Duration) {
	at := latest(time.Now().Add(d), t.kept.asked.Add(parkAgain))
	if t.kept.fetch.IsZero() || at.Before(t.kept.fetch) {
		t.kept.fetch = at
	}
	t.poke()
}

// fetchIfAllSynced does not let a new run wait longer than it must.
func (t *Talk) fetchIfAllSynced() {
	if !t.Rejoin || t.kept.first {
		return
	}
	for _, p := range t.peers {
		if !p.synced && !p.lost {
			return
		}
	}
	t.fetchIn(0)
}

// keepTime is how long there is nothing to keep or to tell.
func (t *Talk) keepTime() time.Duration {
	wait := time.Hour
	sooner := func(at time.Time) { wait = min(wait, time.Until(at)) }
	if len(t.out) > 0 {
		sooner(latest(latest(t.out[0].at, t.kept.up).Add(lateAfter), t.kept.look))
	}
	if at, ok := t.waitsTime(); ok {
		sooner(at)
	}
	if t.kept.busy {
		return wait
	}
	if !t.kept.fetch.IsZero() {
		sooner(t.kept.fetch)
	}
	for _, p := range t.peers {
		if at, ok := t.parkTime(p); ok {
			sooner(latest(at, t.kept.again))
		}
		if p.received() {
			sooner(t.kept.again)
		}
	}
	return wait
}

// received tells whether a member has everything that is stored for them.
func (p *peer) received() bool { return p.record > 0 && p.acked >= p.parked }

// parkTime is when the first message that a member neither has nor will get from the
// server is to be stored for them.
func (t *Talk) parkTime(p *peer) (time.Time, bool) {
	if t.holding || t.line == nil {
		return time.Time{}, false
	}
	i := t.unparked(p)
	if i == len(t.out) {
		return time.Time{}, false
	}
	wait := parkSilent
	if p.lost {
		wait = parkLost
	}
	return latest(latest(t.out[i].at, p.since), t.kept.up).Add(wait), true
}

// unparked is where in out the messages begin that a member has yet to get and that are
// not stored for them.
func (t *Talk) unparked(p *peer) int {
	have := max(p.acked, p.parked)
	if len(t.out) == 0 || have < t.out[0].n {
		return 0
	}
	return int(min(have-t.out[0].n+1, uint64(len(t.out))))
}

// settled tells whether everybody has a message or will get it from the server.
func (t *Talk) settled(n uint64) bool {
	for _, p := range t.peers {
		if max(p.acked, p.parked) < n {
			return false
		}
	}
	return true
}

// allSettled tells that of every message, if there are any.
func (t *Talk) allSettled() bool { return len(t.out) == 0 || t.settled(t.out[len(t.out)-1].n) }

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// beginKeeping starts the goroutine if there is something for it.
func (t *Talk) beginKeeping(ctx context.Context) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.closed || t.kept.busy || !t.fetchDue(now) && !t.parkDue(now) {
		return
	}
	t.kept.busy = true
	t.wg.Go(func() { t.keep(ctx) })
}

// keep asks for what is kept and has stored what must be, until nothing is due.
func (t *Talk) keep(ctx context.Context) {
	for {
		t.mu.Lock()
		now := time.Now()
		fetch, park := t.fetchDue(now), t.parkDue(now)
		if !fetch && !park || ctx.Err() != nil {
			t.kept.busy = false
			t.mu.Unlock()
			t.poke()
			return
		}
		l := t.line
		t.mu.Unlock()
		switch {
		case l != nil && !l.nc.IsConnected():
			t.keepLater(time.Second) // the coordinator cannot be reached either
		case fetch:
			t.fetch(ctx)
		default:
			_, _ = t.parkSome(ctx, false) // it is tried again
		}
	}
}

// keepLater lets everything wait.
func (t *Talk) keepLater(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept.again = time.Now().Add(d)
	if !t.kept.fetch.IsZero() {
		t.kept.fetch = latest(t.kept.fetch, t.kept.again)
	}
}

// fetchDue tells whether to ask for what is kept; not any more if who was lost is back.
func (t *Talk) fetchDue(now time.Time) bool {
	if t.kept.fetch.IsZero() || now.Before(t.kept.fetch) {
		return false
	}
	if t.kept.must {
		return true
	}
	for _, p := range t.peers {
		if p.lost {
			return true
		}
	}
	t.kept.fetch = time.Time{}
	return false
}

// fetch takes what is kept for us. Then what others will not send again is not missed.
func (t *Talk) fetch(ctx context.Context) {
	t.mu.Lock()
	firsts := map[*peer]uint64{}
	for _, p := range t.peers {
		firsts[p] = p.first
	}
	t.kept.must, t.kept.first, t.kept.fetch, t.kept.asked = false, true, time.Time{}, time.Now()
	t.mu.Unlock()
	err := t.Unpark(ctx, t.id, t.unparkedFrom)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil && !refused(err) {
		t.kept.must = true
		t.fetchIn(parkAgain)
		return
	}
	for p, first := range firsts {
		if first > p.have+1 {
			p.have = first - 1
		}
	}
	t.todo.sync = true // and what came too early comes again
	t.poke()
}

// unparkedFrom takes what was kept. One after the other is not asked for: what is not
// kept was never acknowledged to its sender.
func (t *Talk) unparkedFrom(from chat.User, kept chat.Parked) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.gone[from]
	if p == nil && !t.over {
		p = t.peers[from]
	}
	if p == nil || t.closed {
		return
	}
	if kept.Lost {
		t.Tell(KeptLost{Session: t.id, From: p.name})
	}
	for _, m := range kept.Messages {
		if m.N > p.have && len(m.Text) <= t.Rules.MaxText {
			p.have, p.owed = m.N, true
			t.Tell(Text{Session: t.id, From: p.name, N: m.N, At: m.At, Text: m.Text})
		}
	}
	t.poke()
}

// Collect takes what is kept when the session is over, as s says: of who had left it before,
// whom nobody can tell any more that something has not arrived. Who stayed is told so, and is
// not heard any more.
func (t *Talk) Collect(ctx context.Context, s chat.Session) {
	t.mu.Lock()
	t.over = true
	t.noteLeft(s)
	t.trim()
	some := len(t.gone) > 0
	t.mu.Unlock()
	if !some {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, collectFor)
	defer cancel()
	for {
		err := t.Unpark(ctx, t.id, t.unparkedFrom)
		if err == nil || refused(err) {
			return
		}
		t.Log.Debug("collect", "session", t.id, "err", err)
		select {
		case <-time.After(collectAgain):
		case <-ctx.Done():
			return
		}
	}
}

// Part has everything stored that somebody does not have yet, for a member who leaves
// while the session goes on.
func (t *Talk) Part(ctx context.Context) error {
	for {
		if more, err := t.parkSome(ctx, true); err != nil || !more {
			return err
		}
	}
}

// parkDue tells whether something is to be stored.
func (t *Talk) parkDue(now time.Time) bool {
	if now.Before(t.kept.again) {
		return false
	}
	for _, p := range t.peers {
		if at, ok := t.parkTime(p); p.received() || ok && !now.Before(at) {
			return true
		}
	}
	return false
}

// parkSome has some messages stored: what is due, or everything. It is false if there
// was nothing.
func (t *Talk) parkSome(ctx context.Context, all bool) (more bool, err error) {
	t.parking.Lock()
	defer t.parking.Unlock()
	t.mu.Lock()
	q := t.parkRequest(time.Now(), all)
	last := t.next - 1
	t.mu.Unlock()
	if len(q.Messages) == 0 && len(q.Received) == 0 {
		t.keepLater(parkAgain) // too long to be stored, or nothing
		return false, nil
	}
	reply, err := t.Park(ctx, q)
	if err != nil {
		t.Log.Debug("park", "session", t.id, "err", err)
		t.perhapsStored(q)
		t.keepLater(parkRefused)
		return false, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stored(q, reply)
	if n := len(q.Messages); n > 0 && q.Messages[n-1].N == last {
		t.kept.again = time.Now().Add(parkAgain) // that was all
	}
	return true, nil
}

// parkRequest is what is to be stored now: those who lack the same are served together.
func (t *Talk) parkRequest(now time.Time, all bool) chat.ParkRequest {
	q := chat.ParkRequest{Session: t.id}
	at := len(t.out)
	for u, p := range t.peers {
		if p.received() {
			if q.Received == nil {
				q.Received = map[chat.User]uint64{}
			}
			q.Received[u] = p.record
		}
		due, ok := t.parkTime(p)
		i := t.unparked(p)
		if !ok || i > at || i == len(t.out) || !all && now.Before(due) {
			continue
		}
		if i < at {
			at, q.For = i, nil
		}
		q.For = append(q.For, u)
	}
	size := 0
	for _, o := range t.out[at:] {
		m := o.message()
		if size += len(m.AppendJSON(nil)) + 1; size > parkBytes {
			break
		}
		q.Messages = append(q.Messages, m)
	}
	if len(q.Messages) == 0 {
		q.For = nil
	}
	return q
}

// stored notes what the server keeps now, and tells it.
func (t *Talk) stored(q chat.ParkRequest, reply chat.ParkReply) {
	for u, at := range q.Received {
		if p := t.peers[u]; p != nil && p.record == at {
			p.record = 0
		}
	}
	if len(q.Messages) == 0 {
		return
	}
	last := q.Messages[len(q.Messages)-1].N
	for u, at := range reply.Kept {
		if p := t.peers[u]; p != nil {
			p.parked, p.record = last, at
		}
	}
	t.tellKept(last, reply.Kept)
	t.tellStored()
}

// tellStored tells of which messages everybody has them or will get them from the server.
func (t *Talk) tellStored() {
	if !t.Sent || len(t.out) == 0 {
		return
	}
	upTo := t.next - 1
	for _, p := range t.peers {
		upTo = min(upTo, max(p.acked, p.parked))
	}
	for next := max(t.kept.told+1, t.out[0].n); next <= upTo; next++ {
		t.tellSent(t.out[next-t.out[0].n], Stored)
		t.kept.told = next
	}
}

// tellLate tells what has been neither taken nor stored for long although we are
// connected. It is tried again all the same.
func (t *Talk) tellLate() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if len(t.out) == 0 || now.Before(t.kept.look) || !t.old(t.out[0], now) {
		return
	}
	t.kept.look = now.Add(parkAgain)
	if t.closed || t.line == nil || !t.line.nc.IsConnected() {
		return
	}
	for i := range t.out {
		o := &t.out[i]
		if !t.old(*o, now) {
			return
		}
		if !o.late && !t.settled(o.n) {
			t.Tell(NotDelivered{Session: t.id, Text: o.text, Kept: true})
		}
		o.late = true
	}
}

func (t *Talk) old(o outgoing, now time.Time) bool {
	return now.Sub(latest(o.at, t.kept.up)) >= lateAfter
}

func (t *Talk) tellSent(o outgoing, state SentState) {
	t.Tell(Sent{Session: t.id, N: o.n, State: state, Text: o.text})
}

// refused tells whether an error is the coordinator's answer, not the lack of one.
func refused(err error) bool {
	var told *chat.Error
	return errors.As(err, &told) && told.Code != chat.NotConnected && told.Code != chat.Timeout && told.Code != chat.Internal
}
