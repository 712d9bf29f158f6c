package broker_test

import (
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/broker/brokertest"
	"natter/chat"
)

// TestStreamsOfAnEarlierRelease get what they did not keep, and keep what was changed.
func TestStreamsOfAnEarlierRelease(t *testing.T) {
	srv := brokertest.Run(t)
	nc := brokertest.Dial(t, srv, chat.StoringGrant(), chat.StoreInbox)
	js, err := jetstream.New(nc.Conn)
	if err != nil {
		t.Fatal(err)
	}
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: broker.LiveStream, Subjects: []string{"natter.state.session.*", "natter.state.more.*"},
		Storage: jetstream.MemoryStorage, MaxMsgsPerSubject: 1, MaxMsgs: 42,
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := broker.EnsureStreams(t.Context(), js, jetstream.MemoryStorage, 1); err != nil {
			t.Fatal(err)
		}
		s, err := js.Stream(t.Context(), broker.LiveStream)
		if err != nil {
			t.Fatal(err)
		}
		cfg := s.CachedInfo().Config
		want := []string{"natter.state.session.*", "natter.state.more.*", "natter.state.user.*", "natter.state.ban.*", "natter.state.revoked.*", "natter.state.pass.*", "natter.state.mark.load"}
		if !slices.Equal(cfg.Subjects, want) || cfg.MaxMsgs != 42 {
			t.Errorf("keeps %v, at most %d", cfg.Subjects, cfg.MaxMsgs)
		}
	}
}
