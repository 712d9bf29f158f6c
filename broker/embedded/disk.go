package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"natter/broker"
	"natter/internal/private"
)

const (
	lookEvery  = 500 * time.Millisecond
	probeEvery = 4 // looks; the others do not write
	leastFree  = 8 << 20
	enoughFree = 2 * leastFree   // beside what a start copies
	mendAfter  = 3 * time.Second // without trouble
)

// disk watches the volume that the state is on. Streams that could not be written once
// take nothing more, and their publishers hear nothing, until the server is started again.
type disk struct {
	dir   string
	state aside
	log   *slog.Logger

	storing context.Context // done when nothing can be stored
	end     context.CancelCauseFunc
	mended  chan struct{}          // closed when a new server could store again
	stuck   atomic.Pointer[string] // what the server says that it could not write
}

func newDisk(dir string, state aside, log *slog.Logger) *disk {
	d := &disk{dir: dir, state: state, log: log, mended: make(chan struct{})}
	d.storing, d.end = context.WithCancelCause(context.Background())
	return d
}

// Storing is done when nothing can be stored any more. Its cause is a *broker.Outage.
func (s *Server) Storing() context.Context {
	if s.disk == nil {
		return context.Background()
	}
	return s.disk.storing
}

// Mended is closed when something can be stored again, after Storing was done, by a
// server that is started in the place of this one.
func (s *Server) Mended() <-chan struct{} {
	if s.disk == nil {
		return nil
	}
	return s.disk.mended
}

// failed notes what the server says of a write.
func (d *disk) failed(line string) { d.stuck.CompareAndSwap(nil, &line) }

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
		switch {
		case err != nil:
			well = time.Time{}
			d.end(err) // the first one counts
		case d.storing.Err() == nil && d.stuck.Load() != nil:
			d.end(d.outage(errors.New(*d.stuck.Load())))
		case d.storing.Err() == nil:
		case well.IsZero():
			well = time.Now()
		case time.Since(well) >= mendAfter:
			close(d.mended)
			return
		}
	}
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
