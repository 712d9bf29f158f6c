package presence_test

import (
	"errors"
	"testing"

	"natter/chat"
	"natter/presence"
)

func TestRekey(t *testing.T) {
	alice := here("alice", chat.Visible)
	r, err := presence.Rekey(alice, "Kalice", "Knew")
	if err != nil || r.Key != "Knew" || r.Presence != chat.Visible || r.State != presence.Here {
		t.Fatalf("%+v, %v", r, err)
	}
	gone := alice
	gone.State = presence.Gone
	for what, err := range map[string]error{
		"again":           second(presence.Rekey(r, "Kalice", "Knew")),
		"of another key":  second(presence.Rekey(alice, "Kother", "Knew")),
		"who is not here": second(presence.Rekey(gone, "Kalice", "Knew")),
	} {
		if !errors.Is(err, chat.ErrUnchanged) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func second(_ presence.Record, err error) error { return err }
