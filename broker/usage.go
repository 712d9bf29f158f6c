package broker

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"
)

// leastRoom is in bytes: a stream with less room than that is full.
const leastRoom = 1 << 10

// Usage is what a stream takes, and may take; a limit of 0 is none.
type Usage struct {
	Messages, Bytes         uint64
	MostMessages, MostBytes uint64
	Full                    bool // it refuses what is new; a stream that discards its oldest messages never does
}

func usage(info *jetstream.StreamInfo) Usage {
	u := Usage{
		Messages: info.State.Msgs, Bytes: info.State.Bytes,
		MostMessages: uint64(max(info.Config.MaxMsgs, 0)), MostBytes: uint64(max(info.Config.MaxBytes, 0)),
	}
	u.Full = info.Config.Discard == jetstream.DiscardNew &&
		(u.MostMessages > 0 && u.Messages >= u.MostMessages || u.MostBytes > 0 && u.Bytes+leastRoom > u.MostBytes)
	return u
}

// Streams asks what the streams take, by name. Those that do not answer before ctx is
// done are left out.
func Streams(ctx context.Context, js jetstream.JetStream) map[string]Usage {
	all := map[string]Usage{}
	for _, cfg := range streams {
		if s, err := js.Stream(ctx, cfg.Name); err == nil {
			all[cfg.Name] = usage(s.CachedInfo())
		}
	}
	return all
}
