package presence

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// at makes anonymous connections of a network, which were used so many seconds before now.
func at(network string, first uint64, now time.Time, ago ...int) (all []anonymous) {
	for i, s := range ago {
		all = append(all, anonymous{id: connID{"S", first + uint64(i)}, network: network, used: now.Add(-time.Duration(s) * time.Second)})
	}
	return all
}

func ids(all []anonymous) (found []uint64) {
	for _, g := range all {
		found = append(found, g.id.id)
	}
	slices.Sort(found)
	return found
}

func TestGuestsToClose(t *testing.T) {
	now := time.Now()
	all := slices.Concat(at("10.0.0.1", 1, now, 40, 5, 1, 3), at("10.0.0.2", 11, now, 31, 2), at("10.0.0.3", 21, now, 0))
	for name, c := range map[string]struct {
		got  []anonymous
		want []uint64
	}{
		"not used for 30 s":                 {idle(all, 30*time.Second, now), []uint64{1, 11}},
		"not used, exactly so long":         {idle(all, 31*time.Second, now), []uint64{1, 11}},
		"no limit of time":                  {idle(all, 0, now), nil},
		"two of one address":                {crowded(all, 2), []uint64{1, 2}},
		"one of one address":                {crowded(all, 1), []uint64{1, 2, 4, 11}},
		"no limit of one address":           {crowded(all, 0), nil},
		"one, of the address that has most": {fewest(all, 1), []uint64{1}},
		"two, of the address that has most": {fewest(all, 2), []uint64{1, 2}},
		"three: two addresses have as many": {fewest(all, 3), []uint64{1, 2, 11}},
		"four: the newest of each stay":     {fewest(all, 4), []uint64{1, 2, 4, 11}},
		"more than there are":               {fewest(all, 99), []uint64{1, 2, 3, 4, 11, 12, 21}},
		"none":                              {fewest(all, 0), nil},
	} {
		if got := ids(c.got); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestShort(t *testing.T) {
	for _, c := range []struct{ have, most, anonymous, want int }{
		{0, 992, 0, 0},
		{868, 992, 868, 0},   // an eighth is free
		{900, 992, 900, 32},  // that many go
		{992, 992, 992, 124}, // a full server
		{992, 992, 70, 8},    // users take the rest: the newest 62 stay
		{992, 992, 62, 0},
		{992, 992, 0, 0},
		{65_000, 65_536, 1000, 0},
		{65_500, 65_536, 1000, 220},
		{18, 18, 10, 2},
		{10, 0, 10, 0}, // not known
	} {
		if got := short(c.have, c.most, c.anonymous); got != c.want {
			t.Errorf("%d of %d, %d anonymous: %d, want %d", c.have, c.most, c.anonymous, got, c.want)
		}
	}
}

// A anonymous was last used when its server counts another message of it, or when it came.
func TestLastUseOfAGuest(t *testing.T) {
	now := time.Now()
	u := uses{}
	see := func(at time.Time, age time.Duration, sent int64) time.Duration {
		g := u.note([]anonymous{{id: connID{"S", 1}, age: age, sent: sent}}, map[string]bool{"S": true}, at)
		return at.Sub(g[0].used)
	}
	for i, c := range []struct {
		at, age time.Duration
		sent    int64
		want    time.Duration
	}{
		{0, 20 * time.Second, 0, 20 * time.Second},
		{5 * time.Second, 25 * time.Second, 0, 25 * time.Second},
		{6 * time.Second, 26 * time.Second, 1, 0},
		{9 * time.Second, 29 * time.Second, 1, 3 * time.Second},
		{10 * time.Second, 30 * time.Second, 2, 0},
	} {
		if got := see(now.Add(c.at), c.age, c.sent); got != c.want {
			t.Errorf("look %d: not used for %v, want %v", i, got, c.want)
		}
	}
	u.note(nil, map[string]bool{"T": true}, now)
	if len(u) != 1 {
		t.Error("a server that did not answer has lost its anonymous")
	}
	u.note(nil, map[string]bool{"S": true}, now)
	if len(u) != 0 {
		t.Error("a anonymous that has gone is remembered")
	}
}

// Ten thousand connections of as many addresses are sorted in no time.
func TestManyGuests(t *testing.T) {
	now := time.Now()
	var all []anonymous
	for i := range 10_000 {
		all = append(all, at(fmt.Sprintf("net %d", i), uint64(i), now, i)...)
	}
	begin := time.Now()
	out := ids(fewest(all, 5000))
	if len(out) != 5000 || out[0] != 5000 {
		t.Errorf("%d anonymous connections, the first is %d", len(out), out[0])
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}
