package session_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestLastWordsComeAgain: whoever misses the last of what was said, which nothing that comes
// later can show, gets all of it, even beside somebody who has been silent for longer.
func TestLastWordsComeAgain(t *testing.T) {
	t.Parallel()
	h := newHall(t, 1, "ann", "ben", "cid", "dan")
	ann, ben, cid, dan := h.enter("ann", false), h.enter("ben", false), h.enter("cid", false), h.enter("dan", false)
	n := 0
	say := func(many int, to ...*speaker) {
		for range many {
			ann.says(t, fmt.Sprint("ann ", n))
			n++
		}
		for _, p := range to {
			p.until(t, "all so far", func() bool { return len(p.heard["ann"]) == n })
		}
	}
	say(1, ben, cid, dan)
	h.set(func() { h.cut["dan"] = true })
	say(100, ben, cid)
	h.set(func() { h.cut["cid"] = true })
	say(100, ben)
	h.set(func() { h.cut["cid"] = false })
	cid.until(t, "the last words", func() bool { return len(cid.heard["ann"]) == n })
	judge(t, []*speaker{cid}, []*speaker{ann})
}

// TestOftenAsked: a member who says all the time where they stand does not have everybody
// flooded with what they lack.
func TestOftenAsked(t *testing.T) {
	t.Parallel()
	h := newHall(t, 1, "ann", "ben")
	said, err := h.relay.SubscribeSync("chat.session." + h.channel("ann") + ".msg.ann")
	if err != nil {
		t.Fatal(err)
	}
	answers, err := h.relay.SubscribeSync("chat.session." + h.channel("ann") + ".sig.ann")
	if err != nil {
		t.Fatal(err)
	}
	ann := h.enter("ann", false)
	if _, err := answers.NextMsg(patience); err != nil {
		t.Fatal(err) // she has come
	}
	const many = 100
	for n := range many {
		ann.says(t, fmt.Sprint("ann ", n))
	}
	if !strings.Contains(ann.Since().String(), " m=") {
		t.Error("how long a message waits is a matter of the wall clock, which may be set")
	}
	begin := time.Now()
	for range 50 {
		if err := h.relay.Publish("chat.session."+h.channel("ann")+".sig.ben", []byte(`{"sync":{"have":{"ann":0},"first":1,"ask":true}}`)); err != nil {
			t.Fatal(err)
		}
		if _, err := answers.NextMsg(patience); err != nil {
			t.Fatal(err)
		}
	}
	n, _, err := said.Pending()
	if most := many * int(1+4+1+time.Since(begin)/(250*time.Millisecond)); err != nil || n < many || n > most {
		t.Errorf("%d messages for %d, at most %d; %v", n, many, most, err)
	}
}
