package session

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"

	"natter/chat"
)

const (
	// window is how many messages may be on their way at once: to each member from all
	// others together, half of what can wait there to be read.
	window = incoming / 2
	// greatest is the highest number that a message can have: what every language's JSON
	// has exactly. Whoever claims more is not believed.
	greatest = 1 << 53
	// waiting lines are those typed while the connection is down.
	maxWaiting = 100
	// incoming is how much of what others say may wait to be read; what does not fit is
	// asked for again.
	incoming = 8192
	// receiptEvery is how often a member acknowledges at most.
	receiptEvery = 50 * time.Millisecond
	// receiptAt is how many messages are acknowledged even earlier.
	receiptAt = 1024
	// askAgain is how long what was missed may take to come again, before it is asked for
	// once more; and what is on its way to a member who was behind, before it is sent again.
	askAgain = 250 * time.Millisecond
	// answers is how often a member is sent at once what they lack, before they have to wait
	// for that long each time.
	answers = 4
	// resendAfter is how long an acknowledgement is waited for.
	resendAfter = 2 * time.Second
	// behindAfter is how long a member may acknowledge nothing before the others stop waiting
	// for it: its computer may stand still, which the broker notices much later.
	behindAfter = time.Second
	// farewell is how long the last acknowledgements are waited for at the end.
	farewell = 250 * time.Millisecond
)

// TalkConfig is what a member's talk needs.
type TalkConfig struct {
	Me     chat.User
	Rejoin bool // an earlier run of this client may have been in the session
	Rules  chat.Rules
	Log    *slog.Logger
	Sent   bool // tell what becomes of each message
	// Join makes a member's connection to the session's present channel; again asks for
	// another run.
	Join func(ctx context.Context, id string, again bool, opts ...nats.Option) (*nats.Conn, chat.JoinReply, error)
	// Park has messages kept for who does not get them now.
	Park func(ctx context.Context, q chat.ParkRequest) (chat.ParkReply, error)
	// Unpark hands over everything that is kept for the member, in the order in which it
	// was stored.
	Unpark func(ctx context.Context, id string, take func(from chat.User, kept chat.Parked)) error
	// Tell takes the events Text, Bye, Sent, KeptLost and NotDelivered in order. It must not block.
	Tell func(Event)
	// Crowded reports whether nothing more is to be told of what others say; nil: never. It
	// comes again, as long as it is not acknowledged.
	Crowded func() bool
	// Said is told, in order, what the member says, when that is accepted; nil: nobody is.
	// It must not block.
	Said func(at time.Time, text string)
	// AllBye is called once everybody, the member included, has said bye.
	AllBye func(id string)
}

// Talk is one member's part in an open session: messages go straight from member to
// members, are kept until everybody has acknowledged them, and are sent again when a
// connection was lost. They arrive once, and in each sender's order.
type Talk struct {
	TalkConfig
	id     string
	cancel context.CancelFunc
	wg     sync.WaitGroup
	wake   chan struct{} // something to do for run
	late   *time.Timer   // wakes run when an acknowledgement takes too long
	pace   *rate.Limiter // of what is said; nil: no limit

	send sync.Mutex // keeps publishing in order; taken before mu
	buf  []byte     // of the message that is sent; guarded by send
	down bool       // the last one could not be sent; guarded by send

	mu      sync.Mutex
	epoch   int
	line    *line // the connection; nil until joined; changed under send as well
	peers   map[chat.User]*peer
	gone    map[chat.User]*peer // who has left: something may be kept of them
	out     []outgoing          // not yet acknowledged by everybody, without gaps
	next    uint64              // the number of the next message
	cut     bool                // the last try to join failed
	holding bool                // the run, and so the numbers, are not known yet: see Rejoin
	bye     bool
	told    bool // AllBye has been called for these byes
	over    bool // the session is: see Collect
	closed  bool
	idle    bool          // run looks for nothing: what waits is stored
	moved   chan struct{} // closed when there may be room: out shrinks, or the line is there

	parking sync.Mutex // one request at a time has messages stored; taken before mu
	kept    kept       // see keep.go

	todo     todo
	received int       // messages since the last receipt
	receipt  time.Time // of the last receipt
	due      time.Time // when what is missing is sent again
	paced    time.Duration
}

// line is a connection to one channel of the session.
type line struct {
	nc       *nats.Conn
	prefix   string // of the channel's subjects
	msg, sig string // where the member publishes
	carries  int    // bytes of a message; 0: not known
	text     int    // bytes of the longest text
}

type outgoing struct {
	n    uint64
	at   time.Time // with the monotonic clock, which alone says how long it waits
	text string
	late bool // and that was told
	left bool // somebody may have got it: it went out while they were there
}

func (o outgoing) message() chat.Message {
	return chat.Message{N: o.n, At: o.at.UTC(), Text: o.text}
}

