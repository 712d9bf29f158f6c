package session

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker"
	"natter/chat"
)

// run does what takes time: joining, receipts, sending again. It is the talk's only
// goroutine beside the connection's own.
func (t *Talk) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		case <-timer.C:
		}
		t.work(ctx)
		timer.Reset(t.nextTime())
	}
}

// work does what is to be done now.
func (t *Talk) work(ctx context.Context) {
	t.mu.Lock()
	do := t.todo
	t.todo = todo{join: do.join}  // stays until it is done: nothing is said meanwhile
	over := t.allBye() && !t.told // once, unless somebody takes a bye back in between
	t.told = t.allBye()
	t.mu.Unlock()
	if do.join {
		if err := t.join(ctx); err != nil {
			t.Log.Debug("join", "session", t.id, "err", err)
			t.tellWaits()
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
				t.poke()
			}
			return
		}
	}
	t.acknowledge(false)
	if do.sync {
		t.standing(do.ask)
	}
	if do.bye {
		t.signal(chat.MemberSignal{Bye: new(t.saidBye())})
	}
	t.resend(do.resend)
	t.tellWaits()
	t.tellLate()
	t.beginKeeping(ctx)
	if over {
		t.AllBye(t.id)
	}
}

func (t *Talk) saidBye() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.bye
}

// nextTime is when a receipt is due, or something must be kept or told.
func (t *Talk) nextTime() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.idle = t.allSettled()
	wait := t.keepTime()
	for _, p := range t.peers {
		if p.owed {
			wait = min(wait, time.Until(t.receipt.Add(receiptEvery)))
		}
	}
	return max(wait, time.Millisecond)
}

// join connects to the session's present channel, and leaves the former one when the
// new one is up.
func (t *Talk) join(ctx context.Context) error {
	changed := func(*nats.Conn) {
		t.mu.Lock()
		t.kept.up = time.Now()
		t.fetchIn(fetchLost)
		t.mu.Unlock()
		t.later(todo{sync: true, ask: true})
	}
	lost := func(nc *nats.Conn) {
		t.mu.Lock()
		mine := t.line != nil && t.line.nc == nc && !t.closed
		t.mu.Unlock()
		if mine {
			t.later(todo{join: true}) // the ticket has expired: a new one is needed
		}
	}
	t.mu.Lock()
	epoch, again := t.epoch, t.holding
	t.mu.Unlock()
	nc, reply, err := t.Join(ctx, t.id, again, nats.NoEcho(), nats.ReconnectHandler(changed), nats.ClosedHandler(lost))
	if err != nil {
		t.mu.Lock()
		t.cut = true
		t.move()
		t.mu.Unlock()
		return err
	}
	a := chat.Address{User: t.Me, Session: reply.Channel}
	l := &line{nc: nc, msg: chat.Said.Subject(a), sig: chat.Signal.Subject(a), carries: reply.Ticket.Payload(), text: reply.Ticket.MaxText(t.Rules.MaxText)}
	l.prefix = strings.TrimSuffix(l.msg, "msg."+string(t.Me))
	if err := t.listen(l); err != nil {
		nc.Close()
		return fmt.Errorf("listen to %s: %w", reply.Channel, err)
	}
	before := t.change(l, epoch, reply.Run)
	if before != nil {
		before.nc.Close()
	}
	return nil
}

// change makes l the line, says there where we stand before anything else is said, and
// returns the line that is to be closed.
func (t *Talk) change(l *line, epoch, run int) (before *line) {
	t.send.Lock()
	defer t.send.Unlock()
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return l
	}
	before, t.line, t.cut = t.line, l, false
	t.todo.join = t.epoch > epoch || l.nc.IsClosed() // for good, when it was nobody's line yet
	if t.holding {
		t.number(run)
	}
	t.joined(before == nil)
	t.move()
	t.mu.Unlock()
	t.standing(true)
	return before
}

// listen reads the line's two subjects as one stream, because a bye counts only until
// the next message.
func (t *Talk) listen(l *line) error {
	in := make(chan *nats.Msg, incoming)
	for _, r := range []*chat.Route{chat.Said.Route, chat.Signal.Route} {
		if _, err := l.nc.ChanSubscribe(l.prefix+r.Kind+".*", in); err != nil {
			return err
		}
	}
	if err := broker.Settle(l.nc); err != nil {
		return err
	}
	closed := l.nc.StatusChanged(nats.CLOSED)
	if l.nc.IsClosed() {
		return nats.ErrConnectionClosed
	}
	t.wg.Go(func() {
		for {
			select {
			case m := <-in:
				t.receive(l, m)
			case <-closed:
				return
			}
			for range len(in) { // what is there needs no waiting
				t.receive(l, <-in)
			}
		}
	})
	return nil
}

