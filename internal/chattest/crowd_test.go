package chattest_test

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"natter/broker/rpc"
	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/internal/coord"
	"natter/session"
)

// TestACrowdInvites: 25 users of one address invite somebody at the same moment and then as fast
// as they may, and take it back. The receiver is shown a few, is told once how many were held back, and somebody
// at another address still gets through.
func TestACrowdInvites(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere 127.0.0.2 is no address of this computer")
	}
	in := chattest.Run(t, func(c *coord.Config) { quiet(c); c.Limits = rpc.Limits{Invites: 100} })
	alice := in.User("alice")
	var crowd []*chattest.User
	for i := range 25 {
		crowd = append(crowd, in.User(fmt.Sprintf("mike%c", 'a'+i)))
	}
	var all sync.WaitGroup
	for _, mike := range crowd {
		all.Go(func() {
			for range 4 {
				s, err := mike.Invite(t.Context(), "alice")
				if err != nil {
					if !errors.Is(err, &chat.Error{Code: chat.Rate}) {
						t.Errorf("%s invites: %v", mike.Me(), err)
					}
					continue
				}
				if err := mike.Withdraw(t.Context(), s.ID); err != nil {
					t.Errorf("%s withdraws: %v", mike.Me(), err)
				}
			}
		})
	}
	all.Wait()
	bob := chattest.Dial(t, client.Config{URL: in.Server.URL(), Log: in.Config.Log, Options: []nats.Option{fromElsewhere()}}, "bob")
	if _, err := bob.Invite(t.Context(), "alice"); err != nil {
		t.Errorf("bob invites: %v", err)
	}
	shown, told := 0, 0
	chattest.Until(alice, "how many were held back", func(e client.Event) bool {
		switch e := e.(type) {
		case session.Invited:
			shown++
		case client.InvitationsHeld:
			told = e.N
			return true
		}
		return false
	})
	if shown < 2 || shown > 15 || told < 100-15 {
		t.Errorf("%d are shown, and %d held back", shown, told)
	}
}
