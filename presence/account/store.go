package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/broker/store"
	"natter/chat"
)

const (
	raceAgain = 10 * time.Millisecond  // the pause after a race for an account was lost
	readIn    = 500 * time.Millisecond // when nothing can be stored: perhaps nobody leads the stream
)

// Store stores accounts in their stream. An account is changed on the condition that
// its own record has not changed meanwhile, because its rules read nothing else.
type Store struct {
	Names Index // of all accounts, once Follow has read them

	// Seen is told of every record that Follow reads, with its revision; gone is of a
	// tombstone. It must not block. Set it before Follow; nil: nobody is told.
	Seen func(u chat.User, r Record, revision uint64, gone bool)

	// AtLimit is told when the stream takes no more. Set it before use; nil: nobody is told.
	AtLimit func()

	js jetstream.JetStream

	watch broker.StoreWatch
}

// OpenStore opens the stream. nc needs chat.StoringGrant.
func OpenStore(ctx context.Context, nc *nats.Conn) (*Store, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	if _, err := js.Stream(ctx, broker.AccountsStream); err != nil {
		return nil, fmt.Errorf("open %s: %w", broker.AccountsStream, err)
	}
	return &Store{js: js, watch: broker.Until{Context: context.Background()}}, nil
}

// While has what would be stored refused at once while nothing can be.
func (s *Store) While(w broker.StoreWatch) { s.watch = w }

// Get reads an account; a name without one has the zero Record and revision 0.
func (s *Store) Get(ctx context.Context, u chat.User) (Record, uint64, error) {
	var r Record
	var data []byte
	var revision uint64
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	storing := s.watch.Storing()
	defer s.watch.Doubt()()
	defer context.AfterFunc(storing, func() { time.AfterFunc(readIn, cancel) })()
	err := broker.Retry(ctx, func(ctx context.Context) (err error) {
		data, revision, err = broker.Last(ctx, s.js.Conn(), broker.AccountsStream, subject(u))
		return err
	})
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return r, 0, nil
	}
	if err != nil {
		return r, 0, fmt.Errorf("read account %s: %w", u, broker.Told(storing, err))
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, 0, fmt.Errorf("account %s cannot be read: %w", u, err)
	}
	return r, revision, nil
}

// Update runs a rule on an account until its result is stored. When it returns
// without an error, the record is durable. The rule's error is returned as it is;
// chat.ErrUnchanged counts as success.
func (s *Store) Update(ctx context.Context, u chat.User, rule func(Record) (Record, error)) (Record, error) {
	for {
		before, revision, err := s.Get(ctx, u)
		if err != nil {
			return before, err
		}
		after, err := rule(before)
		if errors.Is(err, chat.ErrUnchanged) {
			return after, nil
		}
		if err != nil {
			return before, err
		}
		data, err := json.Marshal(after)
		if err != nil {
			return before, fmt.Errorf("encode account %s: %w", u, err)
		}
		err = s.publish(ctx, u, data, revision)
		switch {
		case err == nil:
			s.Names.Note(u, after, time.Now())
			return after, nil
		case !store.Raced(err):
			return before, fmt.Errorf("store account %s: %w", u, err)
		}
		select { // what is just being stored may take a moment
		case <-time.After(raceAgain):
		case <-ctx.Done():
			return before, fmt.Errorf("store account %s: %w", u, ctx.Err())
		}
	}
}

// publish stores a record in the place of the one with a revision.
func (s *Store) publish(ctx context.Context, u chat.User, data []byte, revision uint64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	storing := s.watch.Storing()
	defer s.watch.Doubt()()
	defer context.AfterFunc(storing, cancel)()
	err := broker.Retry(ctx, func(ctx context.Context) error { // what was stored unheard is refused the next time
		_, err := s.js.Publish(ctx, subject(u), data, jetstream.WithExpectLastSequencePerSubject(revision))
		return err
	})
	if err == nil {
		return nil
	}
	err = broker.Told(storing, err)
	if broker.AtLimit(err) && s.AtLimit != nil {
		s.AtLimit()
	}
	return err
}

// Release removes an account whose name is nobody's, if the rule agrees: it puts a tombstone
// in its place, which Purge removes later. Until then those who follow the stream learn that
// it is gone.
func (s *Store) Release(ctx context.Context, u chat.User, over func(Record) bool) error {
	r, revision, err := s.Get(ctx, u)
	if err != nil || revision == 0 || !over(r) {
		return err
	}
	m := nats.NewMsg(subject(u))
	m.Data = []byte("{}")
	m.Header.Set(broker.GoneHeader, "1")
	_, err = s.js.PublishMsg(ctx, m, jetstream.WithExpectLastSequencePerSubject(revision))
	if store.Raced(err) {
		return nil // it was asked for again
	}
	return err
}

// Purge removes a tombstone, and nothing that came after it.
func (s *Store) Purge(ctx context.Context, u chat.User, revision uint64) error {
	stream, err := s.js.Stream(ctx, broker.AccountsStream)
	if err != nil {
		return err
	}
	return stream.Purge(ctx, jetstream.WithPurgeSubject(subject(u)), jetstream.WithPurgeSequence(revision+1))
}

func subject(u chat.User) string { return chat.StateRoot + ".account." + string(u) }
