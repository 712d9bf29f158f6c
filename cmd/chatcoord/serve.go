package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/coreos/go-systemd/v22/daemon"

	"natter/broker/rpc"
	"natter/broker/ticket"
	"natter/chat"
	"natter/internal/console"
	"natter/internal/coord"
	"natter/internal/private"
	"natter/internal/secure"
)

// signalled is the error after a second signal.
type signalled struct{ signal syscall.Signal }

func (s signalled) Error() string { return s.signal.String() }

func (s signalled) code() int { return 128 + int(s.signal) }

// serve runs a coordinator on an embedded server until a signal comes.
func (p *program) serve() error {
	if err := p.check(); err != nil {
		return err
	}
	told, reloads, endSignals := stopSignals()
	defer endSignals()

	log, closeLog, err := p.logger()
	if err != nil {
		return err
	}
	defer closeLog()
	slog.SetDefault(log)                      // also what libraries write
	if _, err := memlimit.Set(); err != nil { // else the collector does not know of a container's limit
		log.Warn("how much memory there is", "err", err)
	}
	stopHTTP, err := p.serveHTTP(log)
	if err != nil {
		return err
	}
	defer stopHTTP()
	defer p.keepUp(log, reloads)()
	if p.external() {
		return p.serveExternal(log, told)
	}
	return p.serveEmbedded(log, told)
}

// watchWith says how to watch with the stock CLI; "" if its credentials are not in dir.
func (p *program) watchWith(url, dir string) string {
	creds := filepath.Join(dir, "observer.creds")
	text, err := os.ReadFile(creds)
	if dir == "" || err != nil {
		return ""
	}
	c, err := ticket.ParseCreds(private.Plain(text))
	if err != nil {
		return ""
	}
	if p.tls.Value != "" {
		url += " --tlsca " + secure.CAFile(dir)
	}
	return fmt.Sprintf("watch with: nats --server %s --creds %s --inbox-prefix %s sub 'chat.>'", url, creds, chat.ObserverInbox(c.User))
}

// coordinate runs the coordinator and the console on a server that is ready.
func (p *program) coordinate(where, watch string, links *coord.Connections, open func() error, log *slog.Logger, told <-chan os.Signal, recovered <-chan struct{}) error {
	view := console.New(console.Config{
		Out: p.out, JSON: p.logFormat.Value == "json", Show: p.show.Value, Color: p.colored(), Log: log,
		Shared: p.external(), MaxText: int(p.maxMessage.N),
	})
	if err := view.Subscribe(links.Tap, console.Queue); err != nil {
		return err
	}
	ctx, endView := context.WithCancel(context.Background())
	shown := make(chan error, 1)
	go func() { shown <- view.Serve(ctx) }()
	defer func() {
		endView()
		<-shown
	}()
	c, err := coord.Start(ctx, p.rules(log), links.Links)
	if err != nil {
		return err
	}
	view.Ask(c.Watched)
	if err := open(); err != nil {
		c.Stop()
		return err
	}
	c.Ready(where)
	p.tellHTTP(c, links, view)
	if watch != "" {
		c.Say("server.watch", watch)
	}
	if p.invited() {
		c.Say("server.join", "new users need a link: chatcoord invite")
	}
	p.ready.Store(true)
	notify(daemon.SdNotifyReady)
	defer p.ready.Store(false)
	return p.attend(c, links, told, recovered)
}

// attend waits for the end of a coordinator, and reports other events on its console.
func (p *program) attend(c *coord.Coordinator, links *coord.Connections, told <-chan os.Signal, recovered <-chan struct{}) error {
	var storing <-chan struct{}
	if links.Storing != nil {
		storing = links.Storing.Done()
	}
	for {
		select {
		case s := <-told:
			p.ready.Store(false)
			notify(daemon.SdNotifyStopping)
			return drain(c, s, told)
		case n := <-p.news:
			n.say(c)
		case err := <-c.Failed():
			c.Stop()
			return fmt.Errorf("the coordinator cannot go on: %w", err)
		case <-storing:
			storing = nil
			c.Warn("error", fmt.Sprintf("store: %v New registrations are refused.", context.Cause(links.Storing)))
		case <-recovered:
			c.Farewell("the disk takes data again")
			c.Stop()
			return errRecovered
		}
	}
}

// drain notifies the users and stops; a second signal stops at once.
func drain(c *coord.Coordinator, first os.Signal, told <-chan os.Signal) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Farewell(name(first))
		c.Stop()
	}()
	select {
	case <-done:
		return nil
	case second := <-told:
		return signalled{second.(syscall.Signal)}
	}
}

func name(s os.Signal) string {
	if s == syscall.SIGINT {
		return "SIGINT"
	}
	return "SIGTERM"
}

// rules returns the rules from the flags.
func (p *program) rules(log *slog.Logger) coord.Config {
	cfg := coord.Defaults()
	cfg.Rules = chat.Rules{
		MaxText: int(p.maxMessage.N), MaxGroup: p.maxGroup.N,
		InviteTimeout: p.inviteTimeout.D, Grace: p.grace.D,
		MessageRate: p.rateMessages.N, DirectRate: p.rateDirect.N,
	}
	cfg.Limits = rpc.Limits{Requests: p.rate.N, Lobby: p.rate.N, Invites: p.rateInvites.N, Lists: p.rateLists.N}
	cfg.MaxUsers, cfg.NameTTL, cfg.Memory, cfg.Log = p.maxUsers.N, p.nameTTL.D, p.ephemeral, log
	cfg.Invited, cfg.ClockOK = p.invited(), p.clockOK
	if p.external() {
		cfg.Shared, cfg.Replicas = true, mostReplicas
	}
	if p.web != nil {
		cfg.Answered, cfg.Committed = p.web.Answered, p.web.Committed
	}
	return cfg
}

// keptIn returns the directory of the server's data; "" if it keeps none.
func (p *program) keptIn() string {
	if p.ephemeral {
		return ""
	}
	return p.dataDir
}

func (p *program) colored() bool {
	switch p.color.Value {
	case "always":
		return true
	case "never":
		return false
	}
	return p.out.Terminal() && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
