package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natter/broker"
	"natter/chat"
	"natter/client"
	"natter/internal/coord"
)

const (
	floodRate  = 10_000 // requests a second of each attacker
	honest     = 50     // users who ask for lists
	listEvery  = 250 * time.Millisecond
	doors      = 4 // addresses that honest people log in from
	loginEvery = 80 * time.Millisecond
	turn       = time.Second
)

// attack measures how a flood of requests to a coordinator with default limits affects honest users.
func (b *bench) attack() error {
	s, err := b.limitedServer("", coord.Defaults().Limits)
	if err != nil {
		return err
	}
	defer s.kill()
	people, err := b.people(s, honest)
	defer closeAll(people)
	if err != nil {
		return err
	}
	for _, a := range []struct {
		name  string
		what  string
		flood func(*server) (*flood, error)
	}{
		{"attack-user", "a user floods lists and invitations", b.floodOfUser},
		{"attack-lobby", "an address floods the lobby for a user's name", b.floodOfLobby},
		{"attack-origin", "an address floods the lobby and lies about where it comes from", b.floodOfLiar},
		{"attack-junk", "a user floods what is no request", b.floodOfJunk},
	} {
		if err := b.underAttack(s, people, a.name, a.what, a.flood); err != nil {
			return fmt.Errorf("%s: %w", a.what, err)
		}
	}
	return nil
}

// underAttack measures with and without a flood in short turns, so that other work on the machine
// affects both.
func (b *bench) underAttack(s *server, people []*client.Client, name, what string, start func(*server) (*flood, error)) error {
	var lists, logins [2][]float64
	for range b.runs {
		f, err := start(s)
		if err != nil {
			return err
		}
		_, err = b.profiled(s, name, func() (float64, error) { return 0, b.turns(s, people, f, &lists, &logins) })()
		if err = errors.Join(err, f.victim(), f.stop()); err != nil {
			return err
		}
	}
	what = fmt.Sprintf("%s, %d/s: ", what, floodRate)
	b.attacks.compare(what+"list of an honest user, p99", lists[0], lists[1], millis, atMost(2))
	b.attacks.compare("the same: login of an honest user, p99", logins[0], logins[1], millis, atMost(2))
	return nil
}

// turns adds the times of lists and logins, p99 in milliseconds, with the flood and without.
func (b *bench) turns(s *server, people []*client.Client, f *flood, lists, logins *[2][]float64) error {
	var list, login [2][]float64
	for range b.size.turns {
		for side := range 2 {
			f.on.Store(side == 0)
			l, g, err := b.honestTurn(s, people)
			if err != nil {
				return err
			}
			list[side], login[side] = append(list[side], l...), append(login[side], g...)
		}
	}
	f.on.Store(true) // while the victim logs in
	for side := range 2 {
		lists[side], logins[side] = append(lists[side], p99(list[side])), append(logins[side], p99(login[side]))
	}
	return nil
}

// honestTurn has honest users ask for lists and log in for a while, and returns how long
// each of that took in milliseconds.
func (b *bench) honestTurn(s *server, people []*client.Client) (lists, logins []float64, err error) {
	var all sync.WaitGroup
	n := len(people)
	failed, took := make([]error, n+doors), make([][]float64, n+doors)
	for i := range failed {
		do, every := func() error { _, err := people[i].List(b.ctx); return err }, listEvery
		first := every * time.Duration(i) / honest // not all at once
		if i >= n {
			do, every = func() error { return b.loginFrom(s, i-n) }, loginEvery
			first = every * time.Duration(i-n) / doors
		}
		all.Go(func() { took[i], failed[i] = repeatedly(do, first, every) })
	}
	all.Wait()
	return slices.Concat(took[:n]...), slices.Concat(took[n:]...), errors.Join(failed...)
}

// repeatedly calls a function at a rate for a turn and returns how long each call took, in
// milliseconds.
func repeatedly(do func() error, first, every time.Duration) (took []float64, err error) {
	until := time.Now().Add(turn)
	time.Sleep(first)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for time.Now().Before(until) {
		begin := time.Now()
		if err := do(); err != nil {
			return took, err
		}
		took = append(took, time.Since(begin).Seconds()*1000)
		<-tick.C
	}
	return took, nil
}

func p99(all []float64) float64 {
	s := slices.Sorted(slices.Values(all))
	if len(s) == 0 {
		return math.NaN()
	}
	return s[len(s)*99/100]
}

var newcomers atomic.Int64

// loginFrom has a new user log in from one of the addresses, and log out again.
func (b *bench) loginFrom(s *server, door int) error {
	c, err := client.Dial(b.ctx, client.Config{URL: s.url(), Options: []nats.Option{from(10 + door)}})
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Enter(b.ctx, fmt.Sprintf("new%d", newcomers.Add(1)))
	return err
}

// from dials from another address of this computer.
func from(host int) nats.Option {
	return nats.SetCustomDialer(&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(host))}})
}

// flood sends without waiting for answers.
type flood struct {
	nc     *nats.Conn
	victim func() error // must log in all the same
	on     atomic.Bool
	end    chan struct{}
	ended  chan error
}

// start sends at the rate of a flood until stop; send is told how many there were.
func start(nc *nats.Conn, send func(f *flood, i int) error) *flood {
	f := &flood{nc: nc, victim: func() error { return nil }, end: make(chan struct{}), ended: make(chan error, 1)}
	go func() { f.ended <- f.run(send) }()
	return f
}

