package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natter/chat"
)

// The streams. Users hold no right to any of them.
const (
	AccountsStream  = "ACCOUNTS"
	LiveStream      = "LIVE"
	MailboxesStream = "MAILBOXES"
	AuditStream     = "AUDIT"
)

// MarkSubject is where replicas mark the end of what they read: see Log.mark.
const MarkSubject = chat.StateRoot + ".mark.load"

// restoreSubject is marked while a backup is being stored: see Restoring.
const restoreSubject = chat.StateRoot + ".mark.restore"

// streams are the limits under which state is kept. Only the audit log may lose
// its oldest entries by age or for room, and the last ones before a crash.
var streams = []jetstream.StreamConfig{
	{
		Name: AccountsStream, Description: "one record per account",
		Subjects: []string{chat.StateRoot + ".account.*"}, MaxMsgsPerSubject: 1,
		MaxMsgs: 2_000_000, MaxBytes: 256 << 20, MaxMsgSize: 64 << 10, Discard: jetstream.DiscardNew,
	},
	{
		Name: LiveStream, Description: "one record per present user, session, ban and pass",
		Subjects: []string{
			chat.StateRoot + ".user.*", chat.StateRoot + ".session.*",
			chat.StateRoot + ".ban.*", chat.StateRoot + ".revoked.*", chat.StateRoot + ".pass.*", chat.StateRoot + ".clock.*",
			MarkSubject, restoreSubject,
		}, MaxMsgsPerSubject: 1,
		Duplicates: 10 * time.Second, // the log names its records, and never repeats one
		MaxMsgs:    1_000_000, MaxBytes: 256 << 20, MaxMsgSize: 64 << 10, Discard: jetstream.DiscardNew,
	},
	{ // of no age, which a server that starts with a wrong clock would find to be over; see the Service of session/server
		Name: MailboxesStream, Description: "messages that are stored for members until they fetch them",
		Subjects: []string{chat.StateRoot + ".mailbox.*.*.*"},
		MaxMsgs:  1_000_000, MaxBytes: 256 << 20, MaxMsgSize: 128 << 10, Discard: jetstream.DiscardNew,
		MaxMsgsPerSubject: maxStored, DiscardNewPerSubject: true,
	},
	{
		Name: AuditStream, Description: "requests and actions",
		Subjects: []string{chat.AuditAction.Wildcard()[:len("chat.audit.")] + ">"}, MaxAge: 30 * 24 * time.Hour,
		MaxMsgs: 10_000_000, MaxBytes: 256 << 20, MaxMsgSize: 64 << 10, Discard: jetstream.DiscardOld,
		PersistMode: jetstream.AsyncPersistMode,
	},
}

// StreamConfigs are the streams as they are made.
func StreamConfigs(storage jetstream.StorageType, replicas int) []jetstream.StreamConfig {
	made := slices.Clone(streams)
	for i := range made {
		cfg := &made[i]
		cfg.Storage, cfg.Replicas, cfg.AllowDirect = storage, replicas, true
		if storage == jetstream.MemoryStorage || replicas > 1 {
			cfg.PersistMode = jetstream.DefaultPersistMode // the other one is for single files
		}
		if storage == jetstream.MemoryStorage {
			cfg.MaxBytes /= 4
		}
	}
	return made
}

// What a server says that a cluster which is just starting says, too.
const (
	codeNoPeers      jetstream.ErrorCode = 10005
	codeNotAvailable jetstream.ErrorCode = 10008
	codeNotLeader    jetstream.ErrorCode = 10009
	codeNoReplicas   jetstream.ErrorCode = 10074 // it is alone
	codeInProcess    jetstream.ErrorCode = 10158 // the same message is just being stored
)

const (
	ElectFor = 30 * time.Second // how long a cluster may take to agree on leaders
	OneTry   = 2 * time.Second  // how long one try of Retry may take: a server without a leader does not answer at all
)

