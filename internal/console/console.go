// Package console is the operator's live view of a coordinator: one line per
// request, action and message, for people or, as JSON, for programs.
//
// # The picture
//
//	chat.audit.>          ┐
//	chat.session.*.msg.*  ├─ one connection, one channel ─▶ book ─▶ backlog ─▶ Out
//	chat.dm.*.*           ┘        (4,096 deep)           feed    (4,096 lines)
//
// Everything comes on one connection into one channel, so what is shown has the
// order in which the broker passed it on. The book (book.go) keeps the little
// that lines need from earlier ones; the backlog (backlog.go) stands between the
// book and a writer that may be slow.
//
// # What is promised
//
//   - Nobody waits for a console. What it cannot keep up with is dropped, and it
//     says how many lines that were.
//   - Each message is shown at most once, in its sender's order, and messages that
//     did not arrive are counted, provided that this console is the only one in
//     its queue group (see Config.Shared).
//   - Nothing that users wrote controls the terminal or looks like another line:
//     text lines pass chat.Clean or chat.CleanLine, JSON is escaped.
//   - Who sent a message is read from its subject, which the broker vouches for.
package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
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
	depth     = 4096            // messages from the broker that may wait, and lines that may
	drainTime = time.Second     // for what is on its way when the console is stopped
	writeTime = 2 * time.Second // for a writer that is slow when the console is stopped
)

// Config says what is shown, and how.
type Config struct {
	Out   io.Writer
	JSON  bool         // a JSON object per line instead of text
	Show  string       // ShowAll, ShowActions or ShowNone; "" is ShowAll
	Color bool         // colours the kind of each text line
	Log   *slog.Logger // for failures of the console itself; nil: they are not logged

	// Shared says that other consoles may be in the queue group. Then a missing
	// number means nothing, and messages are not counted.
	Shared bool

	Location *time.Location   // of the times in text lines; nil is time.Local
	Now      func() time.Time // nil is time.Now
}

// Console shows what happens. Make one with New.
type Console struct {
	cfg     Config
	arrived chan *nats.Msg
	subs    []*nats.Subscription // set by Subscribe
	conn    *nats.Conn           // set by Subscribe
	dropped int                  // of subs, as far as it has been told; Serve's
	book    *book                // Serve's
	lines   *backlog
}

// New makes a console that is not fed yet.
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
	return &Console{
		cfg:     cfg,
		arrived: make(chan *nats.Msg, depth),
		book:    newBook(cfg.Show, cfg.Shared),
		lines:   newBacklog(depth),
	}
}

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
	for subject, group := range c.subjects(queue) {
		sub, err := nc.ChanQueueSubscribe(subject, group, c.arrived)
		if err != nil {
			return fmt.Errorf("console: subscribe to %s: %w", subject, err)
		}
		c.subs = append(c.subs, sub)
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

// subjects are what is listened to, each with its queue group. What concerns the servers
// is for every console, so that each replica's own says that the replica is ready.
func (c *Console) subjects(queue string) map[string]string {
	all := map[string]string{}
	if !c.cfg.Shared || queue == "" {
		for _, subject := range chat.TappingGrant().Subscribe {
			all[subject] = queue
		}
		return all
	}
	all[chat.Said.Wildcard()], all[chat.Direct.Wildcard()] = queue, queue
	for _, r := range chat.Routes() {
		if r.To() == chat.Observer {
			all[r.Wildcard()] = queue
		}
	}
	all[chat.AuditServer.Wildcard()] = ""
	return all
}

// Serve shows what arrives until ctx is done; then it shows what is still on its
// way, within a few seconds, and returns nil. It returns an error only when the
// connection was closed under it.
func (c *Console) Serve(ctx context.Context) error {
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.lines.writeTo(c.cfg.Out, c.render, c.cfg.Now, c.cfg.Log)
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
		case <-tick.C:
			c.countDropped()
			if c.conn.IsClosed() {
				return errors.New("console: the connection is closed")
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// drain shows what the broker had passed on before now: the answer to a flush
// comes behind it on the same connection.
func (c *Console) drain() {
	if err := c.conn.FlushTimeout(drainTime); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		c.cfg.Log.Warn("console: some lines may be missing at the end", "err", err)
	}
	c.countDropped()
	for _, s := range c.subs {
		_ = s.Unsubscribe() // fails only on a closed connection
	}
	for {
		select {
		case m := <-c.arrived:
			c.show(m)
		default:
			return
		}
	}
}

func (c *Console) show(m *nats.Msg) {
	for _, e := range c.book.feed(m.Subject, m.Data, c.cfg.Now()) {
		c.lines.put(e)
	}
}

// Dropped counts the lines that were not shown because the console was behind.
func (c *Console) Dropped() uint64 {
	c.lines.mu.Lock()
	defer c.lines.mu.Unlock()
	return c.lines.total
}

// countDropped adds what the client library had no room for.
func (c *Console) countDropped() {
	sum := 0
	for _, s := range c.subs {
		if n, err := s.Dropped(); err == nil {
			sum += n
		}
	}
	if sum > c.dropped {
		c.lines.lose(sum - c.dropped)
		c.dropped = sum
	}
}

func (c *Console) render(buf []byte, e entry) []byte {
	if c.cfg.JSON {
		return appendJSON(buf, e)
	}
	return appendText(buf, e, c.cfg.Location, c.cfg.Color)
}
