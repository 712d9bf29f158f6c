package rpc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"natter/chat"
)

func refusedBy(user chat.Name, address string, code chat.Code, text string, at time.Time) chat.Audit {
	return chat.Audit{Kind: "refused", Event: "user.refused", User: user, Address: address, Code: code, Text: text, Time: at}
}

func texts(records []chat.Audit) []string {
	var all []string
	for _, a := range records {
		all = append(all, a.Text)
	}
	return all
}

func TestRefusalsAreCounted(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	r := &counter{free: freeRefusals}
	expect := func(what string, got []chat.Audit, want ...string) {
		t.Helper()
		if !slices.Equal(texts(got), want) {
			t.Errorf("%s: %q, want %q", what, texts(got), want)
		}
	}
	pass := func(a chat.Audit) []chat.Audit { return r.pass(a, a.Time) }
	expect("the first", pass(refusedBy("bob", "", chat.Rate, "a", at(0))), "a")
	expect("of another user", pass(refusedBy("carol", "", chat.Rate, "b", at(0))), "b")
	expect("of another kind", pass(refusedBy("bob", "", chat.Denied, "c", at(0))), "c")
	expect("of an address", pass(refusedBy("", "192.0.2.1", chat.Rate, "d", at(0))), "d")
	for n := range 200 {
		expect("one more", pass(refusedBy("Bob", fmt.Sprintf("192.0.2.%d", n), chat.Rate, fmt.Sprint(n), at(1))))
	}
	expect("one more of carol", pass(refusedBy("carol", "", chat.Rate, "once more", at(2))))
	expect("before it is time", r.due(at(9), false))
	got := r.due(at(10), false)
	expect("when it is time", got, "200 refusals in 10 s, the last: 199", "once more")
	if len(got) == 2 && (got[0].Count != 200 || got[0].User != "Bob" || got[0].Code != chat.Rate || got[1].Count != 0) {
		t.Errorf("%+v", got)
	}
	expect("of who goes on", pass(refusedBy("bob", "", chat.Rate, "x", at(11))))
	expect("of who has stopped", pass(refusedBy("bob", "", chat.Denied, "y", at(11))), "y")
	expect("at the end", r.end(), "x")
	expect("nobody's", pass(refusedBy("", "", chat.Denied, "the operator", at(11))), "the operator")
	expect("nobody's, again", pass(refusedBy("", "", chat.Denied, "the operator", at(11))), "the operator")
}

// However many refuse, what is kept of them is bounded, and none is lost.
func TestRefusalsAreBounded(t *testing.T) {
	r, now, sum := &counter{free: freeRefusals}, time.Unix(1000, 0), 0
	add := func(records []chat.Audit) {
		for _, a := range records {
			sum += max(a.Count, 1)
		}
	}
	const most = 3 * maxCounted
	for n := range most {
		for range 3 {
			add(r.pass(refusedBy("", fmt.Sprintf("10.0.%d.%d", n/256, n%256), chat.Rate, "t", now), now))
		}
		if len(r.alike) > maxCounted {
			t.Fatalf("%d are kept", len(r.alike))
		}
	}
	if add(r.end()); sum != 3*most {
		t.Errorf("%d are told, want %d", sum, 3*most)
	}
}

// A flood is one record every ten seconds, and what was counted comes without another refusal.
func TestRefusalsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, begun := &counter{free: freeRefusals}, time.Now()
		var mu sync.Mutex
		var told []chat.Audit
		write := func(a chat.Audit) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, a)
		}
		for time.Since(begun) < time.Minute {
			for _, a := range r.take(refusedBy("bob", "", chat.Rate, "t", time.Now()), write) {
				write(a)
			}
			<-time.After(50 * time.Millisecond) // 20 a second
		}
		<-time.After(time.Minute)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		sum := 0
		for _, a := range told {
			sum += max(a.Count, 1)
		}
		if len(told) != 7 || sum != 1200 {
			t.Errorf("%d records of %d refusals", len(told), sum)
		}
		if len(r.alike) != 0 || r.timer != nil {
			t.Errorf("%d are kept, timer %v", len(r.alike), r.timer)
		}
		r.take(refusedBy("bob", "", chat.Rate, "again", time.Now()), nil)
		r.take(refusedBy("bob", "", chat.Rate, "and again", time.Now()), nil)
		if rest := r.end(); len(rest) != 1 || rest[0].Text != "and again" {
			t.Errorf("at the end: %+v", rest)
		}
		if got := r.take(refusedBy("bob", "", chat.Rate, "after", time.Now()), nil); len(got) != 1 {
			t.Errorf("after the end: %+v", got)
		}
	})
}

// A user who asks as fast as they may causes a few records, and those of a user who asks now and
// then are written one by one. What tells who is in a session is written in any case.
func TestRequestsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, begun := &counter{free: freeRequests}, time.Now()
		var mu sync.Mutex
		told := map[chat.Name][]chat.Audit{}
		write := func(a chat.Audit) {
			mu.Lock()
			defer mu.Unlock()
			told[a.User] = append(told[a.User], a)
		}
		asks := func(user chat.Name) {
			a := chat.Audit{Kind: "request", Event: "user.request", User: user, Text: "t", Time: time.Now()}
			for _, a := range r.take(a, write) {
				write(a)
			}
		}
		for n := 0; time.Since(begun) < 10*time.Minute; n++ {
			asks("mallory")
			if n%200 == 0 {
				asks("alice")
			}
			<-time.After(50 * time.Millisecond) // 20 a second
		}
		<-time.After(11 * time.Minute)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		sum := 0
		for _, a := range told["mallory"] {
			sum += max(a.Count, 1)
		}
		if n := len(told["mallory"]); n > 60+60+1 || sum != 20*600 {
			t.Errorf("%d records of %d requests", n, sum)
		}
		if n := len(told["alice"]); n != 60 || told["alice"][n-1].Count != 0 {
			t.Errorf("alice asked 60 times in ten minutes, and there are %d records", n)
		}
		if one := told["mallory"][100]; !strings.HasSuffix(one.Text, " requests in 10 s, the last: t") || one.Count < 190 {
			t.Errorf("one of the records is %q", one.Text)
		}
		if len(r.alike) != 0 || r.timer != nil {
			t.Errorf("%d are kept, timer %v", len(r.alike), r.timer)
		}
	})
}

func TestCountIsInTheRecord(t *testing.T) {
	data, err := json.Marshal((&repeated{n: 3, last: chat.Audit{Text: "t"}}).record())
	if err != nil || !bytes.Contains(data, []byte(`"count":3`)) {
		t.Errorf("%s, %v", data, err)
	}
}
