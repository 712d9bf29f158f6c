package backup

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

// IntoWithin is Into a server that may stand still for so long.
func (c *Contents) IntoWithin(ctx context.Context, nc *nats.Conn, stand time.Duration) (int, error) {
	if err := c.prepare(ctx, nc); err != nil {
		return 0, err
	}
	return c.store(ctx, nc, stand)
}

// Begin is Into that is cut short after some records.
func (c *Contents) Begin(ctx context.Context, nc *nats.Conn, records int) (int, error) {
	half := &Contents{Header: c.Header, records: c.records[:records]}
	return half.IntoWithin(ctx, nc, time.Minute)
}
