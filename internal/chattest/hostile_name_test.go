package chattest_test

import (
	"strings"
	"testing"

	"natter/chat"
	"natter/internal/chattest"
	"natter/internal/coord"
)

// TestTakenNamesTellNothing: whoever asks for the name of somebody else reads the same
// whether its owner is visible, hidden or away, and when the server is full; and what is
// suggested instead does not depend on who is here.
func TestTakenNamesTellNothing(t *testing.T) {
	for name, most := range map[string]int{"room": 0, "full": 3} {
		t.Run(name, func(t *testing.T) {
			in := chattest.Run(t, func(c *coord.Config) { quiet(c); c.MaxUsers = most })
			other := in.User("carol2") // is suggested to nobody, here or not
			if err := other.Exit(t.Context()); err != nil {
				t.Fatal(err)
			}
			away := in.User("carol")
			if err := away.Exit(t.Context()); err != nil {
				t.Fatal(err)
			}
			in.User("alice")
			in.User("alice2")
			hidden := in.User("bobby")
			if err := hidden.SetPresence(t.Context(), false); err != nil {
				t.Fatal(err)
			}
			kinds := map[string][]string{}
			for _, name := range []string{"alice", "bobby", "carol"} {
				_, told := enter(t, in, name, newLogin(t))
				if told == nil || told.Code != chat.Taken {
					t.Fatalf("%s: %+v", name, told)
				}
				text := strings.ReplaceAll(told.Text, name, "NAME")
				text = strings.NewReplacer("NAME2, NAME-2, NAME3", "SOME", "NAME3, NAME-3, NAME4", "SOME").Replace(text)
				kinds[text] = append(kinds[text], name)
				if len(told.Suggestions) != 3 {
					t.Errorf("%s: %v is suggested", name, told.Suggestions)
				}
			}
			if len(kinds) != 1 {
				t.Errorf("the lobby tells them apart: %q", kinds)
			}
		})
	}
}
