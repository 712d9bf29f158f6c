package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natter/chat"
)

// The streams. Users hold no right to any of them.
const (
	AccountsStream = "ACCOUNTS"
	LiveStream     = "LIVE"
	ParkedStream   = "PARKED"
	AuditStream    = "AUDIT"
)

// streams are the limits under which state is kept. Only the audit trail may lose
// its oldest entries, and the last ones before a crash.
var streams = []jetstream.StreamConfig{
	{
		Name: AccountsStream, Description: "one record per account",
		Subjects: []string{chat.StateRoot + ".account.*"}, MaxMsgsPerSubject: 1,
		MaxMsgs: 2_000_000, MaxBytes: 256 << 20, MaxMsgSize: 64 << 10, Discard: jetstream.DiscardNew,
	},
	{
		Name: LiveStream, Description: "one record per present user and per session",
		Subjects: []string{chat.StateRoot + ".user.*", chat.StateRoot + ".session.*"}, MaxMsgsPerSubject: 1,
		MaxMsgs: 1_000_000, MaxBytes: 256 << 20, MaxMsgSize: 64 << 10, Discard: jetstream.DiscardNew,
	},
	{
		Name: ParkedStream, Description: "messages that a member has yet to get",
		Subjects: []string{chat.StateRoot + ".parked.*.*.*"}, MaxAge: 24 * time.Hour,
		MaxMsgs: 1_000_000, MaxBytes: 256 << 20, MaxMsgSize: 128 << 10, Discard: jetstream.DiscardNew,
	},
	{
		Name: AuditStream, Description: "requests and actions",
		Subjects: []string{chat.AuditAction.Wildcard()[:len("chat.audit.")] + ">"}, MaxAge: 30 * 24 * time.Hour,
		MaxMsgs: 10_000_000, MaxBytes: 256 << 20, MaxMsgSize: 64 << 10, Discard: jetstream.DiscardOld,
		PersistMode: jetstream.AsyncPersistMode,
	},
}

// EnsureStreams makes the streams that are not there. Those that are stay as they
// are: their limits are the operator's to change.
func EnsureStreams(ctx context.Context, js jetstream.JetStream, storage jetstream.StorageType, replicas int) error {
	for _, cfg := range streams {
		_, err := js.Stream(ctx, cfg.Name)
		if err == nil {
			continue
		}
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("look for stream %s: %w", cfg.Name, err)
		}
		cfg.Storage, cfg.Replicas, cfg.AllowDirect = storage, replicas, true
		if storage == jetstream.MemoryStorage || replicas > 1 {
			cfg.PersistMode = jetstream.DefaultPersistMode // the other one is for single files
		}
		if storage == jetstream.MemoryStorage {
			cfg.MaxBytes /= 4
		}
		if _, err := js.CreateStream(ctx, cfg); err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return fmt.Errorf("make stream %s: %w", cfg.Name, err)
		}
	}
	return nil
}
