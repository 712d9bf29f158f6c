package client_test

import (
	"testing"

	"natter/client"
	"natter/internal/chattest"
)

// A program that starts again is not taken for one that repeats itself, whatever its clock says.
func TestDirectMessagesOfALaterRun(t *testing.T) {
	in := chattest.Run(t)
	bob := in.User("bob")
	cfg := client.Config{URL: in.Server.URL(), KeyDir: t.TempDir(), Name: "alice", Log: in.Config.Log}
	for _, text := range []string{"hello", "hello again"} {
		alice := chattest.Dial(t, cfg, "alice")
		if err := alice.Direct(t.Context(), "bob", text); err != nil {
			t.Fatal(err)
		}
		if got := chattest.Wait[client.DirectText](bob); got.Text != text {
			t.Errorf("bob hears %q, not %q", got.Text, text)
		}
		if err := alice.Exit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
