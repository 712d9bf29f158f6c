package presence

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"natter/broker"
	"natter/broker/store"
	"natter/chat"
	"natter/presence/account"
)

// Times is the table with the newest time that is stored, under one key.
type Times = store.Table[account.Known]

const newest = "newest"

// NewTimes adds the table to a log.
func NewTimes(l *store.Log, changed func(store.Change[account.Known])) *Times {
	return store.NewTable(l, "clock", store.TableConfig[account.Known]{
		Gone:    func(account.Known) bool { return false },
		Changed: changed,
	})
}

// clock is the account.Clock of this replica. It has none before ReadClock.
type clock struct {
	began time.Time

	mu     sync.Mutex
	judge  *account.Clock
	stored time.Time // Newest, as it is stored
	told   bool      // that the clock is doubted was reported
}

const (
	lookAtClock = time.Minute
	storeClock  = time.Hour       // how exactly the next start knows the newest time
	jobTimeout  = 5 * time.Second // at the start, which can wait
)

func (c *clock) read() account.Reading {
	now := time.Now()
	return account.Reading{Wall: now.Round(0), Up: now.Sub(c.began)}
}

// settled is the time by which something has ended: see account.Clock.
func (s *Service) settled() time.Time { return s.time.tell((*account.Clock).Settled) }

// latest is the time from which something begins.
func (s *Service) latest() time.Time { return s.time.tell((*account.Clock).Latest) }

func (c *clock) tell(which func(*account.Clock, account.Reading) time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.read()
	if c.judge == nil { // nothing is served yet, and nothing has ended
		return time.Time{}
	}
	c.judge.Look(r)
	return which(c.judge, r)
}

// when runs a job once a time is over by the settled clock.
func (s *Service) when(key string, end time.Time, what string, job broker.Job) {
	wait := time.Until(end)
	if wait <= 0 && s.settled().Before(end) {
		wait = lookAtClock
	}
	s.jobs.After(key, wait, what, func(ctx context.Context) error {
		if s.settled().Before(end) {
			s.when(key, end, what, job)
			return nil
		}
		return job(ctx)
	})
}

// ReadClock judges the clock by the stored times, before anything is served.
func (s *Service) ReadClock(ctx context.Context) error {
	row, known := s.Times.Get(store.Committed, newest)
	k := row.Record
	if !known {
		var err error
		if k.Newest, err = s.newestOf(ctx); err != nil {
			return err
		}
	}
	s.time.mu.Lock()
	s.time.began = time.Now()
	s.time.judge, s.time.stored = account.NewClock(k, s.time.read(), s.ClockOK), row.Record.Newest
	vouched, _ := s.time.judge.Known()
	s.time.mu.Unlock()
	if s.ClockOK && vouched.Until.After(k.Until) {
		s.sayClock(fmt.Sprintf("clock: --clock-ok says that it is right. The data know no time after %s; so no name lapses, and no ban, mute or link ends, before %s.",
			account.Moment(k.Newest), account.Moment(vouched.Until)))
	}
	ctx, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	if err := s.watchClock(ctx, s.ClockOK); err != nil {
		s.Log.Warn("store the newest time", "err", err)
	}
	return nil
}

// watchClock reads the clock every minute, reports when it is doubted, and stores the time when it
// is not.
func (s *Service) watchClock(ctx context.Context, vouched bool) error {
	s.jobs.After(" clock", lookAtClock, "look at the clock", func(ctx context.Context) error { return s.watchClock(ctx, false) })
	s.time.mu.Lock()
	s.time.judge.Look(s.time.read())
	text := s.time.news()
	k, believed := s.time.judge.Known()
	due := believed && (vouched || s.time.stored.IsZero() || k.Newest.Sub(s.time.stored) >= storeClock)
	s.time.mu.Unlock()
	if text != "" {
		s.sayClock(text)
	}
	if !due {
		return nil
	}
	_, err := s.Times.Update(ctx, newest, func(_ store.View, before account.Known) (account.Known, error) {
		after := before.Merge(k, vouched)
		if after == before {
			return after, chat.ErrUnchanged
		}
		return after, nil
	})
	return err
}

// TimesChanged takes what another replica has stored. It runs on the log's goroutine.
func (s *Service) TimesChanged(c store.Change[account.Known]) {
	s.time.mu.Lock()
	defer s.time.mu.Unlock()
	if s.time.judge != nil {
		s.time.judge.Adopt(c.Record)
		s.time.stored = c.Record.Newest
	}
}

// news returns what is to be reported about the clock; "" if nothing has changed.
func (c *clock) news() string {
	first, expected, start := c.judge.Doubted()
	switch {
	case first == nil && c.told:
		c.told = false
		return "clock: it is believed again."
	case first == nil || c.told:
		return ""
	}
	c.told = true
	off := fmt.Sprintf("%s later", days(first.Wall.Sub(expected)))
	if first.Wall.Before(expected) {
		off = fmt.Sprintf("%s earlier", days(expected.Sub(first.Wall)))
	}
	if !start {
		return fmt.Sprintf("clock: it was set to %s, %s than it should be. Until it is right again, or for a day, no name lapses, and no ban, mute or link ends.",
			account.Moment(first.Wall), off)
	}
	return fmt.Sprintf("clock: it says %s, %s than the newest time in the data, %s. Until it is set right, or you say that it is right with --clock-ok, no name lapses, and no ban, mute or link ends.",
		account.Moment(first.Wall), off, account.Moment(expected))
}

func days(d time.Duration) string {
	return fmt.Sprintf("%.1f days", d.Hours()/24)
}

func (s *Service) sayClock(text string) {
	s.Log.Warn(text)
	s.Audit.Write(chat.AuditError, chat.Audit{Event: "error", Text: text})
}

// newestOf returns the newest time in the records, for data from before this time was stored, or of
// which that record was lost.
func (s *Service) newestOf(ctx context.Context) (time.Time, error) {
	var last time.Time
	for _, stream := range broker.RecordStreams() {
		err := broker.Records(ctx, s.Notices, stream, 1, func(r broker.Stored) {
			var times struct {
				Created, Since, At, Made time.Time
				LastLogin                time.Time `json:"last_login"`
			}
			_ = json.Unmarshal(r.Data, &times) // a damaged record is ignored
			for _, t := range []time.Time{times.Created, times.LastLogin, times.Since, times.At, times.Made} {
				last = later(last, t)
			}
		})
		if err != nil {
			return last, fmt.Errorf("look for the newest time: %w", err)
		}
	}
	return last, nil
}
