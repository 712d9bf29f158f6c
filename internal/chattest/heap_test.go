package chattest_test

import (
	"runtime"
	"strings"
	"testing"

	"natter/chat"
	"natter/internal/chattest"
	"natter/internal/coord"
)

// TestAFloodIsNotKept: what is sent to a user who reads nothing, by a server that limits
// nobody, takes no more memory than a client may have.
func TestAFloodIsNotKept(t *testing.T) {
	in := chattest.Run(t, func(cfg *coord.Config) { cfg.Rules.DirectRate, cfg.Rules.MessageRate = 0, 0 })
	in.User("alice")
	mallory := intrude(t, in, "mallory")
	before := heap()
	text := strings.Repeat("x", chat.MaxText)
	for n := range 25_000 { // 400 MB
		mallory.direct("alice", chat.DirectMessage{Incarnation: "a", N: uint64(n + 1), Text: text})
		if n%100 == 0 {
			if err := mallory.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "the flood is over", func() bool { return mallory.FlushTimeout(timeout) == nil })
	grown := (heap() - before) >> 20
	t.Logf("the heap has grown by %d MB", grown)
	if grown > 200 {
		t.Errorf("the heap has grown by %d MB", grown)
	}
}

// heap is how many bytes are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
