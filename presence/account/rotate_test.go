package account_test

import (
	"bytes"
	"errors"
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
	if _, err := account.Reserve(r, "alice", "A", later, time.Minute, 24*time.Hour); !errors.Is(err, &chat.Error{Code: chat.ForeignKey}) {
		t.Errorf("the former key: %v", err)
	}
}