// later leaves something to run.
func (t *Talk) later(do todo) {
	t.mu.Lock()
	t.todo.join = t.todo.join || do.join
	t.todo.sync = t.todo.sync || do.sync
	t.todo.ask = t.todo.ask || do.ask
	t.todo.resend = t.todo.resend || do.resend
	t.mu.Unlock()
	t.poke()
}

// receive takes a message or a signal. Who sent it is what the subject says.
func (t *Talk) receive(l *line, m *nats.Msg) {
	what, from, ok := strings.Cut(strings.TrimPrefix(m.Subject, l.prefix), ".")
	if !ok {
		return
	}
	switch what {
	case "msg":
		msg, err := chat.ParseMessage(m.Data)
		if err == nil && msg.N > 0 && len(msg.Text) <= t.Rules.MaxText {
			t.heard(chat.User(from), msg)
		}
	case "sig":
		var sig chat.MemberSignal
		if json.Unmarshal(m.Data, &sig) == nil {
			t.signalled(chat.User(from), sig)
		}
	}
}

// heard takes a message: the next one is told, an old one is acknowledged again, and
// one that is too early shows that something is missing.
func (t *Talk) heard(from chat.User, msg chat.Message) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[from]
	if p == nil || t.closed || t.over {
		return
	}
	switch {
	case t.Rejoin && !p.synced: // perhaps an earlier run has told it; it comes again
		t.ask(p, msg.N) // what was asked or answered first may have been lost
	case p.first > p.have+1: // something may be kept; it comes again
	case msg.N > p.have+1:
		t.ask(p, msg.N)
	case msg.N <= p.have:
		p.owed = true
		t.poke()
	case t.Crowded != nil && t.Crowded(), t.tooFast(p):
	default:
		p.have++
		p.owed = true
		t.received++
		if t.received == 1 || t.received >= receiptAt { // between them run knows enough
			t.poke()
		}
		if p.bye {
			p.bye = false
			t.Tell(Bye{Session: t.id, From: p.name, Back: true})
		}
		t.Tell(Text{Session: t.id, From: p.name, N: msg.N, At: msg.At, Text: msg.Text})
	}
}

// ask has what is missing sent again, once: until that comes, everything else that was
// under way is too early as well. Who has begun anew must say so first.
func (t *Talk) ask(p *peer, n uint64) {
	if p.missed == p.have+1 && time.Since(p.asked) < askAgain {
		return
	}
	p.missed, p.asked = p.have+1, time.Now()
	t.todo.sync = true
	t.todo.ask = t.todo.ask || t.Rejoin && !p.synced || chat.RunOf(n) != chat.RunOf(p.have)
	t.poke()
}

// signalled takes what another member says about the talk.
func (t *Talk) signalled(from chat.User, sig chat.MemberSignal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[from]
	if p == nil || t.closed {
		return
	}
	if p.lost {
		t.mayHave()
	}
	if n, ok := sig.Ack[t.Me]; ok {
		t.acked(p, n)
	}
	if sig.Sync != nil {
		t.synced(p, *sig.Sync)
	}
	if sig.Bye != nil && *sig.Bye != p.bye {
		p.bye = *sig.Bye
		t.Tell(Bye{Session: t.id, From: p.name, Back: !p.bye})
		t.pokeIfAllBye()
	}
}

// acked notes how far a member has come. Nobody can have what was never sent. Whoever was
// behind and answers goes on, but does not know what of the last messages to ask for.
func (t *Talk) acked(p *peer, n uint64) {
	n = min(n, t.next-1)
	if t.holding || n < p.acked {
		return
	}
	now := time.Now()
	if p.probed {
		p.probed, p.moved = false, now
		if n < t.next-1 {
			t.due = earliest(t.due, now.Add(askAgain))
			t.poke()
		}
	}
	if n > p.acked {
		p.acked, p.since, p.moved = n, now, now
		p.toldKept = p.toldKept && n < p.parked
		t.trim()
	}
}

