package main

import (
	"context"
	"log/slog"
	"time"

	"natter/internal/console"
	"natter/internal/coord"
	"natter/internal/ops"
)

// serveHTTP serves on the address of --http, if there is one, until the returned function is called.
// It comes first: an address in use is found at once, and requests during the start are answered.
func (p *program) serveHTTP(log *slog.Logger) (stop func(), err error) {
	if p.http == "" {
		return func() {}, nil
	}
	if p.web, err = ops.Listen(p.http, p.pprof); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := p.web.Serve(ctx); err != nil {
			log.Error("health and figures", "err", err)
		}
	}()
	return func() {
		cancel()
		<-ended
	}, nil
}

// tellHTTP connects --http to a coordinator.
func (p *program) tellHTTP(c *coord.Coordinator, links *coord.Connections, view *console.Console) {
	if p.web == nil {
		return
	}
	p.web.Watch(ops.Source{
		Ready: c.Health, Users: c.Online, Sessions: c.Talking, Steps: c.Steps,
		Ignored: c.Ignored, Refused: c.Refused, Lobby: c.Lobby, Minted: c.Minted, Told: c.Told, Dropped: view.Dropped,
		Connected: links.Connected, Streams: c.Streams, AtLimit: c.AtLimit,
		Certificate: p.certificate,
	})
	c.Say("server.http", "health and figures on "+p.web.URL())
}

// certificate returns when the certificate in use expires, and a sentence about it.
func (p *program) certificate() (expires time.Time, status string) {
	cert := p.cert.Load()
	if cert == nil {
		return expires, ""
	}
	return cert.Expires(), cert.Status(time.Now())
}
