// Package console is the operator's live view of a coordinator: one line per
// request, action and message, for people or, as JSON, for programs.
//
// # The picture
//
//	chat.audit.>          ┐
//	chat.session.*.msg.*  ├─ one connection, one channel ─▶ book ─▶ coalescer ─▶ backlog ─▶ Out
//	chat.mailbox.*.*         │        (8,192 deep)           feed                (16 MB)
//	chat.dm.*.*           ┘
//
// Everything arrives on one connection in one channel, so lines are shown in the order in which the
// broker passed them on. The book (book.go) remembers what lines need from earlier ones; the
// coalescer (coalesce.go) makes one line of many that a client can cause; the backlog (backlog.go)
// buffers formatted lines for a writer that may be slow. What has arrived is written at once. With
// several replicas, each console gets everything and shows its share of it (share.go).
//
// # What is promised
//
//   - Nothing waits for a console. What it cannot keep up with is dropped, and it says how many lines,
//     or messages of the broker, were dropped.
//   - Each message that a member can hear is shown once, whichever way it goes to its
//     receivers, in its sender's order. A console that shares the lines and has missed something
//     cannot know what others have shown: it may show what is sent again. What nobody can hear, because its sender is not a
//     member or its channel not the present one, is not shown: it is marked, and not counted.
//   - Figures are what the console knows. Numbers of a sender that are missing are reported after a
//     while; messages are counted for a session whose beginning was seen, as long as nothing was
//     missed.
//   - No text of a user controls the terminal or looks like another line: text lines pass chat.Clean
//     or chat.CleanLine, JSON is escaped.
//   - The sender of a message is read from its subject, which the broker vouches for.
package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"natter/chat"
)

// Queue is the queue group of the consoles of a coordinator's replicas: they show
// each line once between them. A console in no queue group shows everything.
const Queue = "console"

// What Config.Show may be.
const (
	ShowAll     = "all"     // everything
	ShowActions = "actions" // everything but messages
	ShowNone    = "none"    // only what concerns the server itself, and errors
)

const (
	minDepth  = 8192                 // messages from the broker that may wait, each of up to 64 messages of people
	maxDepth  = 65536                // the same where there is memory for them
	maxLines  = 1 << 18              // that may wait for Out
	pause     = 2 * time.Millisecond // in which messages are collected: waking for each one costs the broker time
	drainTime = time.Second          // for what is on its way when the console is stopped
	writeTime = 2 * time.Second      // for a writer that is slow when the console is stopped
)

// depth is how many messages from the broker may wait: as many as an eighth of the memory has
// room for when all are as large as they may be.
func depth(memory int64) int { return int(min(maxDepth, max(minDepth, memory/8/chat.MaxPayload))) }

// Config says what is shown, and how.
type Config struct {
	Out   io.Writer
	JSON  bool         // a JSON object per line instead of text
	Show  string       // ShowAll, ShowActions or ShowNone; "" is ShowAll
	Color bool         // colours the kind of each text line
	Log   *slog.Logger // for failures of the console itself; nil: they are not logged

	// Shared says that other consoles are in the queue group: all of them together show each
	// line once.
	Shared bool

	MaxText int // the longest message that members take, in bytes; 0: the longest that any --max-message allows

	Location *time.Location   // of the times in text lines; nil is time.Local
	Now      func() time.Time // nil is time.Now
}

// Console shows requests, actions and messages. Make one with New.
type Console struct {
	cfg     Config
	arrived chan *nats.Msg
	subs    []*nats.Subscription // set by Subscribe
	conn    *nats.Conn           // set by Subscribe
	share   *share               // nil if this console shows everything; set by Subscribe
	asker   atomic.Pointer[func(id string) (chat.WatchReply, bool)]

	// Serve's.
	dropped    int    // of subs, as far as it has been told
	missed     int    // likewise, with what other consoles show
	reconnects uint64 // of conn, likewise
	book       *book
	same       coalescer
	lines      *backlog
}

