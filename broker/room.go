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
	doubtAfter  = 500 * time.Millisecond // what is stored is answered sooner
	lookForRoom = time.Second            // at most so often
	answerIn    = 250 * time.Millisecond
	mostKept    = 3 // servers that keep a stream: with more servers, nobody knows which
)

// Room tells whether NATS servers that are not ours have room left. One that has reached its
// max_file_store, whoever has filled it, takes nothing more and leads no stream. If it is most
// of them, the streams have no leader that could say why it does not answer.
type Room struct {
	system *nats.Conn
	say    func(*Outage)
	most   int // servers that have answered at once; owned by Watch
	doubts chan struct{}

	mu      sync.Mutex
	storing context.Context
	end     context.CancelCauseFunc
}

// NewRoom asks on system, which needs chat.SystemGrant. It says when there is no room, and,
// with nil, when there is again.
func NewRoom(system *nats.Conn, say func(*Outage)) *Room {
	r := &Room{system: system, say: say, doubts: make(chan struct{}, 1)}
	r.storing, r.end = context.WithCancelCause(context.Background())
	return r
}

// Storing is done when nothing can be stored, its cause an Outage. When something can be
// again, it is another one.
func (r *Room) Storing() context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.storing
}

// Doubt has Watch look when something takes long, unless stop is called before.
func (r *Room) Doubt() (stop func() bool) { return time.AfterFunc(doubtAfter, r.Look).Stop }

// Look has Watch look.
func (r *Room) Look() {
	select {
	case r.doubts <- struct{}{}:
	default: // it is about to
	}
}

// Watch looks whenever there is a doubt, and once a second while there is no room, until ctx
// is done.
func (r *Room) Watch(ctx context.Context) {
	for {
		r.judge(r.ask(ctx))
		select {
		case <-time.After(lookForRoom):
		case <-ctx.Done():
			return
		}
		if r.Storing().Err() != nil {
			continue
		}
		select {
		case <-r.doubts:
		case <-ctx.Done():
			return
		}
	}
}

// judge decides by those who have answered. Silence says nothing.
func (r *Room) judge(free, full []string) {
	r.most = max(r.most, len(free)+len(full))
	out := r.Storing().Err() != nil
	switch {
	case !out && r.most <= mostKept && len(full)*2 >= r.most && len(full) > 0:
		slices.Sort(full)
		o := &Outage{Told: ErrNoRoom, Why: fmt.Sprintf("max_file_store of %s is reached: make room, or raise it.", strings.Join(full, ", "))}
		r.end(o)
		r.say(o)
	case out && len(free)*2 > r.most:
		r.mu.Lock()
		r.storing, r.end = context.WithCancelCause(context.Background())
		r.mu.Unlock()
		r.say(nil)
	}
}

// ask returns the names of the servers that have room, and of those that have none.
func (r *Room) ask(ctx context.Context) (free, full []string) {
	inbox := r.system.NewRespInbox()
	sub, err := r.system.SubscribeSync(inbox)
	if err != nil {
		return nil, nil
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only on a closed connection
	if r.system.PublishRequest("$SYS.REQ.SERVER.PING.STATSZ", inbox, nil) != nil {
		return nil, nil
	}
	for r.most == 0 || len(free)+len(full) < r.most {
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
