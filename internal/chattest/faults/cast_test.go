//go:build faults

package faults_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/internal/chattest/faults"
	"natter/session"
)

// askFor is how long anything that a user asks for may take before they give up.
const askFor = 12 * time.Second

// user is one of the cast: a person whose program may die and start again.
type user struct {
	t      testing.TB
	log    *faults.Log
	name   string
	keys   string // directory
	relays []*faults.Relay
	diary  *diary

	begins  sync.Mutex // one life at a time begins
	mu      sync.Mutex
	c       *client.Client
	life    int
	said    int
	session chat.Session // that the user is in, as they were told
	reading chan struct{}
}

func newUser(t testing.TB, log *faults.Log, name string, servers []string) *user {
	u := &user{t: t, log: log, name: name, keys: t.TempDir(), diary: newDiary(t, name)}
	for _, s := range servers {
		r, err := faults.NewRelay(s)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		u.relays = append(u.relays, r)
	}
	return u
}

// line makes the user's line to every server bad or good.
func (u *user) line(f faults.Flaw) {
	for _, r := range u.relays {
		r.Set(f)
	}
}

func (u *user) config(keys string) client.Config {
	var urls []string
	for _, r := range u.relays {
		urls = append(urls, r.URL())
	}
	return client.Config{
		URL: strings.Join(urls, ","), KeyDir: keys, Wait: askFor, Name: u.name,
		Options: []nats.Option{nats.IgnoreDiscoveredServers()},
		Log:     slog.New(slog.NewTextHandler(u.diary, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// live starts the user's program, unless it runs, and tries until it has the name.
func (u *user) live(ctx context.Context) error {
	u.begins.Lock()
	defer u.begins.Unlock()
	if u.client() != nil {
		return nil
	}
	told := map[string]int{}
	for {
		err := u.tryLive(ctx)
		if err == nil {
			break
		}
		if told[err.Error()]++; ctx.Err() != nil {
			return fmt.Errorf("told so often: %v", told)
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	_, err := retried(ctx, func(ctx context.Context) (bool, error) {
		if c := u.client(); c != nil { // or it has died again
			return true, c.SetPresence(ctx, true)
		}
		return false, nil
	})
	return err
}

func (u *user) tryLive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	c, err := client.Dial(ctx, u.config(u.keys))
	if err != nil {
		return err
	}
	if _, err := c.Enter(ctx, u.name); err != nil {
		c.Close()
		return err
	}
	u.mu.Lock()
	u.c = c
	u.life++
	u.session = chat.Session{}
	u.reading = make(chan struct{})
	u.mu.Unlock()
	u.note(faults.Record{What: faults.Born})
	go u.read(c, u.life, u.reading)
	return nil
}

// die is the end of the program without a goodbye: the line goes first, so that nothing is
// acknowledged that nobody has read.
func (u *user) die() {
	u.line(faults.Flaw{Cut: true})
	u.mu.Lock()
	c, reading := u.c, u.reading
	u.c = nil
	u.mu.Unlock()
	if c != nil {
		<-time.After(50 * time.Millisecond) // what has come is read
		c.Close()
		<-reading
		u.note(faults.Record{What: faults.Dead})
	}
	u.line(faults.Flaw{})
}

func (u *user) client() *client.Client {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.c
}

func (u *user) in() chat.Session {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.session
}

func (u *user) note(r faults.Record) {
	r.Who = u.name
	if r.Life == 0 {
		u.mu.Lock()
		r.Life = u.life
		u.mu.Unlock()
	}
	u.log.Add(r)
	if r.What != faults.Said && r.What != faults.Heard {
		u.diary.note(fmt.Sprintf("%s %s %s %v%s", r.What, r.Session, r.From, r.Members, r.Reason))
	}
}

// read notes what the user is told, and accepts every invitation.
func (u *user) read(c *client.Client, life int, done chan struct{}) {
	defer close(done)
	var answers sync.WaitGroup
	defer answers.Wait()
	for e := range c.Events() {
		switch e := e.(type) {
		case session.Invited:
			u.note(faults.Record{Life: life, What: faults.Invited, Session: e.Session.ID, From: string(e.Session.Host)})
			answers.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), askFor)
				defer cancel()
				_ = c.Answer(ctx, e.Session.ID, true) // what comes of it is told
			})
		case session.Opened:
			u.set(e.Session)
			u.note(faults.Record{Life: life, What: faults.Opened, Session: e.Session.ID, Members: present(e.Session)})
		case session.MemberLeft:
			u.note(faults.Record{Life: life, What: faults.Left, Session: e.Session.ID, From: string(e.Name.User())})
			if e.Name.User() == chat.User(u.name) {
				u.set(chat.Session{})
			}
		case session.Ended:
			u.set(chat.Session{})
			u.note(faults.Record{Life: life, What: faults.Ended, Session: e.Session.ID, Reason: string(e.Session.Reason)})
		case session.InvitationEnded:
			u.note(faults.Record{Life: life, What: faults.Over, Session: e.Session.ID, Reason: string(e.Session.Reason)})
		case client.Texts:
			for _, m := range e.Messages {
				u.note(faults.Record{Life: life, What: faults.Heard, Session: e.Session, From: string(e.From.User()), Text: m.Text})
			}
		case client.Lost, client.Connected, client.CoordinatorAway, client.CoordinatorBack:
			u.diary.note(fmt.Sprintf("%T %+v", e, e))
		case client.SignedOut:
			u.note(faults.Record{Life: life, What: faults.Out, Reason: e.Reason})
		case session.NotDelivered:
			if e.Kept {
				continue // it may arrive yet
			}
			u.note(faults.Record{Life: life, What: faults.Failed, Session: e.Session, Text: e.Text})
		}
	}
}

func (u *user) set(s chat.Session) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.session = s
}

