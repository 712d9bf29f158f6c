package client

import (
	"strings"
	"testing"

	"natter/chat"
)

// TestCrowded: what others write is bounded while nobody reads, and taken again afterwards.
func TestCrowded(t *testing.T) {
	q := newQueue(func(Event) {})
	text := strings.Repeat("x", chat.MaxText)
	n := 0
	for ; !q.crowded() && n < 1<<20; n++ {
		q.push(Texts{Messages: []chat.Message{{Text: text}}})
	}
	if most := cap(q.out) + maxWaiting/len(text) + 2; n > most {
		t.Fatalf("%d texts are taken, want at most %d", n, most)
	}
	for range n {
		<-q.out
	}
	if q.crowded() {
		t.Error("nothing waits, and nothing is taken")
	}
	q.close()
}
