package ui

import (
	"testing"
	"time"
)

func TestParseWait(t *testing.T) {
	for _, c := range []struct {
		s, kind, pattern, user string
		most                   time.Duration
	}{
		{s: "invitation", kind: "invitation", most: waitDefault},
		{s: "message", kind: "message", most: waitDefault},
		{s: "message hello", kind: "message", pattern: "hello", most: waitDefault},
		{s: "message ^two words$ 5", kind: "message", pattern: "^two words$", most: 5 * time.Second},
		{s: "message 5", kind: "message", most: 5 * time.Second},
		{s: "chat 0.5", kind: "chat", most: 500 * time.Millisecond},
		{s: "end", kind: "end", most: waitDefault},
		{s: "user Bob", kind: "user", user: "bob", most: waitDefault},
		{s: "user bob 10", kind: "user", user: "bob", most: 10 * time.Second},
		{s: "2.5", most: 2500 * time.Millisecond},
		{s: "0"},
	} {
		w, err := parseWait(c.s)
		pattern := ""
		if w.pattern != nil {
			pattern = w.pattern.String()
		}
		if err != nil || w.kind != c.kind || pattern != c.pattern || string(w.user) != c.user || w.most != c.most {
			t.Errorf("%q: %+v %v", c.s, w, err)
		}
	}
	for _, s := range []string{"", "nothing", "user", "chat now", "message (", "user a b", "-1", "invitation bob 5", "1e300", "NaN"} {
		if w, err := parseWait(s); err == nil {
			t.Errorf("%q is understood as %+v", s, w)
		}
	}
}

func TestTallyMissesNothingAndMeetsNothingTwice(t *testing.T) {
	var tl tally
	take := func(s string) bool {
		w, err := parseWait(s)
		if err != nil {
			t.Fatal(err)
		}
		return tl.take(w)
	}
	if take("message") {
		t.Error("a message that never was")
	}
	tl.add(happening{kind: "chat"})
	tl.add(happening{kind: "message", text: "one"})
	tl.add(happening{kind: "message", text: "two"})
	tl.add(happening{kind: "end"})
	for _, c := range []struct {
		s    string
		want bool
	}{
		{"message three", false}, {"message", true}, {"chat", false}, {"message one", false},
		{"message ^t.o$", true}, {"message", false}, {"end", true}, {"end", false},
	} {
		if got := take(c.s); got != c.want {
			t.Errorf("/wait %s: %v", c.s, got)
		}
	}
}

func TestTallyIsBounded(t *testing.T) {
	var tl tally
	for range 3 * tallied {
		tl.add(happening{kind: "message"})
	}
	if len(tl.seen) > tallied {
		t.Errorf("%d happenings are kept", len(tl.seen))
	}
}
