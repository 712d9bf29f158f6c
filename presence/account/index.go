package account

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/chat"
)

// Index finds the accounts whose names look like another one, in memory. It is best effort: it may
// learn a moment later what another replica has stored, so two names that look alike can be taken
// at the same time. The zero Index is empty.
type Index struct {
	mu      sync.RWMutex
	holders map[string][]holder  // by skeleton
	spelled map[chat.User]string // the skeleton, where it is not that of the lower-case name
	swept   time.Time
}

// holder is the part of an account that says until when its name is taken.
type holder struct {
	user  chat.User
	since int64 // of the last login, in seconds; not taken: when the name is free
	kind  kind
}

type kind uint8

const (
	reserved kind = iota
	freed
	taken
	forever // a tombstone
)

// lapsed is Record.Lapsed.
func (h holder) lapsed(now, settled time.Time, ttl time.Duration) bool {
	switch h.kind {
	case reserved:
		return now.Unix() > h.since
	case freed:
		return settled.Unix() > h.since
	case taken:
		return ttl > 0 && settled.Unix() > h.since+int64(ttl/time.Second)
	}
	return false
}

// Held reports whether another user has a name that looks like this one; settled is
// Clock.Settled. It is not called for users who have their name already.
func (x *Index) Held(name chat.Name, now, settled time.Time, ttl time.Duration) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	u := name.User()
	return slices.ContainsFunc(x.holders[chat.Skeleton(name)], func(h holder) bool { return h.user != u && !h.lapsed(now, settled, ttl) })
}

// Note updates the index with a user's record.
func (x *Index) Note(u chat.User, r Record, now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.forget(u)
	x.sweep(now)
	h := holder{user: u}
	switch {
	case !r.Deleted.IsZero():
		h.kind = forever
	case r.Key == "" && r.Freed.IsZero():
		return
	case r.Key == "":
		h.kind, h.since = freed, r.Freed.Unix()
	case r.Taken():
		h.kind, h.since = taken, r.LastLogin.Unix()
	default:
		h.since = r.Reserved.Unix()
	}
	x.put(h, r.Name)
}

// Len returns the number of skeletons.
func (x *Index) Len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.holders)
}

func (x *Index) put(h holder, name chat.Name) {
	if x.holders == nil {
		x.holders, x.spelled = map[string][]holder{}, map[chat.User]string{}
	}
	s, plain := chat.Skeleton(name), chat.Skeleton(chat.Name(h.user))
	if s != plain {
		x.spelled[h.user] = s
	}
	if s == string(h.user) {
		s = string(h.user) // one text in memory
	}
	x.holders[s] = append(x.holders[s], h)
}

// forget removes a user.
func (x *Index) forget(u chat.User) {
	s, ok := x.spelled[u]
	if !ok {
		s = chat.Skeleton(chat.Name(u))
	}
	delete(x.spelled, u)
	x.keep(s, func(h holder) bool { return h.user != u })
}

// keep removes the holders of a skeleton for whom good is false.
func (x *Index) keep(skeleton string, good func(holder) bool) {
	left := slices.DeleteFunc(x.holders[skeleton], func(h holder) bool { return !good(h) })
	if len(left) == 0 {
		delete(x.holders, skeleton)
		return
	}
	x.holders[skeleton] = left
}

// sweep drops the reservations that have ended, once a minute.
func (x *Index) sweep(now time.Time) {
	if now.Sub(x.swept).Abs() < time.Minute {
		return
	}
	x.swept = now
	for s, all := range x.holders {
		for _, h := range all {
			if h.kind == reserved && h.lapsed(now, now, 0) {
				delete(x.spelled, h.user)
			}
		}
		x.keep(s, func(h holder) bool { return h.kind != reserved || !h.lapsed(now, now, 0) })
	}
}

// followAgain is the pause before the stream is read anew.
const followAgain = time.Second

// Follow keeps the index up to date with what is stored, by this replica and others,
// until ctx ends. It calls loaded once, when all that was there has been read.
func (s *Store) Follow(ctx context.Context, log *slog.Logger, loaded func()) {
	loaded = sync.OnceFunc(loaded)
	for {
		if err := s.follow(ctx, loaded); ctx.Err() == nil {
			log.Debug("follow the accounts", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(followAgain):
		}
	}
}

func (s *Store) follow(ctx context.Context, loaded func()) error {
	cons, dismiss, err := broker.OrderedConsumer(ctx, s.js, broker.AccountsStream, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return fmt.Errorf("follow %s: %w", broker.AccountsStream, err)
	}
	defer dismiss()
	if cons.CachedInfo().NumPending == 0 {
		loaded()
	}
	msgs, err := cons.Messages()
	if err != nil {
		return fmt.Errorf("follow %s: %w", broker.AccountsStream, err)
	}
	defer msgs.Stop()
	for {
		m, err := msgs.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("follow %s: %w", broker.AccountsStream, err)
		}
		var r Record
		u := chat.User(strings.TrimPrefix(m.Subject(), subject("")))
		if json.Unmarshal(m.Data(), &r) == nil {
			s.Names.Note(u, r, time.Now())
		}
		meta, err := m.Metadata()
		if err != nil {
			continue
		}
		if s.Seen != nil {
			s.Seen(u, r, meta.Sequence.Stream, m.Headers().Get(broker.GoneHeader) != "")
		}
		if meta.NumPending == 0 {
			loaded()
		}
	}
}