func (f *flood) run(send func(*flood, int) error) error {
	last, tick := time.Now(), time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := 0; ; {
		select {
		case <-f.end:
			return nil
		case <-tick.C:
		}
		due := i + int(time.Since(last).Seconds()*floodRate)
		for last = time.Now(); f.on.Load() && i < due; i++ {
			if err := send(f, i); err != nil {
				return err
			}
		}
	}
}

func (f *flood) stop() error {
	close(f.end)
	err := <-f.ended
	f.nc.Close()
	return err
}

// registered logs a user in, and connects as the same user without a client.
func (b *bench) registered(s *server, name string) (*nats.Conn, error) {
	c, err := b.enter(client.Config{URL: s.url()}, name)
	if err != nil {
		return nil, err
	}
	t, err := s.ticket(chat.UserGrant(chat.User(name)))
	if err != nil {
		return nil, err
	}
	return s.dial(t, chat.Inbox(chat.User(name)), nats.ClosedHandler(func(*nats.Conn) { c.Close() }))
}

// floodOfUser asks for lists and invites.
func (b *bench) floodOfUser(s *server) (*flood, error) {
	name := fmt.Sprintf("mallory%d", newcomers.Add(1))
	nc, err := b.registered(s, name)
	if err != nil {
		return nil, err
	}
	me := chat.Address{User: chat.User(name)}
	reply := chat.Inbox(me.User) + ".flood"
	if _, err := nc.Subscribe(reply, func(*nats.Msg) {}); err != nil {
		return nil, err
	}
	return start(nc, func(_ *flood, i int) error {
		if i%2 == 0 {
			return nc.PublishRequest(chat.List.Subject(me), reply, []byte("{}"))
		}
		return nc.PublishRequest(chat.Invite.Subject(me), reply, []byte(`{"guests":["user0"]}`))
	}), nil
}

// floodOfLobby asks for a user's name with a key that is not theirs.
func (b *bench) floodOfLobby(s *server) (*flood, error) {
	return b.lobbyFlood(s, func(int) nats.Header { return nil })
}

// floodOfLiar is floodOfLobby with requests that claim the address of honest users and connections that
// do not exist.
func (b *bench) floodOfLiar(s *server) (*flood, error) {
	return b.lobbyFlood(s, func(i int) nats.Header {
		return nats.Header{"nats-request-info": {fmt.Sprintf(`{"acc":"LOBBY","host":"127.0.0.%d","id":%d,"server":"chatcoord"}`, 10+i%doors, 1_000_000+i)}}
	})
}

// lobbyFlood asks for a user's name with a key that is not theirs, with headers.
func (b *bench) lobbyFlood(s *server, header func(i int) nats.Header) (*flood, error) {
	name := fmt.Sprintf("victim%d", newcomers.Add(1))
	cfg := client.Config{URL: s.url(), KeyDir: filepath.Join(b.dir, name)}
	victim := func() error {
		c, err := b.enter(cfg, name)
		if err != nil {
			return err
		}
		return c.Exit(b.ctx)
	}
	if err := victim(); err != nil {
		return nil, err
	}
	key, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	curve, err := nkeys.CreateCurveKeys()
	if err != nil {
		return nil, err
	}
	q := chat.EnterRequest{Proto: chat.Proto, Name: name}
	if q.Key, err = key.PublicKey(); err != nil {
		return nil, err
	}
	if q.Seal, err = curve.PublicKey(); err != nil {
		return nil, err
	}
	if q.Proof, err = key.Sign(chat.EnterText(q)); err != nil {
		return nil, err
	}
	data, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	nc, err := broker.Connect(b.ctx, s.url(), "bench", nats.CustomInboxPrefix(chat.LobbyInbox), from(2))
	if err != nil {
		return nil, err
	}
	f := start(nc, func(_ *flood, i int) error {
		return nc.PublishMsg(&nats.Msg{Subject: chat.Enter.Subject(chat.Address{}), Reply: chat.LobbyInbox + ".flood", Header: header(i), Data: data})
	})
	f.victim = victim
	return f, nil
}

// floodOfJunk sends invalid JSON, and requests with a reply subject outside of the inbox. It is signed
// out soon, and comes back with another name.
func (b *bench) floodOfJunk(s *server) (*flood, error) {
	var me chat.Address
	come := func() (*nats.Conn, error) {
		name := fmt.Sprintf("mallory%d", newcomers.Add(1))
		me = chat.Address{User: chat.User(name)}
		return b.registered(s, name)
	}
	nc, err := come()
	if err != nil {
		return nil, err
	}
	return start(nc, func(f *flood, i int) error {
		if !f.nc.IsConnected() {
			f.nc.Close()
			if nc, err := come(); err == nil { // else it is slowed down, and tries again
				f.nc = nc
			}
			return nil
		}
		reply := chat.Inbox(me.User) + ".flood"
		if i%2 == 0 {
			reply = chat.Exit.Subject(chat.Address{User: "user0"})
		}
		_ = f.nc.PublishRequest(chat.Answer.Subject(me), reply, []byte("this is not JSON")) // fails if it was just disconnected
		return nil
	}), nil
}