// New makes a console that is not subscribed yet.
func New(cfg Config) *Console {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Location == nil {
		cfg.Location = time.Local
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Show == "" {
		cfg.Show = ShowAll
	}
	c := &Console{
		cfg:     cfg,
		arrived: make(chan *nats.Msg, depth(debug.SetMemoryLimit(-1))),
		book:    newBook(cfg),
		same:    coalescer{},
		lines:   newBacklog(maxLines, style{cfg.JSON, cfg.Location, cfg.Color}),
	}
	c.book.ask = func(id string) (chat.WatchReply, bool) {
		if ask := c.asker.Load(); ask != nil {
			return (*ask)(id)
		}
		return chat.WatchReply{}, false
	}
	return c
}

// Ask sets the function that the console asks who is in a session whose beginning it has not seen;
// false means that this is not known now. The function must not take long.
func (c *Console) Ask(who func(id string) (chat.WatchReply, bool)) { c.asker.Store(&who) }

// Run is Subscribe and Serve.
func (c *Console) Run(ctx context.Context, nc *nats.Conn, queue string) error {
	if err := c.Subscribe(nc, queue); err != nil {
		return err
	}
	return c.Serve(ctx)
}

// Subscribe begins to collect from a connection with chat.TappingGrant, as one of the
// queue group Queue, or by itself with "", which is all that observers may. When it
// returns, the subscriptions are up: nothing that is published from then on is
// missed. Serve must follow.
func (c *Console) Subscribe(nc *nats.Conn, queue string) error {
	c.conn = nc
	if c.cfg.Shared && queue != "" {
		c.share = newShare()
	}
	for _, subject := range c.subjects() {
		if err := c.listen(subject, queue); err != nil {
			return fmt.Errorf("console: subscribe to %s: %w", subject, err)
		}
	}
	if err := nc.FlushTimeout(5 * time.Second); err != nil {
		return fmt.Errorf("console: subscribe: %w", err)
	}
	// A subscription that the grant does not allow fails only afterwards.
	if err := nc.LastError(); errors.Is(err, nats.ErrPermissionViolation) {
		return fmt.Errorf("console: subscribe: %w", err)
	}
	return nil
}

// subjects returns the subjects to subscribe to.
func (c *Console) subjects() []string {
	all := chat.TappingGrant().Subscribe
	if c.cfg.Show == ShowAll {
		return all
	}
	return slices.DeleteFunc(all, func(s string) bool { return s != chat.AuditSubjects })
}

// listen subscribes to a subject. A console that shares its lines with others gets each
// message by itself, and some again by the queue group.
func (c *Console) listen(subject, queue string) error {
	queues := []string{queue}
	if c.share != nil {
		queues = []string{"", queue}
	}
	for _, q := range queues {
		sub, err := c.conn.ChanQueueSubscribe(subject, q, c.arrived)
		if err != nil {
			return err
		}
		c.subs = append(c.subs, sub)
	}
	return nil
}

// Serve shows what arrives until ctx is done; then it shows what is still in flight, within a few
// seconds, and returns nil. It returns an error only if the connection was closed.
func (c *Console) Serve(ctx context.Context) error {
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.lines.writeTo(c.cfg.Out, c.cfg.Now, c.cfg.Log)
	}()
	err := c.collect(ctx)
	c.drain()
	c.lines.close()
	select {
	case <-written:
	case <-time.After(writeTime): // somebody stopped the terminal: it may not stop us
	}
	return err
}

func (c *Console) collect(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case m := <-c.arrived:
			c.show(m)
			c.showWaiting()
			c.lines.flush()
			time.Sleep(pause)
		case <-tick.C:
			c.countDropped()
			c.releaseStored(nothing)
			c.printAll(c.due(c.cfg.Now(), false))
			c.lines.flush()
			if c.conn.IsClosed() {
				return errors.New("console: the connection is closed")
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// drain shows what the broker has passed on before now: the answer to a flush comes after it on the
// same connection.
func (c *Console) drain() {
	if err := c.conn.FlushTimeout(drainTime); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		c.cfg.Log.Warn("console: some lines may be missing at the end", "err", err)
	}
	c.countDropped()
	for _, s := range c.subs {
		_ = s.Unsubscribe() // fails only on a closed connection
	}
	c.showWaiting()
	c.releaseStored(everything)
	c.printAll(c.due(c.cfg.Now(), true))
}

// showWaiting shows what has arrived by now.
func (c *Console) showWaiting() {
	for range len(c.arrived) {
		c.show(<-c.arrived)
	}
}

// show handles a message of the broker. Events of the servers are for every console, so that each
// replica's own console says that the replica is ready.
func (c *Console) show(m *nats.Msg) {
	now, second := c.cfg.Now(), c.share != nil && m.Sub.Queue != ""
	switch {
	case c.share == nil, m.Subject == chat.AuditServer.Wildcard() && !second:
		c.print(c.book.feed(m.Subject, m.Data, now), now)
	case m.Subject == chat.AuditServer.Wildcard():
	case second:
		c.second(m, now)
	default:
		c.first(m, now)
	}
}

// print shows entries, similar ones as one.
func (c *Console) print(entries []entry, now time.Time) {
	for _, e := range entries {
		if e.direct != nil {
			c.book.directs.await(*e.direct, now)
		}
		if e.key == "" {
			c.lines.put(e)
			continue
		}
		c.printAll(c.same.pass(e, now))
	}
}

func (c *Console) printAll(entries []entry) {
	for _, e := range entries {
		c.lines.put(e)
	}
}

// due returns the lines that are due now, or at the end.
func (c *Console) due(now time.Time, end bool) []entry {
	var entries []entry
	for _, e := range c.book.due(now) {
		entries = append(entries, c.same.pass(e, now)...)
	}
	return append(entries, c.same.due(now, end)...)
}

// Dropped counts the lines that were not shown because the console was behind, and the
// messages of the broker that were not read.
func (c *Console) Dropped() uint64 {
	c.lines.mu.Lock()
	defer c.lines.mu.Unlock()
	return c.lines.total
}

// countDropped counts messages that the client library had no room for. A console that gets messages
// twice counts only the second ones, because these are the ones that it shows.
func (c *Console) countDropped() {
	missed, sum := 0, 0
	for _, s := range c.subs {
		n, err := s.Dropped()
		if err != nil {
			continue
		}
		missed += n
		if c.share == nil || s.Queue != "" {
			sum += n
		}
	}
	reconnects := c.conn.Stats().Reconnects
	if missed > c.missed || reconnects > c.reconnects {
		c.book.doubt()
	}
	if sum > c.dropped {
		c.lines.lose(sum - c.dropped)
	}
	c.missed, c.dropped, c.reconnects = missed, sum, reconnects
}
