package account_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"natter/chat"
	"natter/presence/account"
)

func TestRotateAnAccount(t *testing.T) {
	reserved := account.Record{Name: "alice", Key: "A", Reserved: noon.Add(time.Minute)}
	if _, err := account.Rotate(reserved, "B", []byte("s"), noon); !errors.Is(err, &chat.Error{Code: chat.NotRegistered}) {
		t.Errorf("of a name that nobody has taken: %v", err)
	}
	taken := account.Record{Name: "alice", Key: "A", Identity: "I", LastLogin: noon, Blocks: []chat.Block{{Name: "bob"}}}
	if _, err := account.Rotate(taken, "A", []byte("s"), noon); !errors.Is(err, &chat.Error{Code: chat.Arguments}) {
		t.Errorf("to the same key: %v", err)
	}
	later := noon.Add(time.Hour)
	r, err := account.Rotate(taken, "B", []byte("s"), later)
	if err != nil || r.Key != "B" || r.LastLogin != later || r.Identity != "I" || len(r.Blocks) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if r.Rotation.From != "A" || r.Rotation.At != later || !bytes.Equal(r.Rotation.Signature, []byte("s")) {
		t.Fatalf("%+v", r.Rotation)
	}
	if again, err := account.Rotate(r, "B", []byte("s"), later.Add(1)); !errors.Is(err, chat.ErrUnchanged) || again.Rotation.At != later {
		t.Errorf("again: %+v, %v", again, err)
	}
	if _, err := account.Reserve(r, "alice", "A", later, later, time.Minute, 24*time.Hour); !errors.Is(err, &chat.Error{Code: chat.Taken}) {
		t.Errorf("the former key: %v", err)
	}
}

func TestRotateTooOften(t *testing.T) {
	r, err := account.Record{Name: "alice", Key: "K", LastLogin: noon}, error(nil)
	day := func(from time.Time) {
		for i := range account.MostRotations {
			if r, err = account.Rotate(r, fmt.Sprint(from, i), []byte("s"), from); err != nil {
				t.Fatal(i, err)
			}
		}
		if _, err := account.Rotate(r, "more", []byte("s"), from.Add(24*time.Hour-1)); !errors.Is(err, &chat.Error{Code: chat.Denied}) {
			t.Errorf("one too many: %v", err)
		}
	}
	day(noon)
	day(noon.Add(24 * time.Hour))
}
