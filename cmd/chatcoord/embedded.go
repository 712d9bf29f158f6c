package main

import (
	"errors"
	"log/slog"
	"os"
	"time"

	"natter/broker/embedded"
	"natter/internal/coord"
)

// errRecovered ends a coordinator whose server could not store, so that another one can.
var errRecovered = errors.New("the disk takes data again")

// serveEmbedded runs a coordinator on a server of its own. When the disk could not be written and can
// be written again, both are restarted at the same address.
func (p *program) serveEmbedded(log *slog.Logger, told <-chan os.Signal) error {
	err := p.serveOnce(log, told)
	for errors.Is(err, errRecovered) {
		p.acceptLoss, p.clockOK = false, false // only for the first start
		var srv *embedded.Server
		if srv, err = p.startAgain(log, told); srv != nil {
			err = p.serveOn(srv, log, told)
		}
	}
	return err
}

func (p *program) serveOnce(log *slog.Logger, told <-chan os.Signal) error {
	srv, err := p.startServer(log)
	if err != nil {
		return err
	}
	p.listen = srv.Addr() // also the next time
	return p.serveOn(srv, log, told)
}

func (p *program) startServer(log *slog.Logger) (*embedded.Server, error) {
	encrypt, err := p.encrypt(log)
	if err != nil {
		return nil, err
	}
	return embedded.Start(embedded.Config{Listen: p.listen, DataDir: p.keptIn(), Log: log, AcceptLoss: p.acceptLoss, TLS: encrypt, Shut: true})
}

// againFor is how long a restart is tried again: the disk may have filled up meanwhile.
const againFor = time.Minute

// startAgain returns nothing if a signal comes before there is a server.
func (p *program) startAgain(log *slog.Logger, told <-chan os.Signal) (*embedded.Server, error) {
	for until := time.Now().Add(againFor); ; {
		srv, err := p.startServer(log)
		if err == nil || time.Now().After(until) {
			return srv, err
		}
		log.Error("start again", "err", err)
		select {
		case <-time.After(tryAgain):
		case <-told:
			return nil, nil
		}
	}
}

func (p *program) serveOn(srv *embedded.Server, log *slog.Logger, told <-chan os.Signal) error {
	defer srv.Shutdown()
	links, err := coord.Embed(srv)
	if err != nil {
		return err
	}
	defer links.Close()
	withdraw, err := p.publish(srv.URL())
	if err != nil {
		return err
	}
	defer withdraw()
	return p.coordinate("embedded broker on "+srv.URL(), p.watchWith(srv.URL(), p.keptIn()), links, srv.Open, log, told, srv.Recovered())
}
