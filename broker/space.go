package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	doubtAfter = 500 * time.Millisecond // what is stored is answered sooner
	lookAgain  = time.Second            // at most so often
	answerIn   = 250 * time.Millisecond
	mostKept   = 3 // servers that keep a stream: with more servers, nobody knows which
)

// Space reports whether NATS servers that are not ours have space left. One that has reached its
// max_file_store, also with streams of others, takes nothing more and leads no stream. If it is most
// of them, the streams have no leader that could say why it does not answer.
type Space struct {
	system *nats.Conn
	say    func(*Outage)
	most   int // servers that have answered at once; owned by Watch
	doubts chan struct{}

	mu      sync.Mutex
	storing context.Context
	end     context.CancelCauseFunc
}

// NewSpace asks on system, which needs chat.SystemGrant. It says when there is no room, and,
// with nil, when there is again.
func NewSpace(system *nats.Conn, say func(*Outage)) *Space {
	s := &Space{system: system, say: say, doubts: make(chan struct{}, 1)}
	s.storing, s.end = context.WithCancelCause(context.Background())
	return s
}

// Storing is done when nothing can be stored, its cause an Outage. When something can be
// again, it is another one.
func (s *Space) Storing() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.storing
}

// Doubt has Watch look when something takes long, unless stop is called before.
func (s *Space) Doubt() (stop func() bool) { return time.AfterFunc(doubtAfter, s.Look).Stop }

// Look has Watch look.
func (s *Space) Look() {
	select {
	case s.doubts <- struct{}{}:
	default: // it is about to
	}
}

// Watch looks whenever there is a doubt, and once a second while there is no room, until ctx
// is done.
func (s *Space) Watch(ctx context.Context) {
	for {
		s.judge(s.ask(ctx))
		select {
		case <-time.After(lookAgain):
		case <-ctx.Done():
			return
		}
		if s.Storing().Err() != nil {
			continue
		}
		select {
		case <-s.doubts:
		case <-ctx.Done():
			return
		}
	}
}

// judge decides by those who have answered. Silence says nothing.
func (s *Space) judge(free, full []string) {
	s.most = max(s.most, len(free)+len(full))
	out := s.Storing().Err() != nil
	switch {
	case !out && s.most <= mostKept && len(full)*2 >= s.most && len(full) > 0:
		slices.Sort(full)
		o := &Outage{Told: ErrNoRoom, Why: fmt.Sprintf("max_file_store of %s is reached: make room, or raise it.", strings.Join(full, ", "))}
		s.end(o)
		s.say(o)
	case out && len(free)*2 > s.most:
		s.mu.Lock()
		s.storing, s.end = context.WithCancelCause(context.Background())
		s.mu.Unlock()
		s.say(nil)
	}
}

// ask returns the names of the servers that have room, and of those that have none.
func (s *Space) ask(ctx context.Context) (free, full []string) {
	inbox := s.system.NewRespInbox()
	sub, err := s.system.SubscribeSync(inbox)
	if err != nil {
		return nil, nil
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only on a closed connection
	if s.system.PublishRequest("$SYS.REQ.SERVER.PING.STATSZ", inbox, nil) != nil {
		return nil, nil
	}
	for s.most == 0 || len(free)+len(full) < s.most {
		wait, cancel := context.WithTimeout(ctx, answerIn)
		m, err := sub.NextMsgWithContext(wait)
		cancel()
		if err != nil {
			break
		}
		switch name, used, most := stored(m); {
		case most <= 0: // it keeps no streams
		case used > most:
			full = append(full, name)
		default:
			free = append(free, name)
		}
	}
	return free, full
}

// stored is how much a server keeps in files, for whomever, and how much it may.
func stored(m *nats.Msg) (name string, used, most int64) {
	var s struct {
		Server struct {
			Name string `json:"name"`
		} `json:"server"`
		Stats struct {
			JetStream struct {
				Config struct {
					Most int64 `json:"max_storage"`
				} `json:"config"`
				Stats struct {
					Used int64 `json:"storage"`
				} `json:"stats"`
			} `json:"jetstream"`
		} `json:"statsz"`
	}
	if json.Unmarshal(m.Data, &s) != nil {
		return "", 0, 0
	}
	return s.Server.Name, s.Stats.JetStream.Stats.Used, s.Stats.JetStream.Config.Most
}
