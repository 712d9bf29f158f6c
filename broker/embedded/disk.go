package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"natter/broker"
	"natter/internal/private"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	lookEvery    = 500 * time.Millisecond
	probeEvery   = 4 // looks; the others do not write
	leastFree    = 8 << 20
	enoughFree   = 2 * leastFree   // beside what a start copies
	recoverAfter = 3 * time.Second // without trouble
)

// disk watches the volume that the state is on. Streams that could not be written once
// take nothing more, and their publishers hear nothing, until the server is started again.
type disk struct {
	dir   string
	state aside
	log   *slog.Logger

	storing   context.Context // done when nothing can be stored
	end       context.CancelCauseFunc
	recovered chan struct{} // closed when a new server can store again
	refused   func() string // what the server stores nothing in until it is started again; "" for none
}

func newDisk(dir string, state aside, log *slog.Logger) *disk {
	d := &disk{dir: dir, state: state, log: log, recovered: make(chan struct{})}
	d.storing, d.end = context.WithCancelCause(context.Background())
	return d
}

// Storing is done when nothing can be stored. Its cause is a *broker.Outage.
func (s *Server) Storing() context.Context {
	if s.disk == nil {
		return context.Background()
	}
	return s.disk.storing
}

// Recovered is closed when something can be stored again, after Storing was done, by a
// server that is started in the place of this one.
func (s *Server) Recovered() <-chan struct{} {
	if s.disk == nil {
		return nil
	}
	return s.disk.recovered
}

// watch looks at the disk until there has been trouble and it is over, or quit is closed.
func (d *disk) watch(quit <-chan struct{}) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var well time.Time // since when
	for n := 1; ; n++ {
		select {
		case <-tick.C:
		case <-quit:
			return
		}
		err := d.look(n%probeEvery == 0)
		if err == nil && d.storing.Err() == nil {
			err = d.ask()
		}
		switch {
		case err != nil:
			well = time.Time{}
			d.end(err) // the first one counts
		case d.storing.Err() == nil:
		case well.IsZero():
			well = time.Now()
		case time.Since(well) >= recoverAfter:
			close(d.recovered)
			return
		}
	}
}

// ask is why the server stores nothing although the disk takes data again.
func (d *disk) ask() error {
	what := d.refused()
	if what == "" {
		return nil
	}
	return &broker.Outage{Told: broker.ErrNotStored, Why: fmt.Sprintf("Cannot write to %s: %s takes nothing since a write failed.", d.dir, what)}
}

// refusing is what the server stores nothing in since a write to it failed: a stream, or
// JetStream as a whole. It is "" for nothing. What is said of a stream that is not there is
// said of one that is being made or removed.
func (s *Server) refusing() string {
	if !s.ns.JetStreamEnabled() {
		return "JetStream"
	}
	if s.unhealthy(nil) == "" {
		return ""
	}
	there := map[string]bool{}
	info, err := s.ns.Jsz(&server.JSzOptions{Account: s.ChatAccount(), Streams: true})
	if err != nil {
		return ""
	}
	for _, a := range info.AccountDetails {
		for _, stream := range a.Streams {
			there[stream.Name] = true
		}
	}
	return s.unhealthy(there)
}

// unhealthy is a stream that the server says is none, of those that are there, or of all.
func (s *Server) unhealthy(there map[string]bool) string {
	status := s.ns.Healthz(&server.HealthzOptions{Account: s.ChatAccount(), Details: true})
	for _, e := range status.Errors {
		if e.Type == server.HealthzErrorStream && e.Stream != "" && (there == nil || there[e.Stream]) {
			s.log.Debug("health of the state", "stream", e.Stream, "err", e.Error)
			return e.Stream
		}
	}
	return ""
}

// look is why nothing can be stored, as far as one sees without the server. Once that was
// so, there must be room for the next start.
func (d *disk) look(probe bool) error {
	free, readOnly, err := volume(d.dir)
	switch {
	case err != nil:
		return d.outage(err)
	case readOnly:
		return d.outage(errReadOnly)
	case free < leastFree || d.storing.Err() != nil:
		if err := d.short(free); err != nil {
			return err
		}
	}
	if !probe {
		return nil
	}
	if err := d.probe(); err != nil {
		return d.outage(err)
	}
	return nil
}

// short is an outage if that much is not enough for a start, which sets the state aside.
func (d *disk) short(free int64) error {
	size, err := d.state.size()
	if err != nil {
		return d.outage(err)
	}
	if enough := size + enoughFree; free < enough {
		return &broker.Outage{Told: broker.ErrNoRoom, Why: fmt.Sprintf("The disk of %s is full: %.1f MB are free, and %.1f are needed.", d.dir, float64(free)/(1<<20), float64(enough)/(1<<20))}
	}
	return nil
}

// probe writes something to the disk itself.
func (d *disk) probe() error {
	f, err := os.OpenFile(filepath.Join(d.dir, "probe"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return nil // no more files can be opened: that says nothing of the disk
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString("written to see whether the disk takes it\n")
	return errors.Join(err, f.Sync(), f.Close())
}

func (d *disk) outage(err error) error {
	told := broker.ErrNotStored
	if noSpace(err) {
		told = broker.ErrNoRoom
	}
	return &broker.Outage{Told: told, Why: fmt.Sprintf("Cannot write to %s: %v.", d.dir, private.Cause(err))}
}

var errReadOnly = errors.New("the file system is read-only")
