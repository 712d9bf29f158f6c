package account_test

import (
	"errors"
	"testing"
	"time"

	"natter/chat"
	"natter/presence/account"
)

const day = 24 * time.Hour

// at is a reading that is off by so much after so long.
func at(up, off time.Duration) account.Reading { return account.Reading{noon.Add(up + off), up} }

func TestClockIsBelieved(t *testing.T) {
	for name, c := range map[string]*account.Clock{
		"nothing is known": account.NewClock(account.Known{}, at(0, 0), false),
		"a day later":      account.NewClock(account.Known{Newest: noon.Add(-day)}, at(0, 0), false),
		"a bit earlier":    account.NewClock(account.Known{Newest: noon.Add(time.Hour)}, at(0, 0), false),
	} {
		if first, _, _ := c.Doubted(); first != nil {
			t.Errorf("%s: doubted", name)
		}
		if got := c.Settled(at(0, 0)); !got.Equal(noon) {
			t.Errorf("%s: settled is %s", name, got)
		}
	}
}

// A start with a clock that is far ahead: nothing ends until the operator says that it is
// right, and then not for a day.
func TestStartFarAhead(t *testing.T) {
	known := account.Known{Newest: noon.Add(-31 * day)}
	c := account.NewClock(known, at(0, 0), false)
	c.Look(at(3*day, 0))
	if first, _, start := c.Doubted(); first == nil || !start {
		t.Fatal("it is believed by itself")
	}
	if got := c.Settled(at(time.Hour, 0)); !got.Equal(known.Newest.Add(time.Hour)) {
		t.Errorf("settled is %s", got)
	}
	if got := c.Latest(at(time.Hour, 0)); !got.Equal(noon.Add(time.Hour)) {
		t.Errorf("latest is %s", got)
	}
	if k, ok := c.Known(); ok || k != known {
		t.Errorf("to be stored: %v %v", k, ok)
	}
	c = account.NewClock(known, at(0, 0), true)
	k, ok := c.Known()
	if !ok || !k.Newest.Equal(noon) {
		t.Fatalf("to be stored: %v %v", k, ok)
	}
	again := account.NewClock(k, at(0, time.Hour), false) // another start on the same day
	for _, c := range []*account.Clock{c, again} {
		if got := c.Settled(at(0, 2*time.Hour)); !got.Equal(known.Newest.Add(2 * time.Hour)) {
			t.Errorf("settled is %s", got)
		}
		if got := c.Settled(at(0, day)); !got.Equal(noon.Add(day)) {
			t.Errorf("settled is %s after a day", got)
		}
	}
}

// A start with a clock that is far behind: what begins is not earlier than what is known.
func TestStartFarBehind(t *testing.T) {
	known := account.Known{Newest: noon.Add(31 * day)}
	c := account.NewClock(known, at(0, 0), false)
	if first, expected, start := c.Doubted(); first == nil || !expected.Equal(known.Newest) || !start {
		t.Fatal("it is believed")
	}
	for name, got := range map[string]time.Time{"latest": c.Latest(at(time.Hour, 0)), "settled": c.Settled(at(time.Hour, 0))} {
		if !got.Equal(known.Newest.Add(time.Hour)) {
			t.Errorf("%s is %s", name, got)
		}
	}
	c.Look(at(time.Hour, 31*day)) // it is set right
	if first, _, _ := c.Doubted(); first != nil {
		t.Error("it is still doubted")
	}
	c = account.NewClock(known, at(0, 0), true)
	if k, ok := c.Known(); !ok || !k.Newest.Equal(noon) || !k.Until.IsZero() {
		t.Errorf("to be stored: %v %v", k, ok)
	}
	if got := c.Settled(at(0, 0)); !got.Equal(noon) {
		t.Errorf("settled is %s", got)
	}
}

