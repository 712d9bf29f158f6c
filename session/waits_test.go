package session_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"natter/chat"
	"natter/session"
)

// lose has somebody who is cut off taken for lost by another.
func (h *hall) lose(name chat.Name, by *speaker) {
	h.set(func() { h.cut[name.User()] = true })
	s := h.s
	s.Members = slices.Clone(s.Members)
	for i, m := range s.Members {
		s.Members[i].Lost = m.Name == name
	}
	by.Update(s)
}

// TestKeptSoon: what is said to somebody who is lost is stored soon, also when what was said
// before is stored already and nothing else happens. It is told once for each absence.
func TestKeptSoon(t *testing.T) {
	t.Parallel()
	h := newHall(t, 0, "ann", "ben")
	ann, ben := h.enter("ann", false), h.enter("ben", false)
	want := []session.Event{session.MessageKept{Session: h.s.ID, For: []chat.Name{"ben"}}}
	for absence, texts := range [][]string{{"ann 1", "ann 2", "ann 3"}, {"ann 4"}} {
		h.lose("ben", ann)
		for _, text := range texts {
			began := time.Now()
			ann.says(t, text)
			ann.until(t, "stored", func() bool { return ann.done[text] == session.Stored })
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("%q is stored after %s", text, took)
			}
			for tick := time.Tick(5 * time.Millisecond); !ann.Idle(); {
				<-tick
			}
		}
		ann.until(t, "being told", func() bool { return len(ann.waits) > absence })
		h.set(func() { h.cut["ben"] = false })
		ann.Update(h.s)
		last := texts[len(texts)-1]
		ben.until(t, "what is kept", func() bool { n := len(ben.heard["ann"]); return n > 0 && ben.heard["ann"][n-1] == last })
		ann.until(t, "delivered", func() bool { return ann.done[last] == session.Delivered })
		if absence == 1 {
			want = append(want, want[0])
		}
		if !reflect.DeepEqual(ann.waits, want) {
			t.Errorf("absence %d: ann is told %+v", absence, ann.waits)
		}
	}
}

// TestMessageWaits: somebody who is here and takes nothing is told of once, until everything
// has arrived; then what the server keeps is, and what waits for one's own connection.
func TestMessageWaits(t *testing.T) {
	t.Parallel()
	h := newHall(t, 0, "ann", "ben", "cid")
	ann := h.enter("ann", false)
	h.enter("ben", false)
	h.enter("cid", false)
	want := func(events ...session.Event) {
		t.Helper()
		ann.until(t, fmt.Sprintf("being told %+v", events), func() bool { return reflect.DeepEqual(ann.waits, events) })
	}
	waits := session.MessageWaits{Session: h.s.ID, For: []chat.Name{"ben", "cid"}}
	kept := session.MessageKept{Session: h.s.ID, For: []chat.Name{"ben", "cid"}}
	h.set(func() { h.full, h.cut["ben"], h.cut["cid"] = true, true, true })
	ann.says(t, "ann 1")
	want(waits)
	ann.says(t, "ann 2")
	ann.until(t, "being told", func() bool { return len(ann.late) == 2 }) // long afterwards
	want(waits)
	h.set(func() { h.cut["ben"], h.cut["cid"] = false, false })
	ann.until(t, "delivered", func() bool { return ann.done["ann 2"] == session.Delivered })
	h.set(func() { h.full, h.cut["ben"], h.cut["cid"] = false, true, true })
	ann.says(t, "ann 3")
	want(waits, waits, kept)
	h.set(func() { h.cut["ben"], h.cut["cid"] = false, false })
	ann.until(t, "delivered", func() bool { return ann.done["ann 3"] == session.Delivered })
	h.set(func() { h.down = true })
	again := h.enter("ann", true)
	again.says(t, "ann 4")
	waits.Offline = true
	again.until(t, "being told", func() bool { return reflect.DeepEqual(again.waits, []session.Event{waits}) })
}
