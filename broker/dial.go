package broker

import (
	"time"

	"github.com/nats-io/nats.go"
)

// Options are what every connection of natter has in common: a silent server is
// noticed within seconds, and the connection is tried again for ever.
func Options(name string) []nats.Option {
	return []nats.Option{
		nats.Name(name),
		nats.Timeout(2 * time.Second),
		nats.PingInterval(3 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100 * time.Millisecond),
		nats.ReconnectJitter(400*time.Millisecond, 400*time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.NoCallbacksAfterClientClose(),
	}
}