// A clock that is set while it runs.
func TestClockIsSet(t *testing.T) {
	c := account.NewClock(account.Known{Newest: noon}, at(0, 0), false)
	c.Look(at(time.Hour, 31*day))
	if got := c.Settled(at(2*time.Hour, 31*day)); !got.Equal(noon.Add(2 * time.Hour)) {
		t.Errorf("settled is %s", got)
	}
	c.Look(at(3*time.Hour, 0)) // and set right again
	if got := c.Settled(at(3*time.Hour, 0)); !got.Equal(noon.Add(3 * time.Hour)) {
		t.Errorf("settled is %s", got)
	}
	if k, ok := c.Known(); !ok || !k.Newest.Equal(noon.Add(3*time.Hour)) {
		t.Errorf("to be stored: %v %v", k, ok)
	}
	c.Look(at(4*time.Hour, 31*day))
	c.Look(at(4*time.Hour+day-time.Second, 31*day))
	if first, _, _ := c.Doubted(); first == nil {
		t.Error("believed within a day")
	}
	c.Look(at(4*time.Hour+day, 31*day))
	if first, _, _ := c.Doubted(); first != nil {
		t.Error("doubted after a day")
	}
	c.Look(at(5*time.Hour+day, 0)) // set back
	if got, want := c.Latest(at(5*time.Hour+day, 0)), noon.Add(5*time.Hour+32*day); !got.Equal(want) {
		t.Errorf("latest is %s, want %s", got, want)
	}
}

// The operator says at one replica that the clocks are right.
func TestClockElsewhere(t *testing.T) {
	known := account.Known{Newest: noon.Add(-31 * day)}
	told, other := account.NewClock(known, at(0, 0), true), account.NewClock(known, at(0, 0), false)
	k, _ := told.Known()
	other.Adopt(known.Merge(k, true))
	other.Look(at(time.Minute, 0))
	if first, _, _ := other.Doubted(); first != nil {
		t.Error("still doubted elsewhere")
	}
	if got := other.Settled(at(time.Minute, 0)); !got.Equal(known.Newest.Add(time.Minute)) {
		t.Errorf("settled is %s elsewhere", got)
	}
	if got := k.Merge(account.Known{Newest: noon.Add(-time.Hour)}, false); got != k {
		t.Errorf("%v after a replica that is behind", got)
	}
}

// A clock that was behind gives no name away when it is set right, and one that is ahead
// gives away none.
func TestNameOutlivesTheClock(t *testing.T) {
	taken, err := account.Login(account.Record{Name: "alice", Key: "A", Reserved: noon.Add(time.Minute)}, "alice", noon)
	if err != nil {
		t.Fatal(err)
	}
	behind := noon.Add(-31 * day)
	rotated := taken
	rotated.Key = "B"
	for name, again := range map[string]func() (account.Record, error){
		"a login":    func() (account.Record, error) { return account.Login(taken, "Alice", behind) },
		"a rotation": func() (account.Record, error) { return account.Rotate(rotated, "A", []byte("x"), behind) },
		"a leave":    func() (account.Record, error) { return account.Seen(taken, "A", behind) },
	} {
		r, err := again()
		if err != nil && !errors.Is(err, chat.ErrUnchanged) || r.LastLogin != noon {
			t.Errorf("after %s by a clock that is behind: %+v, %v", name, r, err)
		}
		if got, err := account.Reserve(r, "alice", "C", noon.Add(day), noon.Add(day), time.Minute, 30*day); !errors.Is(err, &chat.Error{Code: chat.Taken}) {
			t.Errorf("after %s: the name is taken by %s, %v", name, got.Key, err)
		}
	}
	ahead, settled := noon.Add(60*day), noon.Add(time.Hour)
	if got, err := account.Reserve(taken, "alice", "C", ahead, settled, time.Minute, 30*day); !errors.Is(err, &chat.Error{Code: chat.Taken}) {
		t.Errorf("by a clock that is ahead: the name is taken by %s, %v", got.Key, err)
	}
	freed := account.Record{Name: "bob", Freed: noon.Add(day)}
	if got, err := account.Reserve(freed, "bob", "C", ahead, settled, time.Minute, 30*day); !errors.Is(err, &chat.Error{Code: chat.Reserved}) {
		t.Errorf("by a clock that is ahead: the freed name is taken by %s, %v", got.Key, err)
	}
	if left := taken.TicketTTL(ahead, settled, 30*day); left != chat.UserTicketTTL {
		t.Errorf("the owner's ticket is good for %s", left)
	}
}