// synced takes where a member stands after its connection has come up. What it will not
// send again has been acknowledged by an earlier run, or was said by one of its own: then
// it may be kept for us, and nothing that comes after it is heard before that is here.
func (t *Talk) synced(p *peer, s chat.Sync) {
	p.synced, p.moved = true, time.Now()
	t.acked(p, s.Have[t.Me])
	p.have = max(p.have, s.Acked[t.Me]) // this is still kept for somebody else
	if s.First > p.have+1 {
		p.first = s.First
		t.kept.must = true
		t.fetchIn(0)
	}
	t.fetchIfAllSynced()
	if p.again.Allow() {
		t.todo.resend = true
	} else {
		t.due = earliest(t.due, p.moved.Add(askAgain))
	}
	if s.Ask {
		t.todo.sync, t.todo.bye = true, t.todo.bye || t.bye
	}
	t.poke()
}

// acknowledge sends the receipts that are owed, unless the last one was a moment ago
// and few have come since.
func (t *Talk) acknowledge(now bool) {
	t.mu.Lock()
	ack := map[chat.User]uint64{}
	if now || t.received >= receiptAt || time.Since(t.receipt) >= receiptEvery {
		for u, p := range t.peers {
			if p.owed {
				ack[u], p.owed = p.have, false
			}
		}
	}
	if len(ack) > 0 {
		t.receipt, t.received = time.Now(), 0
	}
	t.mu.Unlock()
	if len(ack) > 0 {
		t.signal(chat.MemberSignal{Ack: ack})
	}
}

// standing tells the others where this member stands.
func (t *Talk) standing(ask bool) {
	t.mu.Lock()
	s := chat.Sync{Have: map[chat.User]uint64{}, Acked: map[chat.User]uint64{}, First: t.next, Ask: ask}
	if len(t.out) > 0 {
		s.First = t.out[0].n
	}
	if t.holding {
		s.First = 0
	}
	for u, p := range t.peers {
		s.Have[u] = p.have
		if p.acked > 0 {
			s.Acked[u] = p.acked
		}
	}
	sig := chat.MemberSignal{Sync: &s}
	if t.bye {
		sig.Bye = new(true)
	}
	t.mu.Unlock()
	t.signal(sig)
}

// resend repeats what connected members have not acknowledged: at once if one of them
// has said where it stands, else when it takes too long. One who is behind gets only the
// next one, and the others a moment after it has answered.
func (t *Talk) resend(atOnce bool) {
	t.send.Lock()
	defer t.send.Unlock()
	t.mu.Lock()
	missing := t.missing()
	due := missing && (atOnce || !time.Now().Before(t.due))
	if missing {
		t.late.Reset(t.resendIn(due))
		t.move() // who waits for room may find that somebody is behind by now
	}
	ready := t.line != nil && !t.todo.join && !t.holding && t.line.nc.IsConnected()
	if !due || !ready {
		t.mu.Unlock()
		return
	}
	now := time.Now()
	least, probe := t.least(t.waitedFor(now)), t.least(connected)
	var again []outgoing
	for i, o := range t.out {
		if o.n >= least || o.n == probe {
			t.out[i].left = true // missing: somebody is connected
			again = append(again, o)
		}
	}
	t.due = now.Add(resendAfter)
	for _, p := range t.peers {
		p.probed = !p.lost && t.behind(p, now)
	}
	l := t.line
	t.mu.Unlock()
	for _, o := range again {
		t.publish(l, o)
	}
}

// resendIn is when to look again whether something must be sent once more.
func (t *Talk) resendIn(due bool) time.Duration {
	if due {
		return resendAfter
	}
	return max(time.Until(t.due), time.Millisecond)
}

// signal publishes; what gets lost is said again at the next sync.
func (t *Talk) signal(sig chat.MemberSignal) {
	t.mu.Lock()
	l := t.line
	t.mu.Unlock()
	data, err := json.Marshal(sig)
	if err != nil || l == nil {
		return
	}
	_ = l.nc.Publish(l.sig, data)
}

// TooLong says that a message is over the limit, both in bytes.
func TooLong(n, most int) *chat.Error {
	is, limit := size(n), size(most)
	if is == limit {
		is, limit = fmt.Sprintf("%d bytes", n), fmt.Sprintf("%d bytes", most)
	}
	return chat.Errorf(chat.TooLong, "Message is %s; the limit is %s. /send file.txt sends it as a file.", is, limit)
}

// size writes a number of bytes for people.
func size(n int) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.4g KB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}
