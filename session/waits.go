package session

import (
	"slices"
	"strings"
	"time"

	"natter/chat"
)

// waitsAfter is how long a message may be neither taken nor stored before the user is told
// that it waits.
const waitsAfter = time.Second

// waitsTime is when the user is to be told that something waits. What only those lack who
// are lost is no news: that they are was told, and that it is stored will be.
func (t *Talk) waitsTime() (time.Time, bool) {
	first := len(t.out)
	for _, p := range t.peers {
		if !p.lost {
			first = min(first, t.unparked(p))
		}
	}
	if t.kept.waits || first == len(t.out) {
		return time.Time{}, false
	}
	return latest(t.out[first].at, t.kept.up).Add(waitsAfter), true
}

// tellWaits tells that something waits, and for whom.
func (t *Talk) tellWaits() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	at, ok := t.waitsTime()
	if !ok || now.Before(at) || t.closed {
		return
	}
	t.kept.waits = true
	e := MessageWaits{Session: t.id, Offline: t.line == nil || !t.line.nc.IsConnected()}
	for _, p := range t.peers {
		if i := t.unparked(p); !p.lost && i < len(t.out) && now.Sub(t.out[i].at) >= waitsAfter {
			e.For = append(e.For, p.name)
		}
	}
	slices.SortFunc(e.For, byUser)
	t.Tell(e)
}

// tellKept tells for whom the server keeps messages up to a number. Who was heard a moment
// ago is back, and gets them.
func (t *Talk) tellKept(last uint64, kept map[chat.User]uint64) {
	e := MessageKept{Session: t.id}
	for u := range kept {
		p := t.peers[u]
		if p == nil || p.toldKept || p.acked >= last || !p.lost && time.Since(p.moved) < behindAfter {
			continue
		}
		p.toldKept = true
		e.For = append(e.For, p.name)
	}
	if len(e.For) > 0 {
		slices.SortFunc(e.For, byUser)
		t.Tell(e)
	}
}

func byUser(a, b chat.Name) int { return strings.Compare(string(a.User()), string(b.User())) }
