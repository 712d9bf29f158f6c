package main

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"natter/chat"
	"natter/client"
	"natter/internal/coord"
)

// around is how many messages all couples together send around a kill.
const around = 10_000

// kill measures how long it takes after kill -9 and a restart until everybody chats
// again, next to as many bare connections that come back.
func (b *bench) kill() error {
	limits := coord.Defaults().Limits // must not affect users who come back
	limits.Lobby = 0                  // all come from one address
	s, err := b.limitedServer("", limits)
	if err != nil {
		return err
	}
	defer func() { s.kill() }()
	people, err := b.couples(s, b.size.cut/2)
	defer closeAll(people)
	if err != nil {
		return err
	}
	bares, err := b.bareServer(2 * b.size.cut) // the users in chats have two connections each
	if err != nil {
		return err
	}
	defer bares.close()
	lost, twice := 0, 0
	ours := func() (float64, error) {
		m := newMail(b, people)
		took, err := m.around(s)
		lost, twice = lost+m.lost(), twice+int(m.twice.Load())
		return took.Seconds() * 1000, err
	}
	theirs := func() (float64, error) {
		took, err := bares.again(b)
		return took.Seconds() * 1000, err
	}
	a, c, err := b.duel(ours, theirs)
	if err != nil {
		return err
	}
	b.table.compare(fmt.Sprintf("kill -9 and restart: %d users in chats, all chatting again", b.size.cut), a, c, millis, atMost(2.5))
	what := fmt.Sprintf("of %d messages said around each of %d kills: ", around, b.runs)
	b.table.absolute(what+"lost", []float64{float64(lost)}, "messages", atMost(0))
	b.table.absolute(what+"twice", []float64{float64(twice)}, "messages", atMost(0))
	return nil
}

// mail are the messages of couples around a kill.
type mail struct {
	b      *bench
	people []*client.Client
	each   int // messages per person
	turn   string
	said   atomic.Int64
	heard  atomic.Int64
	twice  atomic.Int64
	killed chan struct{} // closed when the server is up again
	back   []chan struct{}
}

func newMail(b *bench, people []*client.Client) *mail {
	m := &mail{b: b, people: people, each: max(around/len(people), 2), turn: strconv.FormatInt(time.Now().UnixNano(), 36), killed: make(chan struct{})}
	for range people {
		m.back = append(m.back, make(chan struct{}))
	}
	return m
}

func (m *mail) lost() int { return m.each*len(m.people) - int(m.heard.Load()) }

// around sends half of the messages, kills the server, and returns how long after the restart everybody
// has received a message that was sent afterwards.
func (m *mail) around(s *server) (time.Duration, error) {
	var all sync.WaitGroup
	failed := make([]error, 2*len(m.people))
	half := make(chan struct{})
	for i, c := range m.people {
		all.Go(func() { failed[2*i] = m.speak(c, half) })
		all.Go(func() { failed[2*i+1] = m.listen(c, m.back[i]) })
	}
	<-half
	s.kill()
	begin := time.Now()
	if err := s.start(); err != nil {
		return 0, err
	}
	close(m.killed)
	for _, back := range m.back {
		select {
		case <-back:
		case <-m.b.ctx.Done():
			return 0, m.b.ctx.Err()
		}
	}
	took := time.Since(begin)
	all.Wait()
	return took, first(failed)
}

// speak sends all messages, the last one after the restart; half is closed when half of them are sent.
func (m *mail) speak(c *client.Client, half chan<- struct{}) error {
	for i := range m.each {
		if i == m.each-1 {
			<-m.killed
		}
		if err := m.sayUntilKept(c, m.turn+" "+strconv.Itoa(i)); err != nil {
			return err
		}
		if m.said.Add(1) == int64(m.each*len(m.people)/2) {
			close(half)
		}
	}
	return nil
}

// sayUntilKept sends a message, and tries again while too many wait for the connection.
func (m *mail) sayUntilKept(c *client.Client, text string) error {
	for {
		err := say(c, text)
		if !errors.Is(err, &chat.Error{Code: chat.NotConnected}) {
			return err
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-m.b.ctx.Done():
			return err
		}
	}
}

// listen counts the messages of this turn, and those that come twice or out of order.
func (m *mail) listen(c *client.Client, back chan<- struct{}) error {
	next, heard := 0, hearing{c: c}
	for next < m.each {
		_, e, err := heard.next(m.b.ctx)
		if err != nil {
			return err
		}
		if e.Text != m.turn+" "+strconv.Itoa(next) {
			m.twice.Add(1)
			continue
		}
		next++
		m.heard.Add(1)
	}
	close(back)
	return nil
}

// bares are connections that only reconnect.
type bares struct {
	s     *server
	conns []*nats.Conn
	up    chan struct{}
}

// handshakeFor is how long they wait for a handshake, as users' clients do.
const handshakeFor = 10 * time.Second

// bareServer has n of them.
func (b *bench) bareServer(n int) (*bares, error) {
	s, err := b.server("")
	if err != nil {
		return nil, err
	}
	r := &bares{s: s, conns: make([]*nats.Conn, n), up: make(chan struct{}, n)}
	return r, inParallel(len(r.conns), func(i int) (err error) {
		r.conns[i], err = s.bareUser(i, nats.Timeout(handshakeFor), nats.ReconnectHandler(func(*nats.Conn) { r.up <- struct{}{} }))
		return err
	})
}

func (r *bares) close() {
	for _, nc := range r.conns {
		if nc != nil {
			nc.Close()
		}
	}
	r.s.kill()
}

// again kills and restarts the server and returns how long it takes until all are back.
func (r *bares) again(b *bench) (time.Duration, error) {
	r.s.kill()
	begin := time.Now()
	if err := r.s.start(); err != nil {
		return 0, err
	}
	for range r.conns {
		select {
		case <-r.up:
		case <-b.ctx.Done():
			return 0, b.ctx.Err()
		}
	}
	return time.Since(begin), nil
}
