package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"natter/chat"
	"natter/internal/coord"
)

// lookEvery is how often the certificate is checked for a replacement.
const lookEvery = 10 * time.Second

// news is an event of the server for the console.
type news struct {
	event, text string
	bad         bool
}

// say shows it.
func (n news) say(c *coord.Coordinator) {
	if n.bad {
		c.Warn("error", n.text)
		return
	}
	c.Say(n.event, n.text)
}

// stopSignals returns the channels of signals that end a coordinator, and of hang-ups. Ignored signals
// (nohup, or an interrupt of a shell's background job) stay ignored.
func stopSignals() (told, reloads chan os.Signal, end func()) {
	told, reloads = make(chan os.Signal, 2), make(chan os.Signal, 1)
	for s, to := range map[os.Signal]chan os.Signal{syscall.SIGINT: told, syscall.SIGTERM: told, syscall.SIGHUP: reloads} {
		if !signal.Ignored(s) {
			signal.Notify(to, s)
		}
	}
	return told, reloads, func() {
		signal.Stop(told)
		signal.Stop(reloads)
	}
}

// upkeep runs beside a coordinator: it opens the log file and reads the certificate again after a
// hang-up, and reads the certificate when it was replaced.
type upkeep struct {
	p   *program
	log *slog.Logger

	warned  time.Time // of a certificate that expires
	failing string    // why a certificate could not be read at the last look
	told    bool      // that was told
}

// keepUp starts the upkeep, and returns what ends it.
func (p *program) keepUp(log *slog.Logger, reloads <-chan os.Signal) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		u := &upkeep{p: p, log: log}
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			select {
			case <-reloads:
				u.reload(time.Now())
			case now := <-tick.C:
				u.look(now)
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// reload opens the log file again and reads the certificate, and reports the result.
func (u *upkeep) reload(now time.Time) {
	ready := u.p.ready.Load()
	if ready {
		notify(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
		defer notify(daemon.SdNotifyReady)
	}
	if u.p.logTo != nil {
		if err := u.p.logTo.Reopen(); err != nil {
			u.tell(news{text: err.Error() + ". The log goes on in the former file.", bad: true})
		} else {
			u.tell(news{event: "server.reload", text: "reloaded: log file " + u.p.logFile + " opened again"})
		}
	}
	if cert := u.p.cert.Load(); cert != nil {
		if _, err := cert.Renew(now); err != nil {
			u.unread(err)
		} else {
			u.failing = ""
			u.tell(news{event: "server.reload", text: "reloaded: " + cert.Status(now)})
		}
		u.warn(now)
	}
	if u.p.logTo == nil && u.p.cert.Load() == nil {
		u.tell(news{event: "server.reload", text: "reloaded: nothing to do, there is neither a log file nor a certificate"})
	}
}

// look checks whether the certificate was replaced. Two files cannot be replaced at the same time, so
// an error is reported only if it is there at the next check, too.
func (u *upkeep) look(now time.Time) {
	cert := u.p.cert.Load()
	if cert == nil {
		return
	}
	changed, err := cert.Renew(now)
	switch {
	case changed:
		u.failing = ""
		u.tell(news{event: "server.reload", text: "new certificate: " + cert.Status(now)})
	case err == nil:
		u.failing = ""
	case u.failing != err.Error():
		u.failing, u.told = err.Error(), false
	case !u.told:
		u.unread(err)
	}
	u.warn(now)
}

func (u *upkeep) unread(err error) {
	u.failing, u.told = err.Error(), true
	u.tell(news{text: chat.Sentence(err.Error()) + " The former certificate stays in use.", bad: true})
}

// warn warns of a certificate that expires, once a day.
func (u *upkeep) warn(now time.Time) {
	cert := u.p.cert.Load()
	if text := cert.Warning(now, u.warned); text != "" {
		u.warned = now
		u.tell(news{text: text + ".", bad: true})
	}
}

// tell writes to the log and, as soon as there is a coordinator, to its console.
func (u *upkeep) tell(n news) {
	level := slog.LevelInfo
	if n.bad {
		level = slog.LevelWarn
	}
	u.log.Log(context.Background(), level, n.text)
	select {
	case u.p.news <- n:
	default: // nobody has taken the last ones: the log has it
	}
}

// notify notifies systemd, if it has started this program.
func notify(state string) { _, _ = daemon.SdNotify(false, state) } // fails without systemd
