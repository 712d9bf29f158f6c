package store

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
)

// Dispatch hands each further change of the log's stream to one of the replicas that share
// it under a name, and again to another one until it has been dealt with: the replica that made
// a change may die before it has told anybody. The replica has seen the revision
// when handle is called. Several changes of one record may come as the last of them.
//
// Dispatch returns when the log's life ends and handle has returned for the last time.
func (l *Log) Dispatch(name string, handle func(kind, key string, revision uint64)) error {
	ctx := l.stop
	var cons jetstream.Consumer
	err := broker.Retry(ctx, func(once context.Context) (err error) {
		cons, err = l.js.CreateOrUpdateConsumer(once, l.stream, jetstream.ConsumerConfig{
			Durable:       name,
			Description:   "one replica tells of each change",
			DeliverPolicy: jetstream.DeliverNewPolicy,
			AckPolicy:     jetstream.AckExplicitPolicy,
			AckWait:       2 * time.Second,
			MaxAckPending: 1024,
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("dispatch %s: %w", l.stream, err)
	}
	taking, err := cons.Consume(func(m jetstream.Msg) { l.dispatch(ctx, m, handle) },
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
			l.log.Debug("dispatch changes", "stream", l.stream, "err", err)
		}))
	if err != nil {
		return fmt.Errorf("dispatch %s: %w", l.stream, err)
	}
	<-ctx.Done()
	taking.Stop()
	<-taking.Closed()
	return nil
}

func (l *Log) dispatch(ctx context.Context, m jetstream.Msg, handle func(kind, key string, revision uint64)) {
	meta, err := m.Metadata()
	if err != nil {
		return
	}
	soon, cancel := context.WithTimeout(ctx, ackFor)
	defer cancel()
	if l.Await(soon, meta.Sequence.Stream) != nil {
		return // another replica, or this one later
	}
	if kind, key, _ := cutSubject(m.Subject()); tombstoneOf(m.Headers()) != second {
		handle(kind, key, meta.Sequence.Stream)
	}
	if err := m.Ack(); err != nil {
		l.log.Debug("acknowledge a dispatched change", "err", err)
	}
}
