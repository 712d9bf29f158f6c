package embedded

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"natter/broker"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// onTheWay is how many records wait for the disk at once.
const onTheWay = 256

// rebuild makes a stream anew, of the records in it that can be read, behind all sequences that
// it has had. NATS neither removes a record that it cannot read, nor reads past it for everybody.
// Tombstones are left out: the records that they hide are gone.
func (s *Server) rebuild(ctx context.Context, stream string) error {
	js, err := jetstream.New(s.book)
	if err != nil {
		return err
	}
	str, err := js.Stream(ctx, stream)
	if err != nil {
		return err
	}
	var left []broker.Stored
	err = broker.Records(ctx, s.book, stream, 1, func(r broker.Stored) {
		if !r.Gone() {
			left = append(left, r)
		}
	})
	if err != nil && !errors.Is(err, broker.ErrUnreadable) {
		return err
	}
	info := str.CachedInfo()
	if err := js.DeleteStream(ctx, stream); err != nil {
		return err
	}
	if str, err = js.CreateStream(ctx, info.Config); err != nil {
		return err
	}
	if err := str.Purge(ctx, jetstream.WithPurgeSequence(info.State.LastSeq+1)); err != nil {
		return err
	}
	return storeAgain(ctx, js, left)
}

// storeAgain stores records in their order. Their conditions were those of another time.
func storeAgain(ctx context.Context, js jetstream.JetStream, records []broker.Stored) error {
	var sent []jetstream.PubAckFuture
	await := func(most int) error {
		for ; len(sent) > most; sent = sent[1:] {
			select {
			case <-sent[0].Ok():
			case err := <-sent[0].Err():
				return fmt.Errorf("store %s: %w", sent[0].Msg().Subject, err)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
	for _, r := range records {
		m := &nats.Msg{Subject: r.Subject, Data: r.Data, Header: nats.Header{}}
		for name, values := range r.Header {
			if !strings.HasPrefix(name, "Nats-") {
				m.Header[name] = values
			}
		}
		ack, err := js.PublishMsgAsync(m)
		if err != nil {
			return fmt.Errorf("store %s: %w", r.Subject, err)
		}
		sent = append(sent, ack)
		if err := await(onTheWay); err != nil {
			return err
		}
	}
	return await(0)
}
