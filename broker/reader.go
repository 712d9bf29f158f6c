package broker

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// unreadFor is how long the server keeps a consumer without a reader, such as that of a
// replica that died.
const unreadFor = 30 * time.Second

// OrderedConsumer makes an ordered consumer of a stream. The caller calls dismiss when it has
// stopped reading: the library leaves the consumer to the server, which would keep it for
// unreadFor. dismiss does not wait for an answer.
func OrderedConsumer(ctx context.Context, js jetstream.JetStream, stream string, cfg jetstream.OrderedConsumerConfig) (cons jetstream.Consumer, dismiss func(), err error) {
	drop := func(name string) { _ = js.Conn().Publish("$JS.API.CONSUMER.DELETE."+stream+"."+name, nil) }
	cfg.NamePrefix, cfg.InactiveThreshold = rand.Text(), unreadFor
	cons, err = js.OrderedConsumer(ctx, stream, cfg)
	if err != nil {
		// The server may have made it, although its answer did not come in time.
		drop(cfg.NamePrefix + "_1")
		return nil, nil, err
	}
	return cons, func() { drop(cons.CachedInfo().Name) }, nil
}
