package chattest_test

import (
	"testing"

	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
)

// A name that looks like one that is taken is taken, present or not, also after a
// restart; nothing that is suggested looks like one.
func TestLookAlikesAreTaken(t *testing.T) {
	in := chattest.RunIn(t, t.TempDir())
	home := client.Config{URL: in.Server.URL(), Log: in.Config.Log, KeyDir: t.TempDir()}
	alice := chattest.Dial(t, home, "walice")
	in.User("walice2")
	if err := alice.Exit(t.Context()); err != nil {
		t.Fatal(err)
	}
	refused := func() {
		t.Helper()
		stranger := in.Guest()
		for _, n := range []string{"waIice", "wa1ice", "wal-ice", "vvalice", "vva1ice-", "Wal_ice"} {
			_, err := stranger.Enter(t.Context(), n)
			chattest.Code(t, err, chat.Taken)
			free := err.(*chat.Error).Suggestions
			if len(free) != 3 {
				t.Errorf("%v are suggested for %s", free, n)
			}
			for _, s := range free {
				if alike := chat.Skeleton(s); alike == "walice" || alike == "walice2" {
					t.Errorf("%s is suggested for %s", s, n)
				}
			}
		}
	}
	refused()
	_, err := in.Guest().Enter(t.Context(), "r00t")
	chattest.Code(t, err, chat.Reserved)
	in.StopCoordinator()
	in.Start()
	refused()
	chattest.Dial(t, home, "WALICE") // the owner, in another spelling
}
