package delivery

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"

	"natter/chat"
	"natter/session"
)

const (
	// incoming is how many payloads of others may wait to be read; the others are requested
	// again.
	incoming = 2048
	// together is how soon after a publish a message is collected with others into one frame; a
	// later message is published at once.
	together = 10 * time.Microsecond
	// lastReceipts is how long Close waits for the last receipts.
	lastReceipts = 250 * time.Millisecond
	// collectFor is how long the end is delayed to fetch messages of members who left before it.
	collectFor   = 5 * time.Second
	collectAgain = 200 * time.Millisecond
	// noticeable is how long a wait must be for the user to be told.
	noticeable = time.Second
)

// Options are what a Conn needs.
type Options struct {
	Me     chat.User
	Rejoin bool // an earlier incarnation of this member may have been in the session
	Rules  chat.Rules
	Log    *slog.Logger
	Report bool // report the state of each message
	// Join makes a member's connection to the session's present channel; again asks for
	// another incarnation.
	Join func(ctx context.Context, id string, again bool, opts ...nats.Option) (*nats.Conn, chat.JoinReply, error)
	// Store stores messages for members who cannot receive them now.
	Store func(ctx context.Context, q chat.StoreRequest) (chat.StoreReply, error)
	// Fetch passes everything in the member's mailbox to take, in the order in which it was
	// stored.
	Fetch func(ctx context.Context, id string, take func(from chat.User, m chat.StoredMessages)) error
	// Tell is called with the events of package session that are about messages, in order. It
	// must not block.
	Tell func(session.Event)
	// Crowded reports whether no more messages of others can be taken; nil: never. They are not
	// acknowledged then, and come again.
	Crowded func() bool
	// Said is called with the member's own messages, in order, when they are accepted; may be
	// nil. It must not block.
	Said func(at time.Time, text string)
	// AllBye is called once everybody, the member included, has said bye. It must not block.
	AllBye func(id string)
}

// Conn is one member's part in an open session: a Core with its connection, its timer and
// its goroutines. Messages arrive once, and in each sender's order.
type Conn struct {
	opt    Options
	id     string
	start  time.Time
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	timer  *time.Timer
	write  chan struct{} // wakes the writer
	pace   *rate.Limiter // of the member's messages; nil: no limit

	mu      sync.Mutex // never held over I/O
	core    *Core
	effects []Effect
	out     outbox
	line    *line         // nil until joined
	armed   Time          // when the timer fires
	moved   chan struct{} // closed at the next Moved; nil: nothing waits
	room    chan struct{} // closed when more may be said; nil: nothing waits
	drained chan bool     // answers Part; nil: nobody waits
	closed  bool
	paced   time.Duration // how long the user has waited for pace
}

// New makes the member's part in an open session. Messages that are said before Start wait.
func New(opt Options, s chat.Session) *Conn {
	ctx, cancel := context.WithCancel(context.Background())
	c := &Conn{
		opt: opt, id: s.ID, start: time.Now(), ctx: ctx, cancel: cancel, write: make(chan struct{}, 1), armed: never,
		core: NewCore(Config{Me: opt.Me, Rejoin: opt.Rejoin, Rules: opt.Rules, Report: opt.Report, Session: s}),
	}
	if r := opt.Rules.MessageRate; r > 0 {
		c.pace = rate.NewLimiter(rate.Limit(r), chat.BurstFactor*r)
	}
	c.timer = time.AfterFunc(time.Hour, c.tick)
	c.wg.Go(c.writer)
	return c
}

// Start makes the connection, in the background.
func (c *Conn) Start() { c.step(Input{Kind: Tick}) }

// Update passes a new record of the session to the core.
func (c *Conn) Update(s chat.Session) { c.step(Input{Kind: Record, Session: &s}) }

// Bye tells the others that the member would like to end the session.
func (c *Conn) Bye() { c.step(Input{Kind: Bye, Yes: true}) }

