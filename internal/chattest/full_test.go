package chattest_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/chat"
	"natter/internal/chattest"
	"natter/internal/client"
	"natter/internal/coord"
	"natter/session"
)

// A stream at its limit refuses who is new, at once and with a reason; what is there can
// still change.
func TestStreamsAtTheirLimit(t *testing.T) {
	for _, stream := range []string{broker.AccountsStream, broker.LiveStream} {
		for limit, lower := range map[string]func(*jetstream.StreamConfig, jetstream.StreamState){
			"messages": func(c *jetstream.StreamConfig, s jetstream.StreamState) { c.MaxMsgs = int64(s.Msgs) },
			"bytes":    func(c *jetstream.StreamConfig, s jetstream.StreamState) { c.MaxBytes = int64(s.Bytes) },
		} {
			t.Run(stream+" "+limit, func(t *testing.T) {
				in := chattest.Run(t)
				alice, bob := in.User("alice"), in.User("bob")
				if stream == broker.AccountsStream {
					chattest.Chat(alice, bob)
				}
				limitStream(t, in, stream, lower)
				carol, err := client.Dial(t.Context(), client.Config{URL: in.Server.URL()})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(carol.Close)
				begun := time.Now()
				_, err = carol.Enter(t.Context(), "carol")
				if took := time.Since(begun); took > 2*time.Second {
					t.Errorf("answered after %s", took)
				}
				chattest.Code(t, err, chat.Full)
				if err.Error() != broker.ErrNoRoom.Text {
					t.Errorf("carol is told %q", err)
				}
				if err := alice.SetPresence(t.Context(), false); err != nil && stream == broker.LiveStream && limit == "messages" {
					t.Errorf("alice hides: %v", err)
				}
				if stream == broker.AccountsStream {
					if err := alice.Say("hello"); err != nil {
						t.Error(err)
					}
					chattest.Wait[chattest.Text](bob)
					if err := alice.Quit(t.Context()); err != nil {
						t.Error(err)
					}
					chattest.Wait[session.Ended](bob)
				}
			})
		}
	}
}

func limitStream(t *testing.T, in *chattest.Installation, stream string, lower func(*jetstream.StreamConfig, jetstream.StreamState)) {
	t.Helper()
	links, err := coord.Embed(in.Server)
	if err != nil {
		t.Fatal(err)
	}
	defer links.Close()
	js, err := jetstream.New(links.Store)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	lower(&cfg, s.CachedInfo().State)
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}
