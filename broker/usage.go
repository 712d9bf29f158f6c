package broker

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"
)

// Usage is what a stream takes.
type Usage struct{ Messages, Bytes uint64 }

// Streams asks what the streams take, by name. Those that do not answer before ctx is
// done are left out.
func Streams(ctx context.Context, js jetstream.JetStream) map[string]Usage {
	all := map[string]Usage{}
	for _, cfg := range streams {
		if s, err := js.Stream(ctx, cfg.Name); err == nil {
			state := s.CachedInfo().State
			all[cfg.Name] = Usage{state.Msgs, state.Bytes}
		}
	}
	return all
}