// Waiting counts the messages that not everybody has acknowledged.
func (c *Conn) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.core.Unacknowledged()
}

// step runs a step of the core and carries out its effects; writes are left to the writer, so that
// readers do not wait for the network.
func (c *Conn) step(in Input) {
	c.mu.Lock()
	c.stepLocked(in, c.time())
	write := len(c.out.waiting) > 0 && !c.out.busy
	c.mu.Unlock()
	if write {
		c.wakeWriter()
	}
}

// tick tells the core the time. It runs in a goroutine of its own, which writes itself.
func (c *Conn) tick() {
	c.mu.Lock()
	c.stepLocked(Input{Kind: Tick}, c.time())
	write := len(c.out.waiting) > 0
	c.mu.Unlock()
	if write {
		c.flushOut()
	}
}

// time is the time of the core.
func (c *Conn) time() Time { return time.Since(c.start) }

// stepLocked runs a step and does all but writing to the connection. c.mu is held.
func (c *Conn) stepLocked(in Input, now Time) {
	c.effects = c.core.Step(in, now, c.effects[:0])
	for i := range c.effects {
		c.do(&c.effects[i])
		c.effects[i] = Effect{}
	}
	if at := c.core.Next(); at < c.armed || c.armed <= now {
		c.arm(at)
	}
}

func (c *Conn) arm(at Time) {
	c.armed = at
	switch {
	case c.closed:
		c.timer.Stop()
	case at != never:
		c.timer.Reset(max(at-c.time(), time.Millisecond))
	}
}

// do carries out an effect, or queues it to be written. c.mu is held.
func (c *Conn) do(e *Effect) {
	switch e.Kind {
	case Tell:
		c.opt.Tell(e.Event)
	case Moved:
		done(&c.moved)
		if c.room != nil && c.core.Admit() != Wait {
			done(&c.room)
		}
	case Join:
		again := e.Yes
		c.wg.Go(func() { c.join(again) })
	case Store:
		e := *e
		q := c.storeRequest(e)
		c.wg.Go(func() { c.store(q, e) })
	case Fetch:
		c.wg.Go(c.fetch)
	case Drained:
		if c.drained != nil {
			c.drained <- e.Yes
			c.drained = nil
		}
	case AllBye:
		c.opt.AllBye(c.id)
	default:
		c.queueOut(e)
	}
}

// waiter makes a channel to wait for. c.mu is held.
func waiter(ch *chan struct{}) <-chan struct{} {
	if *ch == nil {
		*ch = make(chan struct{})
	}
	return *ch
}

// done wakes the goroutines that wait. c.mu is held.
func done(ch *chan struct{}) {
	if *ch != nil {
		close(*ch)
		*ch = nil
	}
}