// peer is what is known of another member.
type peer struct {
	name   chat.Name
	have   uint64    // the last of theirs that we have
	acked  uint64    // the last of ours that they have
	since  time.Time // when that was said
	parked uint64    // the last of ours that is stored for them
	record uint64    // under which sequence
	first  uint64    // what is before it will not come again; not believed until what is kept is here
	moved  time.Time // when that last became more, or they said where they stand
	owed   bool      // a receipt
	probed bool      // was behind when what was missing was sent again, and has not answered
	lost   bool
	synced bool // has said where it stands since we joined
	bye    bool

	toldKept bool // that something is stored for them, which they have yet to get

	missed uint64    // the last of theirs that was asked for
	asked  time.Time // and when

	again *rate.Limiter // of what is sent again at once because they say where they stand

	pace *rate.Limiter // of what is taken from them
	fast time.Time     // told that they are too fast
}

// todo is what the callbacks leave to run.
type todo struct {
	join   bool
	sync   bool // say where we stand
	ask    bool // and ask the others
	resend bool
	bye    bool
}

// NewTalk takes part in an open session. What is said before Start waits.
func NewTalk(cfg TalkConfig, s chat.Session) *Talk {
	t := &Talk{
		TalkConfig: cfg, id: s.ID, epoch: s.Epoch, next: 1, holding: cfg.Rejoin,
		peers: map[chat.User]*peer{}, gone: map[chat.User]*peer{}, wake: make(chan struct{}, 1), moved: make(chan struct{}),
		pace: limiter(float64(cfg.Rules.MessageRate)),
	}
	for _, m := range s.Members {
		switch p := (&peer{name: m.Name, lost: m.Lost, again: rate.NewLimiter(rate.Every(askAgain), answers)}); {
		case m.Left != "":
			t.gone[m.User()] = p
		case m.User() != t.Me:
			t.peers[m.User()] = p
		}
	}
	t.late = time.AfterFunc(time.Hour, t.poke)
	ctx, cancel := context.WithCancel(context.Background())
	t.cancel = cancel
	t.wg.Go(func() { t.run(ctx) })
	return t
}

// Start makes the connection, in the background.
func (t *Talk) Start() { t.later(todo{join: true}) }

// Update tells the talk what has become of the session. Under a new epoch nothing
// more is said until the new channel is there: who has left could read the old one.
func (t *Talk) Update(s chat.Session) {
	t.send.Lock()
	defer t.send.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.noteLeft(s)
	for u, p := range t.peers {
		m, _ := s.Member(u)
		switch {
		case m.Lost && !p.lost:
			t.fetchIn(fetchLost)
			p.toldKept = false
		case p.lost && !m.Lost:
			t.mayHave()
		}
		p.lost = m.Lost
	}
	if s.Epoch > t.epoch {
		t.epoch = s.Epoch
		t.todo.join = true
	}
	t.trim()
	t.pokeIfAllBye()
	t.poke()
}

// noteLeft notes who has left. t.mu is held.
func (t *Talk) noteLeft(s chat.Session) {
	for u, p := range t.peers {
		if _, in := s.Member(u); !in {
			delete(t.peers, u)
			t.gone[u] = p
		}
	}
}

// Say sends a message to all other members. It waits while too many are on their
// way, and while the member is faster than the coordinator wants. Code TooLong, NotConnected while enough lines wait, NotInChat at the end.
func (t *Talk) Say(ctx context.Context, text string) error {
	if most := t.maxText(); len(text) > most {
		return TooLong(len(text), most)
	}
	if err := t.keepPace(ctx); err != nil {
		return err
	}
	for {
		full, err := t.trySay(text)
		if err != nil || full == nil {
			return err
		}
		select {
		case <-full:
		case <-ctx.Done():
			return chat.Errorf(chat.Timeout, "The others do not read; this line was not kept.")
		}
	}
}

// trySay sends a message, or returns what to wait for.
func (t *Talk) trySay(text string) (<-chan struct{}, error) {
	t.send.Lock()
	defer t.send.Unlock()
	l := t.line
	connected := l != nil && (!t.down || l.nc.IsConnected()) // may wait for the network: not under mu
	t.mu.Lock()
	up := connected && !t.todo.join && !t.holding
	joining := !up && (connected || l == nil) && !t.cut // it takes only a moment
	switch {
	case t.closed:
		t.mu.Unlock()
		return nil, errNotInChat
	case !up && !joining && len(t.out) >= maxWaiting:
		t.mu.Unlock()
		return nil, chat.Errorf(chat.NotConnected, "Not connected; this line was not kept.")
	case joining && len(t.out) >= maxWaiting, t.full():
		moved := t.moved
		t.mu.Unlock()
		return moved, nil
	}
	o := outgoing{n: t.next, at: time.Now(), text: text}
	t.next++
	t.out = append(t.out, o)
	if t.Said != nil {
		t.Said(o.at.UTC(), text)
	}
	t.bye = false
	if t.Sent && !t.holding {
		t.tellSent(o, Sending)
	}
	look := t.firstLook()
	if up {
		t.due = o.at.Add(resendAfter)
		t.out[len(t.out)-1].left = t.anyConnected()
	}
	t.mu.Unlock()
	if up && !t.publish(l, o) {
		t.notSent(o.n)
	}
	if look > 0 {
		t.late.Reset(look)
	}
	return nil, nil
}