func present(s chat.Session) []string {
	var names []string
	for _, m := range s.Present() {
		names = append(names, string(m.User()))
	}
	return names
}

// talk says something in the open chat now and then, and asks for the list, until ctx is
// done.
func (u *user) talk(ctx context.Context, rng *rand.Rand) {
	list := time.NewTicker(2 * time.Second)
	defer list.Stop()
	for {
		select {
		case <-time.After(time.Duration(200+rng.IntN(400)) * time.Millisecond):
			u.say()
		case <-list.C:
			u.list(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (u *user) say() {
	u.mu.Lock()
	c, s, life := u.c, u.session, u.life
	u.said++
	text := fmt.Sprintf("%s %d", u.name, u.said)
	u.mu.Unlock()
	if c == nil || s.ID == "" {
		return
	}
	in, err := c.Session(s.ID)
	if err != nil {
		return // it is told in a moment
	}
	// Noted first: who hears it may be faster than we are. What is refused was not said.
	u.note(faults.Record{Life: life, What: faults.Said, Session: s.ID, Text: text})
	if err := in.Say(text); err != nil {
		u.note(faults.Record{Life: life, What: faults.Failed, Session: s.ID, Text: text})
	}
}

func (u *user) list(ctx context.Context) {
	c := u.client()
	if c == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	users, err := c.List(ctx)
	if err != nil {
		return
	}
	var names []string
	for _, e := range users {
		names = append(names, string(e.Name.User()))
	}
	u.note(faults.Record{What: faults.Listed, Members: names})
}

// steal tries the user's name with another key.
func (u *user) steal(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	thief, err := client.Dial(ctx, u.config(""))
	if err != nil {
		return
	}
	defer thief.Close()
	if _, err := thief.Enter(ctx, u.name); err == nil {
		u.note(faults.Record{What: faults.Robbed})
	}
}

// churn ends every chat and begins others: two pairs, and a group of who is left.
func churn(ctx context.Context, cast []*user, rng *rand.Rand) {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	var wg sync.WaitGroup
	ended := map[string]bool{}
	for _, u := range cast {
		s := u.in()
		if c := u.client(); c != nil && s.ID != "" && !ended[s.ID] {
			ended[s.ID] = true
			wg.Go(func() { _ = chattest.Quit(ctx, c) })
		}
	}
	wg.Wait()
	order := rng.Perm(len(cast))
	group := func(from, to int) {
		var names []string
		for _, i := range order[from+1 : to] {
			names = append(names, cast[i].name)
		}
		if c := cast[order[from]].client(); c != nil {
			wg.Go(func() {
				_, err := c.Invite(ctx, names...)
				for errors.Is(err, &chat.Error{Code: chat.Unavailable}) || errors.Is(err, &chat.Error{Code: chat.Busy}) {
					select {
					case <-time.After(300 * time.Millisecond):
						_, err = c.Invite(ctx, names...)
					case <-ctx.Done():
						return
					}
				}
			})
		}
	}
	group(0, 2)
	group(2, 4)
	group(4, len(cast))
	wg.Wait()
}

// departures is how often somebody leaves a group between two churns.
const departures = 3

// depart has somebody leave a group that goes on, one from which somebody is away if there is
// one: what is stored for them must outlive its sender.
func depart(ctx context.Context, cast []*user, rng *rand.Rand) {
	if ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	away := map[string]bool{}
	for _, u := range cast {
		if c := u.client(); c == nil || !c.Online() {
			away[u.in().ID] = true
		}
	}
	var leaver *client.Client
	for _, i := range rng.Perm(len(cast)) {
		c := cast[i].client()
		if c == nil {
			continue
		}
		s, open := chattest.Session(c)
		if !open || len(s.Present()) < 3 {
			continue
		}
		if leaver = c; away[s.ID] {
			break
		}
	}
	if leaver != nil {
		_ = chattest.Leave(ctx, leaver)
	}
}

// settle waits until everybody is connected and agrees with the coordinator, and what was
// said has arrived. It returns what is still wrong.
func settle(ctx context.Context, cast []*user) error {
	for _, u := range cast {
		c := u.client()
		if c == nil {
			continue
		}
		if _, err := retried(ctx, func(ctx context.Context) ([]chat.Entry, error) { return c.List(ctx) }); err != nil {
			return fmt.Errorf("%s is not served again: %w", u.name, err)
		}
		if err := chattest.Flush(ctx, c); err != nil {
			return fmt.Errorf("%s: what was said does not arrive: %w", u.name, err)
		}
	}
	return nil
}

// retried asks until there is an answer: what is being repaired takes its time.
func retried[R any](ctx context.Context, ask func(context.Context) (R, error)) (R, error) {
	for {
		once, cancel := context.WithTimeout(ctx, askFor)
		r, err := ask(once)
		cancel()
		if err == nil || ctx.Err() != nil {
			return r, err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// closing ends the chats one after the other and waits until everybody was told.
func closing(ctx context.Context, cast []*user) {
	for _, u := range cast {
		if c := u.client(); c != nil && u.in().ID != "" {
			_, _ = retried(ctx, func(ctx context.Context) (int, error) {
				if u.in().ID == "" {
					return 0, nil
				}
				return 0, chattest.Quit(ctx, c)
			})
		}
	}
	for ctx.Err() == nil && slices.ContainsFunc(cast, func(u *user) bool { return u.client() != nil && u.in().ID != "" }) {
		<-time.After(20 * time.Millisecond)
	}
}