// Say sends a message to all other members. It waits while too many are in flight, and while the
// member is faster than the coordinator allows. Code TooLong; NotConnected while too
// many messages wait for the connection; NotInChat after the end.
func (c *Conn) Say(ctx context.Context, text string) error {
	text = chat.WithoutControls(text)
	if err := c.keepPace(ctx); err != nil {
		return err
	}
	for {
		full, err := c.trySay(text)
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

// maxText is the longest text that can be said now: a ticket may be older than the rule. c.mu
// is held.
func (c *Conn) maxText() int {
	if c.line != nil && c.line.carries > 0 {
		return min(c.opt.Rules.MaxText, chat.FrameTextFor(c.line.carries))
	}
	return c.opt.Rules.MaxText
}

var errNotInChat = chat.Errorf(chat.NotInChat, "You are not in a chat.")

// trySay sends a message, or returns what to wait for.
func (c *Conn) trySay(text string) (<-chan struct{}, error) {
	c.mu.Lock()
	if most := c.maxText(); len(text) > most {
		c.mu.Unlock()
		return nil, session.TooLong(len(text), most)
	}
	switch c.core.Admit() {
	case NotInChat:
		c.mu.Unlock()
		return nil, errNotInChat
	case Offline:
		c.mu.Unlock()
		return nil, chat.Errorf(chat.NotConnected, "Not connected; this line was not kept.")
	case Wait:
		defer c.mu.Unlock()
		return waiter(&c.room), nil
	}
	at := time.Now()
	now := at.Sub(c.start)
	if c.opt.Said != nil {
		c.opt.Said(at.UTC(), text)
	}
	c.stepLocked(Input{Kind: Say, Text: text, At: at.UnixMilli()}, now)
	if c.out.lone(now) {
		c.mu.Unlock()
		c.flushOut()
		return nil, nil
	}
	c.mu.Unlock()
	c.wakeWriter()
	return nil, nil
}

// keepPace waits until the member may send another message. The first time that the wait is
// noticeable, the user is told.
func (c *Conn) keepPace(ctx context.Context) error {
	if c.pace == nil {
		return nil
	}
	now := time.Now()
	r := c.pace.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	c.mu.Lock()
	before := c.paced
	c.paced += wait
	if before < noticeable && c.paced >= noticeable {
		c.opt.Tell(session.Slowed{Session: c.id, Rate: c.opt.Rules.MessageRate})
	}
	c.mu.Unlock()
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		r.Cancel()
		return chat.Errorf(chat.Rate, "You write faster than %d messages a second; this line was not kept.", c.opt.Rules.MessageRate)
	}
}

// Flush waits until everybody who is connected has everything.
func (c *Conn) Flush(ctx context.Context) error {
	for {
		c.mu.Lock()
		c.stepLocked(Input{Kind: Flush}, c.time())
		done, moved := c.core.Flushed(), waiter(&c.moved)
		c.mu.Unlock()
		c.flushOut()
		if done {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return chat.Errorf(chat.Timeout, "Not everything has arrived yet.")
		}
	}
}

// Part stores everything that somebody has not received yet, for a member who leaves while the
// session goes on.
func (c *Conn) Part(ctx context.Context) error {
	drained := make(chan bool, 1)
	c.mu.Lock()
	c.drained = drained
	c.stepLocked(Input{Kind: Drain}, c.time())
	c.stepLocked(Input{Kind: Tick}, c.time())
	c.mu.Unlock()
	c.flushOut()
	select {
	case all := <-drained:
		if !all {
			return chat.Errorf(chat.Full, "The server could not keep everything.")
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Collect fetches what is stored when the session is over, as s says: messages of members who had
// left it before, who can no longer be told that something has not arrived.
func (c *Conn) Collect(ctx context.Context, s chat.Session) {
	c.step(Input{Kind: Over, Session: &s})
	if len(s.Present()) == len(s.Members) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, collectFor)
	defer cancel()
	for {
		err := c.opt.Fetch(ctx, c.id, c.fetched)
		if err == nil || refused(err) {
			return
		}
		c.opt.Log.Debug("collect", "session", c.id, "err", err)
		select {
		case <-time.After(collectAgain):
		case <-ctx.Done():
			return
		}
	}
}

// Close ends the delivery: it sends the last receipts, waits for those of the others, and stops
// receiving. It returns the messages that not everybody has acknowledged; if the session goes on,
// without those that are stored for all who lack them.
func (c *Conn) Close(goesOn bool) []session.NotDelivered {
	ctx, cancel := context.WithTimeout(context.Background(), lastReceipts)
	_ = c.Flush(ctx)
	cancel()
	c.mu.Lock()
	c.stepLocked(Input{Kind: Close}, c.time())
	c.closed = true
	c.arm(never)
	lost, told := c.core.Undelivered(goesOn)
	for _, e := range told {
		c.opt.Tell(e)
	}
	l := c.line
	c.mu.Unlock()
	c.flushOut()
	c.cancel()
	if l != nil {
		_ = l.nc.FlushTimeout(lastReceipts)
		l.close()
	}
	c.wg.Wait()
	return lost
}
