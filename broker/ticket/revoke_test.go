package ticket_test

import (
	"maps"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"

	"natter/broker/ticket"
	"natter/chat"
)

func TestRevoke(t *testing.T) {
	in, err := ticket.NewInstallation()
	if err != nil {
		t.Fatal(err)
	}
	jwts, err := in.JWTs(ticket.Limits{Store: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	account := ""
	for _, a := range jwts.Accounts {
		if a.Name == "CHAT" {
			account = a.JWT
		}
	}
	at := time.Unix(1000, 0)
	first, err := ticket.Revoke(account, in.OperatorSigning, map[string]time.Time{"A": at, "B": at}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if same, err := ticket.Revoke(first, in.OperatorSigning, map[string]time.Time{"A": at}, []string{"C"}); err != nil || same != first {
		t.Errorf("nothing new to say, and it is signed again: %v", err)
	}
	second, err := ticket.Revoke(first, in.OperatorSigning, map[string]time.Time{"A": at.Add(time.Minute)}, []string{"B"})
	if err != nil {
		t.Fatal(err)
	}
	third, err := ticket.SameRevocations(account, second, in.Operator)
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{"revoked": second, "made anew": third} {
		c, err := jwt.DecodeAccountClaims(text)
		if err != nil || !maps.Equal(c.Revocations, jwt.RevocationList{"A": 1060}) || c.Limits.DiskStorage != 1<<20 {
			t.Errorf("%s: %v, %v", what, c.Revocations, err)
		}
	}
	if _, err := ticket.Revoke("nonsense", in.Operator, nil, nil); err == nil {
		t.Error("nonsense is taken for an account")
	}
}

func TestTicketSaysWhose(t *testing.T) {
	in, err := ticket.NewInstallation()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range []chat.Grant{chat.UserGrant("bob"), chat.MemberGrant("bob", "s"), chat.OperatorGrant()} {
		creds, err := in.ChatMinter().NewCreds(g, time.Hour, time.Now())
		if err != nil || creds.Grant.Holder != g.Holder {
			t.Errorf("%q, want %q, %v", creds.Grant.Holder, g.Holder, err)
		}
	}
}