// firstLook is when run must look after the first message that waits; 0 if it is not the
// first, and run looks anyway.
func (t *Talk) firstLook() time.Duration {
	idle := t.idle
	t.idle = false
	switch {
	case len(t.out) > 1 && !idle:
		return 0
	case t.least(connected) == t.next: // only members wait who are lost
		return parkLost
	}
	return waitsAfter
}

// full tells whether enough is on its way. Members share what can wait at each of
// them; one who is lost or behind keeps nobody from using it.
func (t *Talk) full() bool {
	share := window / max(1, len(t.peers))
	if len(t.out) < share {
		return false
	}
	return len(t.out) >= window || t.next-t.least(t.waitedFor(time.Now())) >= uint64(share)
}

// waitedFor picks the members who are connected and not behind.
func (t *Talk) waitedFor(now time.Time) func(*peer) bool {
	return func(p *peer) bool { return !p.lost && !t.behind(p, now) }
}

// behind tells whether a member has acknowledged nothing for long, although there was
// something to acknowledge.
func (t *Talk) behind(p *peer, now time.Time) bool {
	if len(t.out) == 0 || p.acked+1 >= t.next || now.Sub(p.moved) < behindAfter {
		return false
	}
	next := max(p.acked+1, t.out[0].n) - t.out[0].n
	return next < uint64(len(t.out)) && now.Sub(t.out[next].at) >= behindAfter
}

func connected(p *peer) bool { return !p.lost }

// least is the lowest number that one of these members has not acknowledged.
func (t *Talk) least(these func(*peer) bool) uint64 {
	least := t.next
	for _, p := range t.peers {
		if these(p) {
			least = min(least, p.acked+1)
		}
	}
	return least
}

// Bye tells the others that the member would like to end.
func (t *Talk) Bye() {
	t.mu.Lock()
	t.bye = true
	t.todo.bye = true
	t.pokeIfAllBye()
	t.mu.Unlock()
	t.poke()
}

// Waiting counts the messages that somebody has yet to acknowledge.
func (t *Talk) Waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.out)
}

// Flush waits until everybody who is connected has everything.
func (t *Talk) Flush(ctx context.Context) error {
	for {
		t.mu.Lock()
		missing, moved := t.missing(), t.moved
		t.mu.Unlock()
		if !missing {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return chat.Errorf(chat.Timeout, "Not everything has arrived yet.")
		}
	}
}

// missing tells whether a connected member has yet to acknowledge something.
func (t *Talk) missing() bool {
	return len(t.out) > 0 && !t.closed && t.least(connected) < t.next
}

// Close ends the talk: the last receipts are sent, those of the others are waited
// for, and nobody listens after that. It returns what somebody did not acknowledge; if
// the session goes on, what is stored for them will arrive.
func (t *Talk) Close(goesOn bool) []NotDelivered {
	t.acknowledge(true)
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	_ = t.Flush(ctx)
	cancel()
	t.mu.Lock()
	t.closed = true
	var lost []NotDelivered
	for _, o := range t.out {
		if goesOn && t.settled(o.n) {
			continue
		}
		lost = append(lost, NotDelivered{Session: t.id, Text: o.text, Unknown: o.left})
		switch {
		case t.Sent && o.left:
			t.tellSent(o, Unknown)
		case t.Sent:
			t.tellSent(o, Failed)
		}
	}
	t.move()
	l := t.line
	t.mu.Unlock()
	t.cancel()
	t.late.Stop()
	if l != nil {
		_ = l.nc.FlushTimeout(farewell)
		l.nc.Close()
	}
	t.wg.Wait()
	return lost
}

// poke wakes run.
func (t *Talk) poke() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// move wakes those who wait for room or for receipts.
func (t *Talk) move() {
	close(t.moved)
	t.moved = make(chan struct{})
}

// trim drops what everybody has. What is held has no number yet.
func (t *Talk) trim() {
	if t.holding {
		return
	}
	least := t.next - 1
	for _, p := range t.peers {
		least = min(least, p.acked)
	}
	k := 0
	for k < len(t.out) && t.out[k].n <= least {
		if t.Sent {
			t.tellSent(t.out[k], Delivered)
		}
		k++
	}
	t.out = slices.Delete(t.out, 0, k) // in place: what is new takes the room of what was old
	t.kept.waits = t.kept.waits && len(t.out) > 0
	t.tellStored()
	t.move()
}

// number gives the messages that were held their numbers, once the run is known.
func (t *Talk) number(run int) {
	base := chat.FirstOf(run)
	for i := range t.out {
		t.out[i].n += base
		if t.Sent {
			t.tellSent(t.out[i], Sending)
		}
	}
	t.next += base
	t.holding = false
	t.todo.resend = true
}
