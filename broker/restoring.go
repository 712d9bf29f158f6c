package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natter/chat"
)

// MarkRestoring notes in the store that a backup is being stored in it, or that it has come to
// its end.
func MarkRestoring(ctx context.Context, nc *nats.Conn, begun bool) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	err = Retry(ctx, func(ctx context.Context) error {
		if begun {
			_, err := js.Publish(ctx, restoreSubject, []byte("begun"))
			return err
		}
		live, err := js.Stream(ctx, LiveStream)
		if err != nil {
			return err
		}
		return live.Purge(ctx, jetstream.WithPurgeSubject(restoreSubject))
	})
	if err != nil {
		return fmt.Errorf("mark the restore: %w", err)
	}
	return nil
}

// ErrRestoring is why nobody is served by a NATS server into which a restore was cut short.
var ErrRestoring = chat.Errorf(chat.Internal, "A restore into this NATS server was cut short, or is under way: its streams do not hold all accounts. Nothing was changed. Begin it again: chatcoord restore --again FILE --server URL --keys DIR")

// Restoring reports whether a backup was not stored to its end.
func Restoring(ctx context.Context, nc *nats.Conn) (bool, error) {
	err := Retry(ctx, func(ctx context.Context) error {
		_, _, err := Last(ctx, nc, LiveStream, restoreSubject)
		return err
	})
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound), HasCode(err, jetstream.JSErrCodeStreamNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("ask whether a restore was cut short: %w", err)
	}
	return true, nil
}
