package account_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"natter/chat"
	"natter/presence/account"
)

func TestBlocks(t *testing.T) {
	var blocks []chat.Block
	hour := noon.Add(time.Hour)
	step := func(what, want string, f func() ([]chat.Block, error)) {
		t.Helper()
		after, err := f()
		var told *chat.Error
		got := ""
		switch {
		case errors.As(err, &told):
			got = string(told.Code)
		case errors.Is(err, chat.ErrUnchanged):
			got = "unchanged"
		default:
			blocks = after
			for _, b := range after {
				got += string(b.Name) + " "
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	add := func(name chat.Name, until, now time.Time) func() ([]chat.Block, error) {
		return func() ([]chat.Block, error) {
			return account.Block("alice", blocks, chat.Block{Name: name, Until: until}, now)
		}
	}
	take := func(u chat.User, now time.Time) func() ([]chat.Block, error) {
		return func() ([]chat.Block, error) { return account.Unblock(blocks, u, now) }
	}
	never := time.Time{}
	step("oneself", "self", add("Alice", never, noon))
	step("the first", "Bob ", add("Bob", never, noon))
	step("again", "unchanged", add("bob", never, noon))
	step("before it", "ann Bob ", add("ann", hour, noon))
	step("a mute of who is blocked", "unchanged", add("bob", hour, noon))
	step("nobody", "unchanged", take("carol", noon))
	step("while the mute lasts", "ann Bob carl ", add("carl", hour.Add(time.Hour), noon.Add(59*time.Minute)))
	if !account.Blocks(blocks, "ann", hour.Add(-1)) || account.Blocks(blocks, "ann", hour) || !account.Blocks(blocks, "bob", hour.AddDate(10, 0, 0)) {
		t.Errorf("blocked by %v", blocks)
	}
	step("a mute that has ended", "unchanged", take("ann", hour))
	step("it goes with the next change", "carl ", take("bob", hour))
	step("a block of who is muted", "carl ", add("carl", never, hour))
	if blocks[0].Until != never {
		t.Errorf("%v", blocks)
	}
	for i := range chat.MaxBlocks - 1 {
		blocks, _ = account.Block("alice", blocks, chat.Block{Name: chat.Name(fmt.Sprint("user", i))}, hour)
	}
	step("too many", "too_long", add("zoe", never, hour))
	if len(blocks) != chat.MaxBlocks {
		t.Errorf("%d blocks", len(blocks))
	}
}

func TestWhatAnAccountRemembers(t *testing.T) {
	r := account.Record{Key: "A", LastLogin: noon}
	r, err := account.Remember(r, chat.HiddenAway, "")
	if err != nil || r.Presence != chat.HiddenAway {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := account.Remember(r, "", ""); !errors.Is(err, chat.ErrUnchanged) {
		t.Error("nothing said:", err)
	}
	if r, err = account.Remember(r, chat.HiddenAway, "age1x"); err != nil || r.Identity != "age1x" || r.Presence != chat.HiddenAway {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := account.Seen(r, "A", noon.Add(59*time.Second)); !errors.Is(err, chat.ErrUnchanged) {
		t.Error("a moment later:", err)
	}
	if _, err := account.Seen(r, "B", noon.Add(time.Hour)); !errors.Is(err, chat.ErrUnchanged) {
		t.Error("another key's:", err)
	}
	if later, err := account.Seen(r, "A", noon.Add(time.Hour)); err != nil || !later.LastLogin.Equal(noon.Add(time.Hour)) {
		t.Errorf("%+v, %v", later, err)
	}
}
