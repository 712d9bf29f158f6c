package presence_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"natter/chat"
	"natter/presence"
)

func TestRevoke(t *testing.T) {
	at := time.Unix(1000, 900_000_000)
	first, err := presence.Revoke(presence.Revoked{}, []string{"A", "B"}, at)
	if err != nil || len(first.Keys) != 2 || first.Keys["A"].At != time.Unix(1000, 0) {
		t.Fatalf("%+v, %v", first, err)
	}
	if _, err := presence.Revoke(first, []string{"A"}, at.Add(50*time.Millisecond)); !errors.Is(err, chat.ErrUnchanged) {
		t.Errorf("in the same second: %v", err)
	}
	later, err := presence.Revoke(first, []string{"A"}, at.Add(time.Hour))
	if err != nil || !later.Keys["A"].At.After(first.Keys["A"].At) || first.Keys["A"].At != time.Unix(1000, 0) {
		t.Errorf("later: %+v, %v; before: %+v", later, err, first)
	}
	if next := later.Next(); !next.Equal(first.Keys["B"].Until) {
		t.Errorf("next is %v", next)
	}
	if _, err := presence.Forget(later, first.Keys["B"].Until.Add(-1)); !errors.Is(err, chat.ErrUnchanged) {
		t.Errorf("nothing has expired: %v", err)
	}
	left, err := presence.Forget(later, first.Keys["B"].Until)
	if err != nil || len(left.Keys) != 1 || left.Keys["A"] != later.Keys["A"] {
		t.Errorf("left is %+v, %v", left, err)
	}
	var many []string
	for i := range 10_000 {
		many = append(many, fmt.Sprint(i))
	}
	if all, err := presence.Revoke(presence.Revoked{}, many, at); err != nil || len(all.Keys) != 256 || all.Keys["0"].At.IsZero() {
		t.Errorf("%d keys in one record, %v", len(all.Keys), err)
	}
}
