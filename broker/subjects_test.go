package broker_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/broker/brokertest"
	"natter/chat"
)

// A stream of an earlier version takes the subjects that it did not have, and nothing
// else about it changes: its limits are the operator's.
func TestOldStreamsTakeNewSubjects(t *testing.T) {
	srv := brokertest.Run(t)
	nc := brokertest.Dial(t, srv, chat.StoringGrant(), chat.StoreInbox)
	js, err := jetstream.New(nc.Conn)
	if err != nil {
		t.Fatal(err)
	}
	all := broker.StreamConfigs(jetstream.MemoryStorage, 1)
	at := slices.IndexFunc(all, func(c jetstream.StreamConfig) bool { return c.Name == broker.LiveStream })
	old := all[at]
	old.Subjects, old.MaxBytes = []string{chat.StateRoot + ".user.*", chat.StateRoot + ".more.*"}, 1<<20
	old.MaxMsgs = 42
	if _, err := js.CreateStream(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), chat.StateRoot+".user.alice", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := broker.EnsureStreams(t.Context(), js, jetstream.MemoryStorage, 1); err != nil {
			t.Fatal(err)
		}
	}
	s, err := js.Stream(t.Context(), broker.LiveStream)
	if err != nil {
		t.Fatal(err)
	}
	info := s.CachedInfo()
	slices.Sort(info.Config.Subjects)
	want := slices.Sorted(slices.Values(append(slices.Clone(all[at].Subjects), chat.StateRoot+".more.*")))
	if !slices.Equal(info.Config.Subjects, want) || info.Config.MaxBytes != 1<<20 || info.Config.MaxMsgs != 42 || info.State.Msgs != 1 {
		t.Errorf("%+v, %+v", info.Config, info.State)
	}
}

// The stream of an earlier build is removed, so that its room can be used, and its records are counted.
func TestTheFormerStreamIsRemoved(t *testing.T) {
	srv := brokertest.Run(t)
	nc := brokertest.Dial(t, srv, chat.StoringGrant(), chat.StoreInbox)
	js, err := jetstream.New(nc.Conn)
	if err != nil {
		t.Fatal(err)
	}
	former := jetstream.StreamConfig{Name: "PARKED", Subjects: []string{chat.StateRoot + ".parked.*.*.*"}, Storage: jetstream.MemoryStorage}
	if _, err := js.CreateStream(t.Context(), former); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), chat.StateRoot+".parked.s.bob.alice", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []uint64{1, 0} {
		if n, err := broker.RemoveFormer(t.Context(), js); err != nil || n != want {
			t.Errorf("%d records were removed, %v; want %d", n, err, want)
		}
	}
	if _, err := js.Stream(t.Context(), former.Name); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("the stream is there: %v", err)
	}
}
