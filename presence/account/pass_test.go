package account_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"natter/chat"
	"natter/presence/account"
)

func TestPasses(t *testing.T) {
	made := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	fresh, err := account.NewPass(2, time.Hour, made)
	if err != nil {
		t.Fatal(err)
	}
	once, err := fresh.Use("A", "ann", made)
	if err != nil || len(fresh.Keys) != 0 {
		t.Fatalf("%v, %+v", err, fresh)
	}
	full, err := once.Use("B", "ben", made)
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		pass  account.Pass
		key   string
		after time.Duration
		want  error
		keys  []string
	}{
		"a first one":              {fresh, "A", 0, nil, []string{"A"}},
		"another one":              {once, "B", 0, nil, []string{"A", "B"}},
		"the same again, for free": {once, "A", 0, chat.ErrUnchanged, []string{"A"}},
		"one too many":             {full, "C", 0, account.ErrPassUsed, nil},
		"the same when it is full": {full, "B", 0, chat.ErrUnchanged, []string{"A", "B"}},
		"in the last moment":       {fresh, "A", time.Hour - 1, nil, []string{"A"}},
		"at its end":               {fresh, "A", time.Hour, account.ErrPassOver, nil},
		"the same after its end":   {once, "A", time.Hour, account.ErrPassOver, nil},
		"used up and over":         {full, "C", time.Hour, account.ErrPassOver, nil},
		"before it was made":       {fresh, "A", -time.Hour, nil, []string{"A"}},
		"none":                     {account.Pass{}, "A", 0, account.ErrNoPass, nil},
		"forgotten":                {account.Pass{Gone: true}, "A", 0, account.ErrNoPass, nil},
	} {
		got, err := row.pass.Use(row.key, "ann", made.Add(row.after))
		if !errors.Is(err, row.want) || err != row.want || row.keys != nil && !slices.Equal(got.Keys, row.keys) {
			t.Errorf("%s: %+v, %v; want %v, %v", name, got.Keys, err, row.keys, row.want)
		}
	}
	if _, err := full.Forget(made.Add(time.Hour + account.PassKept - 1)); err != chat.ErrUnchanged {
		t.Error("a pass is forgotten too early:", err)
	}
	if _, err := (account.Pass{}).Forget(made); err != chat.ErrUnchanged {
		t.Error("no pass is forgotten:", err)
	}
	if p, err := full.Forget(made.Add(time.Hour + account.PassKept)); err != nil || !p.Gone || p.Keys != nil {
		t.Errorf("a pass is not forgotten: %+v, %v", p, err)
	}
}

func TestNewPass(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	if p, err := account.NewPass(0, 0, now); err != nil || p.Uses != 1 || !p.Until.Equal(now.Add(chat.PassTTL)) {
		t.Errorf("%+v, %v", p, err)
	}
	for _, row := range []struct {
		uses int
		ttl  time.Duration
	}{{-1, 0}, {chat.MaxUses + 1, 0}, {1, -1}, {1, time.Millisecond}, {1, account.MaxPassTTL + 1}} {
		if _, err := account.NewPass(row.uses, row.ttl, now); !errors.Is(err, &chat.Error{Code: chat.Arguments}) {
			t.Errorf("%+v: %v", row, err)
		}
	}
}

func TestAPassTakesOneName(t *testing.T) {
	p, err := account.NewPass(2, time.Hour, noon)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		key  string
		u    chat.User
		want error
	}{{"A", "ann", nil}, {"A", "ann", chat.ErrUnchanged}, {"A", "bea", account.ErrPassUsed}, {"B", "bea", nil}} {
		if p, err = p.Use(step.key, step.u, noon); step.want == nil && err != nil {
			t.Errorf("%s asks for %s: %v", step.key, step.u, err)
		}
		if p, err = p.Take(step.key, step.u); err != step.want {
			t.Errorf("%s takes %s: %v", step.key, step.u, err)
		}
	}
	if _, err := p.Use("A", "bea", noon); err != account.ErrPassUsed {
		t.Errorf("another name: %v", err)
	}
	if _, err := p.Use("A", "ann", noon); err != chat.ErrUnchanged {
		t.Errorf("the same name: %v", err)
	}
}

func TestRevokedPass(t *testing.T) {
	made := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	fresh, err := account.NewPass(2, time.Hour, made)
	if err != nil {
		t.Fatal(err)
	}
	used, err := fresh.Use("A", "ann", made)
	if err != nil {
		t.Fatal(err)
	}
	now := made.Add(time.Minute)
	revoked, err := used.Revoke(now)
	if err != nil || !slices.Equal(revoked.Keys, []string{"A"}) {
		t.Fatalf("%+v, %v", revoked, err)
	}
	if _, err := revoked.Use("B", "ben", now); err != account.ErrPassOver {
		t.Errorf("it lets somebody in: %v", err)
	}
	if _, err := revoked.Revoke(now); err != chat.ErrUnchanged {
		t.Errorf("twice: %v", err)
	}
	for _, none := range []account.Pass{{}, {Gone: true}} {
		if _, err := none.Revoke(now); !errors.Is(err, &chat.Error{Code: chat.NothingToDo}) {
			t.Errorf("%+v: %v", none, err)
		}
	}
}
