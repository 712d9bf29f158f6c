//go:build faults

package faults_test

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"natter/broker"
	"natter/chat"
	"natter/client"
	"natter/internal/chattest/faults"
)

// F23: max_file_store of NATS servers is reached, by streams of somebody else, which nothing
// but that holds back. Who is new is told so, the chats go on, and all is well when there is room.
func TestF23StoreFull(t *testing.T) {
	for name, v := range map[string]storeFull{
		"one, by another account": {hosts: 1},
		"one, by our account":     {hosts: 1, ours: true},
		"three":                   {hosts: 3},
		"leader of three":         {hosts: 3, leader: true},
	} {
		t.Run(name, func(t *testing.T) {
			var n *neighbour
			install := func(t *testing.T) *servers {
				return layout{
					addresses: []string{"127.0.0.1", "127.0.0.1", "127.0.0.1"}[:v.hosts], grace: "60s",
					written: func(dir string) { n = v.written(t, dir) },
				}.begin(t)
			}
			row(t, install, func(t *testing.T, s *servers) {
				n.connect(t, s, v.ours)
				v.play(t, s, n)
			})
		})
	}
}

type storeFull struct {
	hosts  int
	ours   bool // by streams in the account of the chats, whose limit is the same
	leader bool // only the server that leads LIVE is full
}

func (v storeFull) written(t *testing.T, dir string) *neighbour {
	if v.hosts > 1 { // a bit more than our streams reserve, so that it is soon full
		confs, err := filepath.Glob(filepath.Join(dir, "node-*.conf"))
		must(t, err)
		for _, conf := range confs {
			rewrite(t, conf, `max_file_store: \d+`, fmt.Sprint("max_file_store: ", 1100<<20))
		}
	}
	return moveIn(t, dir)
}

func (v storeFull) play(t *testing.T, s *servers, n *neighbour) {
	guests, chat, lost := coming(t, s, "guest"), talking(t, s, "alice", "bob", 0, 1), talking(t, s, "carol", "dave", 0, 1)
	guests.enough(5)
	full := []int{0, 1, 2}[:v.hosts]
	if v.leader {
		full = []int{s.leader(t, broker.LiveStream)}
	}
	free := n.fill(t, full...)
	at := time.Now()
	if v.leader {
		promised(t, "stored again", guests.served(at.Add(atOnce)).Sub(at), overIn)
	} else {
		refusedFor(t, s, 5*time.Second)
	}
	if !v.leader && !v.ours {
		ready(t, s, http.StatusServiceUnavailable)
	}
	dave := lost.two[1]
	dave.relay.Set(faults.Flaw{Cut: true})
	told[client.Lost](dave, at)
	dave.relay.Set(faults.Flaw{})
	if !v.leader {
		refusedFor(t, s, 5*time.Second) // dave as well, which is not his last word
	}
	for _, a := range chat.two {
		promised(t, a.name+" hears nothing for", silence(a, at), atOnce)
	}
	free()
	freed := time.Now()
	promised(t, "stored again", guests.served(freed).Sub(freed), overIn)
	_, back := told[client.Connected](dave, at)
	promised(t, "dave is back", back.Sub(freed), overIn)
	ready(t, s, http.StatusOK)
	recovered(t, s, guests, chat, lost)
}

// refusedFor has people come for a while. Nobody waits for an answer, and nobody is told
// anything else than that there is no room; who finds a byte that was given back is welcome.
func refusedFor(t *testing.T, s *servers, long time.Duration) {
	t.Helper()
	refused, slowest, begin := 0, time.Duration(0), time.Now()
	for k := 0; time.Since(begin) < long; k++ {
		begun := time.Now()
		_, err := enters(t.Context(), s.urls(), t.TempDir(), fmt.Sprint("late-", begin.UnixMilli(), "-", k), 3*atOnce)
		slowest = max(slowest, time.Since(begun))
		switch {
		case errors.Is(err, &chat.Error{Code: chat.Full}) && err.Error() == broker.ErrNoRoom.Text:
			refused++
		case err != nil:
			t.Errorf("after %s somebody is told %v", time.Since(begin), err)
		}
	}
	if t.Logf("%d are refused", refused); refused == 0 {
		t.Error("nobody is refused")
	}
	promised(t, "an answer", slowest, atOnce)
}

// ready waits until all coordinators say whether they serve.
func ready(t *testing.T, s *servers, status int) {
	t.Helper()
	for _, p := range s.replicas {
		for late := time.After(overIn); ; {
			r, err := http.Get("http://" + p.web + "/readyz")
			must(t, err)
			must(t, r.Body.Close())
			if r.StatusCode == status {
				break
			}
			select {
			case <-time.After(100 * time.Millisecond):
			case <-late:
				t.Fatalf("%s: readiness is %d, not %d", p.name, r.StatusCode, status)
			}
		}
	}
}