// EnsureStreams makes the streams that are not there, with as many replicas as are
// wanted if the servers are a cluster, and with one if it is a single server. Those
// that are there stay as they are, because their limits are the operator's to change;
// only what an earlier release did not keep is added to their subjects.
func EnsureStreams(ctx context.Context, js jetstream.JetStream, storage jetstream.StorageType, replicas int) error {
	ctx, cancel := context.WithTimeout(ctx, ElectFor)
	defer cancel()
	for n := range streams {
		err := Retry(ctx, func(ctx context.Context) error {
			err := ensureStream(ctx, js, StreamConfigs(storage, replicas)[n])
			if replicas > 1 && HasCode(err, codeNoReplicas) {
				replicas = 1
				err = ensureStream(ctx, js, StreamConfigs(storage, replicas)[n])
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("make stream %s: %w", streams[n].Name, sentence(err))
		}
	}
	return nil
}

func ensureStream(ctx context.Context, js jetstream.JetStream, cfg jetstream.StreamConfig) error {
	s, err := js.Stream(ctx, cfg.Name)
	if err == nil {
		return addSubjects(ctx, js, s.CachedInfo().Config, cfg.Subjects)
	}
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return err
	}
	cfg.Metadata = map[string]string{installationKey: rand.Text()}
	_, err = js.CreateStream(ctx, cfg)
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return nil // another coordinator was faster
	}
	return err
}

// installationKey is where a stream's metadata has the id of the installation.
const installationKey = "natter-installation"

// Installation is the id of the state that a stream holds: revisions of another one are not
// comparable. It is drawn when the stream is made; where somebody else has made it, the time
// of that tells it from others.
func Installation(info *jetstream.StreamInfo) string {
	if id := info.Config.Metadata[installationKey]; id != "" {
		return id
	}
	return info.Created.UTC().Format(time.RFC3339Nano)
}

// addSubjects has a stream keep what it does not keep yet.
func addSubjects(ctx context.Context, js jetstream.JetStream, have jetstream.StreamConfig, wanted []string) error {
	missing := slices.DeleteFunc(slices.Clone(wanted), func(s string) bool { return slices.Contains(have.Subjects, s) })
	if len(missing) == 0 {
		return nil
	}
	have.Subjects = append(slices.Clone(have.Subjects), missing...)
	_, err := js.UpdateStream(ctx, have)
	return err
}

// Retry tries something with a stream again while nobody serves the stream: a cluster
// that has lost a leader needs seconds for another one. What it tries must be safe to
// repeat. When ctx is done, the error is an *chat.Error with code Timeout, and the last
// one.
func Retry(ctx context.Context, try func(context.Context) error) error {
	for {
		once, cancel := context.WithTimeout(ctx, OneTry)
		err := try(once)
		cancel()
		if err == nil || !passing(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(errNoLeader, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

var errNoLeader = chat.Errorf(chat.Timeout, "JetStream does not answer: most servers of a NATS cluster must run.")

// passing reports whether an error is one of those that go away when a leader is there.
func passing(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrReconnectBufExceeded) ||
		HasCode(err, codeNoPeers, codeNotAvailable, codeNotLeader, codeInProcess)
}

// HasCode reports whether an error of JetStream has one of these codes.
func HasCode(err error, codes ...jetstream.ErrorCode) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && slices.Contains(codes, api.ErrorCode)
}

// sentence explains an error that an operator can resolve.
func sentence(err error) error {
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount), errors.Is(err, nats.ErrNoResponders):
		return chat.Errorf(chat.Internal, "The NATS server has no JetStream for the account of the chats; chatcoord doctor says more.")
	case IsFull(err):
		return chat.Errorf(chat.Internal, "The NATS server has no room left for the streams of the chats; chatcoord doctor says how much they need.")
	case HasCode(err, codeNoPeers):
		return chat.Errorf(chat.Internal, "The NATS cluster has not enough servers with room for the streams; chatcoord doctor says more.")
	case errors.Is(err, context.DeadlineExceeded), HasCode(err, codeNotAvailable, codeNotLeader):
		return errNoLeader
	}
	return err
}
