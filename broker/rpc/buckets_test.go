package rpc

import (
	"fmt"
	"testing"
	"time"

	"natter/chat"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }

func TestBuckets(t *testing.T) {
	b := NewBuckets(2) // 20 at once
	for _, step := range []struct {
		at   float64
		key  string
		n    int // times
		wait float64
	}{
		{0, "alice", 20, 0},
		{0, "alice", 1, 0.5},
		{0, "alice", 1, 0.5}, // who is refused pays nothing
		{0, "bob", 20, 0},    // and nobody else does
		{0.25, "alice", 1, 0.25},
		{0.5, "alice", 1, 0},
		{0.5, "alice", 1, 0.5},
		{3, "alice", 5, 0},
		{3, "alice", 1, 0.5},
		{2, "alice", 1, 0.5}, // a clock that goes back gives nothing
		{100, "alice", 20, 0},
		{100, "alice", 1, 0.5},
	} {
		for range step.n {
			wait := b.Take(step.key, at(step.at))
			if d := wait.Seconds() - step.wait; d < -0.001 || d > 0.001 {
				t.Errorf("%s at %g waits %v, want %g s", step.key, step.at, wait, step.wait)
			}
		}
	}
	if wait := NewBuckets(0).Take("alice", noon); wait != 0 {
		t.Errorf("without a limit: %v", wait)
	}
}

// Who has emptied a bucket does not get a full one by waiting until it is forgotten.
func TestBucketsAreForgottenWhenFull(t *testing.T) {
	b := NewBuckets(1)
	now, taken := 0.0, 0
	for ; now < 100; now += 6 {
		for b.Take("mallory", at(now)) == 0 {
			taken++
		}
	}
	if taken > 110 {
		t.Errorf("%d in 100 s", taken)
	}
	for i := range 1000 {
		b.Take(fmt.Sprint(i), at(now))
	}
	b.Take("alice", at(now+10))
	b.Take("alice", at(now+20))
	if n := b.all.len(); n > 2 {
		t.Errorf("%d buckets are kept", n)
	}
}

// However many askers there are, what is kept of them is bounded, and so is what is told.
func TestManyAddresses(t *testing.T) {
	g := newLimiter("lobby", "requests", true, 20)
	for i := range 300_000 {
		g.pass(fmt.Sprint(i), noon)
	}
	if n := g.askers.len(); n > 2*mostKeys {
		t.Errorf("%d askers are kept", n)
	}
	for i := range 100 {
		for range 20*chat.LobbyFactor + 50 {
			g.pass(fmt.Sprint("flooder", i), at(1))
		}
	}
	if all := g.report(at(2)); len(all) != mostReports+1 || all[mostReports].Text != "4200 more requests, limit 20; slowed down" {
		t.Errorf("%d lines: %v", len(all), all)
	}
}

// A flood is told of once a second, and most of it is not answered.
func TestFlood(t *testing.T) {
	g := newLimiter("requests", "requests", false, 20)
	through, told := 0, 0
	var lines []Excess
	for ms := range 3000 {
		now := noon.Add(time.Duration(ms) * time.Millisecond)
		for range 10 {
			refusal, tell := g.pass("mallory", now)
			switch {
			case refusal == nil:
				through++
			case tell:
				told++
			}
			if refusal != nil && (refusal.Code != chat.Rate || refusal.Text != "Too many requests; try again in 1 s." || refusal.Wait != time.Second) {
				t.Fatalf("%+v", refusal)
			}
		}
		if ms%1000 == 999 {
			lines = append(lines, g.report(now)...)
		}
	}
	if through > 260 || told > 260 || g.refused.Load() != uint64(30_000-through) {
		t.Errorf("%d let through, %d told, %d refused", through, told, g.refused.Load())
	}
	for i, l := range lines {
		if want := "10000 requests in 1 s, limit 20; slowed down"; l.User != "mallory" || l.Text != want {
			t.Errorf("line %d: %+v", i, l)
		}
	}
	if len(lines) != 3 || len(g.report(at(9))) != 0 {
		t.Errorf("%d lines", len(lines))
	}
	if refusal, _ := g.pass("mallory", at(13)); refusal != nil {
		t.Errorf("afterwards: %v", refusal)
	}
}

func TestNetwork(t *testing.T) {
	for host, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3::4": "2001:db8:1:2::/64",
		"fe80::1%eth0": "fe80::/64", "": "somewhere", "example.org": "somewhere",
	} {
		if got := network(host); got != want {
			t.Errorf("%q is %q, want %q", host, got, want)
		}
	}
}

// 100 requests that are none are bad luck; more in ten seconds are told of, once.
func TestStrikes(t *testing.T) {
	b := newStrikes()
	var told []float64
	for i := range 400 {
		now := float64(i) / 16
		if b.note("mallory", at(now)) {
			told = append(told, now)
		}
		if i%2 == 0 && b.note("alice", at(now)) {
			t.Errorf("alice is told of at %g", now)
		}
	}
	if len(told) != 2 || told[0] > 10 || told[1] < 10 || told[1] > 20 {
		t.Errorf("told at %v", told)
	}
}
