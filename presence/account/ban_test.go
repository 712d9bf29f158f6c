package account_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"natter/chat"
	"natter/presence/account"
)

var (
	keyA = "U" + strings.Repeat("A", 55)
	keyB = "U" + strings.Repeat("B", 55)
)

func TestReadTarget(t *testing.T) {
	for typed, want := range map[string]chat.Target{
		"Bob":                 {Name: "Bob"},
		" bob ":               {Name: "bob"},
		"fe80":                {Name: "fe80"},
		keyA:                  {Key: keyA},
		"10.1.2.3":            {Network: "10.1.2.3"},
		"10.1.2.3/32":         {Network: "10.1.2.3"},
		"10.1.2.3/16":         {Network: "10.1.0.0/16"},
		"::ffff:10.1.2.3":     {Network: "10.1.2.3"},
		"::ffff:10.1.2.3/112": {Network: "10.1.0.0/16"},
		"2001:DB8::1/32":      {Network: "2001:db8::/32"},
		"0.0.0.0/0":           {Network: "0.0.0.0/0"},
	} {
		if got, err := account.ReadTarget(typed); err != nil || got != want {
			t.Errorf("%q: %+v, %v", typed, got, err)
		}
	}
	for _, typed := range []string{"", "b\u043eb", "bob smith", "10.1", "10.1.2.3/33", "10.1.2.3:80", "fe80::1%eth0", "::ffff:10.0.0.0/90",
		strings.ToLower(keyA), "A" + keyA[1:], keyA + "A", "*", "bob.>", "all", "\x1b[2J"} {
		if got, err := account.ReadTarget(typed); err == nil {
			t.Errorf("%q is taken for %+v", typed, got)
		}
	}
	for _, bad := range []chat.Target{{}, {Name: "bob", Key: keyA}, {Key: keyA, Network: "10.0.0.1"}} {
		if _, err := account.CheckTarget(bad); !errors.Is(err, &chat.Error{Code: chat.Arguments}) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestBanKeysAreTokens(t *testing.T) {
	seen := map[string]bool{}
	for _, target := range []chat.Target{{Name: "Bob"}, {Key: keyA}, {Network: "10.1.0.0/16"}, {Network: "2001:db8::/32"}} {
		key := account.BanKey(target)
		if strings.ContainsAny(key, ".*> /:") || seen[key] {
			t.Errorf("%+v has the key %q", target, key)
		}
		seen[key] = true
	}
	if account.BanKey(chat.Target{Name: "BOB"}) != account.BanKey(chat.Target{Name: "bob"}) {
		t.Error("two bans of one name")
	}
}

func TestRefuse(t *testing.T) {
	ban := func(target chat.Target, key, reason string, d time.Duration) account.Ban {
		b, err := account.Impose(account.Ban{}, target, key, reason, d, noon, noon)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	name, key := ban(chat.Target{Name: "Bob"}, keyA, "spam", time.Hour), ban(chat.Target{Key: keyB}, "", "", 0)
	net := ban(chat.Target{Network: "10.1.0.0/16"}, "", "flood\n", time.Minute)
	for _, c := range []struct {
		what         string
		name         chat.Name
		key, address string
		after        time.Duration
		want         chat.Code
		says         string
	}{
		{"the owner", "BOB", keyA, "", 0, chat.Banned, "You are banned until 2026-01-02 13:00 UTC: spam."},
		{"the owner under another name", "carol", keyA, "", 0, chat.Banned, "You are banned until 2026-01-02 13:00 UTC: spam."},
		{"somebody else under the name", "bob", "C", "", 0, chat.Reserved, "The username bob cannot be taken."},
		{"a key", "carol", keyB, "", 1000 * time.Hour, chat.Banned, "You are banned."},
		{"a network", "carol", "C", "10.1.2.3:4222", 0, chat.Banned, "You are banned until 2026-01-02 12:01 UTC: flood."},
		{"the same, as IPv6", "carol", "C", "[::ffff:10.1.2.3]:4222", 0, chat.Banned, ""},
		{"the neighbours", "carol", "C", "10.2.0.0", 0, "", ""},
		{"an address that is none", "carol", "C", "somebody", 0, "", ""},
		{"a name and a network", "bob", keyA, "10.1.2.3", 0, chat.Banned, "You are banned until 2026-01-02 13:00 UTC: spam."},
		{"after the network's ban", "carol", "C", "10.1.2.3", time.Minute, "", ""},
		{"after the name's ban", "bob", keyA, "", time.Hour, "", ""},
		{"others", "bobby", "C", "192.0.2.1", 0, "", ""},
	} {
		err := account.Refuse([]account.Ban{name, key, net}, c.name, c.key, c.address, noon.Add(c.after))
		var told *chat.Error
		switch {
		case errors.As(err, &told):
			if told.Code != c.want || c.says != "" && told.Text != c.says {
				t.Errorf("%s: %s %q", c.what, told.Code, told.Text)
			}
		case c.want != "":
			t.Errorf("%s is let in", c.what)
		}
	}
}

func TestBanSteps(t *testing.T) {
	target := chat.Target{Name: "bob"}
	first, err := account.Impose(account.Ban{}, target, keyA, strings.Repeat("é", 300), time.Hour, noon, noon)
	if err != nil || len([]rune(first.Reason)) != account.MaxReason {
		t.Fatalf("%+v, %v", first, err)
	}
	if again, err := account.Impose(first, target, "", "", 0, noon, noon); err != nil || again.Key != keyA || !again.Until.IsZero() {
		t.Errorf("longer, when nobody has the name: %+v, %v", again, err)
	}
	if _, err := account.Impose(first, target, "", "", -1, noon, noon); err == nil {
		t.Error("a ban that is over before it begins")
	}
	if _, err := account.End(first, noon.Add(time.Hour-1)); !errors.Is(err, chat.ErrUnchanged) {
		t.Errorf("too early: %v", err)
	}
	if over, err := account.End(first, noon.Add(time.Hour)); err != nil || !over.Gone {
		t.Errorf("in time: %+v, %v", over, err)
	}
	lifted, err := account.Lift(first, target, noon)
	if err != nil || !lifted.Gone || lifted.Covers("bob", keyA, "") && lifted.Standing(noon) {
		t.Errorf("%+v, %v", lifted, err)
	}
	for what, b := range map[string]account.Ban{"none": {}, "one taken back": lifted} {
		if _, err := account.Lift(b, target, noon); !errors.Is(err, &chat.Error{Code: chat.NothingToDo}) {
			t.Errorf("lift %s: %v", what, err)
		}
	}
	if _, err := account.Lift(first, target, noon.Add(time.Hour)); err == nil {
		t.Error("lift one that is over")
	}
}

func TestFreeAndDelete(t *testing.T) {
	taken := account.Record{Name: "bob", Key: "A", Created: noon, LastLogin: noon}
	void := noon.Add(24 * time.Hour)
	reserve := func(r account.Record, key string, now time.Time) string {
		got, err := account.Reserve(r, "Bob", key, now, now, time.Minute, 0)
		if err != nil {
			return err.Error()
		}
		return got.Key
	}
	freed, err := account.Free(taken, "bob", void, noon)
	if err != nil || freed.Key != "" {
		t.Fatalf("%+v, %v", freed, err)
	}
	deleted, err := account.Delete(taken, "bob", void, noon)
	if err != nil {
		t.Fatal(err)
	}
	revived, err := account.Free(deleted, "bob", noon.Add(48*time.Hour), noon.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	known, err := account.Voided(freed, void)
	if err != nil {
		t.Fatal(err)
	}
	const notYet, never = "The username Bob is not free yet.", "That name was used before and cannot be taken."
	for _, c := range []struct {
		what string
		r    account.Record
		at   time.Time
		want string
	}{
		{"freed, while a ticket may be good", freed, void.Add(-1), notYet},
		{"freed, then", freed, void, "B"},
		{"freed and void", known, noon, "B"},
		{"deleted", deleted, noon.Add(1e6 * time.Hour), never},
		{"deleted and freed", revived, void.Add(-1), notYet},
		{"deleted and freed, then", revived, void, "B"},
	} {
		if got := reserve(c.r, "B", c.at); got != c.want {
			t.Errorf("%s: %s", c.what, got)
		}
	}
	for what, r := range map[string]account.Record{"nobody's": {}, "freed": known} {
		if _, err := account.Free(r, "bob", void, noon); !errors.Is(err, &chat.Error{Code: chat.NothingToDo}) {
			t.Errorf("free what is %s: %v", what, err)
		}
		if _, err := account.Delete(r, "bob", void, noon); !errors.Is(err, &chat.Error{Code: chat.NothingToDo}) {
			t.Errorf("delete what is %s: %v", what, err)
		}
	}
	if _, err := account.Delete(deleted, "bob", void, noon); !errors.Is(err, chat.ErrUnchanged) {
		t.Errorf("delete twice: %v", err)
	}
	if _, err := account.Voided(account.Record{Key: "B"}, void); !errors.Is(err, chat.ErrUnchanged) {
		t.Errorf("somebody has the name already: %v", err)
	}
}

// Every ban of a network that an address lies in is found by the address.
func TestNetworksOfAnAddress(t *testing.T) {
	for address, banned := range map[string][]string{
		"10.1.2.3:4000":        {"10.1.2.3", "10.1.2.3/31", "10.0.0.0/8", "0.0.0.0/0", "::ffff:10.1.0.0/112"},
		"::ffff:10.1.2.3":      {"10.1.2.3", "10.1.2.0/24"},
		"[fe80::1%eth0]:4000":  {"fe80::1", "fe80::/10", "::/0"},
		"2001:db8:1:2:3:4:5:6": {"2001:db8:1:2::/64", "2001:db8:1:2:3:4:5:6/128"},
	} {
		found := account.Networks(address)
		for _, b := range banned {
			target, err := account.CheckTarget(chat.Target{Network: b})
			if err != nil || !slices.Contains(found, target.Network) {
				t.Errorf("%s is not found by %s: %v", b, address, err)
			}
		}
	}
	if found := account.Networks("somebody"); found != nil {
		t.Error(found)
	}
}
