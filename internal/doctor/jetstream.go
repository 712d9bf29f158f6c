package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/internal/setup"
)

const fixJetStream = "Each server needs jetstream { store_dir: … } in its configuration, and the account CHAT needs JetStream\nlimits in its JWT, as accounts.conf of chatcoord init has them. max_file_store of a single server must be at\nleast what all accounts may store."

// jetStream checks limits and streams.
func (e *exam) jetStream(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*answerTimeout)
	defer cancel()
	js, err := jetstream.New(e.conns[setup.Store.Name])
	if err != nil {
		e.fail("JetStream", fixJetStream, "%v", err)
		return
	}
	info, err := js.AccountInfo(ctx)
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, nats.ErrNoResponders):
		e.fail("JetStream", fixJetStream, "the server has none")
		return
	case errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		e.fail("JetStream", fixJetStream, "the account of the chats has none")
		return
	case err != nil:
		e.fail("JetStream", "Most servers of a cluster must run.", "no answer: %s", broker.Plainly(err))
		return
	}
	replicas := e.replicas()
	e.limits(info, replicas)
	e.streams(ctx, js, replicas)
}

// replicas is how many there can be of each stream.
func (e *exam) replicas() int {
	if e.conns[setup.Store.Name].ConnectedClusterName() == "" {
		return 1
	}
	return 3
}

// limits compares what the account may store with what the streams may take.
func (e *exam) limits(info *jetstream.AccountInfo, replicas int) {
	need := int64(0)
	for _, cfg := range broker.StreamConfigs(jetstream.FileStorage, replicas) {
		need += cfg.MaxBytes * int64(cfg.Replicas)
	}
	have := info.Limits.MaxStore
	if have >= 0 && have < need {
		e.fail("JetStream", "Raise the disk limit of the account CHAT and have its JWT signed anew.",
			"the account may store %s, and the streams may take %s", size(have), size(need))
		return
	}
	if n := info.Limits.MaxStreams; n >= 0 && n < len(broker.StreamConfigs(jetstream.FileStorage, replicas)) {
		e.fail("JetStream", "Raise the stream limit of the account CHAT.", "the account may have %d streams", n)
		return
	}
	if have < 0 {
		e.ok("JetStream", "no limit; the streams may take %s", size(need))
		return
	}
	e.ok("JetStream", "the account may store %s, the streams may take %s", size(have), size(need))
}

// streams compares those that are there with what would be made.
func (e *exam) streams(ctx context.Context, js jetstream.JetStream, replicas int) {
	before, missing, need := len(e.findings), 0, int64(0)
	wanted := broker.StreamConfigs(jetstream.FileStorage, replicas)
	for _, want := range wanted {
		s, err := js.Stream(ctx, want.Name)
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			missing++
			need += want.MaxBytes
		case err != nil:
			e.fail("streams", "Most servers of a cluster must run.", "%s does not answer: %s", want.Name, broker.Plainly(err))
		default:
			e.stream(s.CachedInfo().Config, want)
		}
	}
	e.room(need)
	switch {
	case len(e.findings) > before:
	case missing == len(wanted):
		e.ok("streams", "none yet: a coordinator makes them when it starts, with %s", count(replicas, "replica", "replicas"))
	case missing > 0:
		e.warn("streams", "Start a coordinator: it makes what is missing.", "%d of %d are missing", missing, len(wanted))
	default:
		e.ok("streams", "%d, with %s", len(wanted), count(replicas, "replica", "replicas"))
	}
}

// room looks whether servers have it for what is stored, and for streams that are yet to be
// made. What other accounts store there counts as well.
func (e *exam) room(need int64) {
	const fix = "Raise max_file_store in the configuration of the server (nats-server --signal reload), or remove what others keep there."
	for _, s := range e.servers {
		if s.JetStream == nil {
			continue
		}
		most, used, taken := s.JetStream.MaxStore, s.Stored.Used, max(s.Stored.Used, s.Stored.Reserved)
		switch {
		case used > most:
			e.fail("room", fix, "%s keeps all that it may, %s: nothing more is stored there", s.Name, size(most))
		case need > 0 && taken+need > most:
			e.fail("room", fix, "%s may keep %s, of which %s are taken or reserved, and the streams that are missing may take %s", s.Name, size(most), size(taken), size(need))
		}
	}
}

// stream judges one. Limits are the operator's, as long as the state is safe.
func (e *exam) stream(have, want jetstream.StreamConfig) {
	fix := func(change string) string { return fmt.Sprintf("nats stream edit %s %s", have.Name, change) }
	foreign := slices.ContainsFunc(have.Subjects, func(s string) bool { return !slices.Contains(want.Subjects, s) })
	switch {
	case !foreign && len(have.Subjects) < len(want.Subjects):
		e.warn("streams", "Start a coordinator of this version: it adds what is missing.", "%s is of an earlier version", have.Name)
	case foreign:
		e.fail("streams", "Another program uses the name: give natter an account of its own.", "%s keeps %s instead of %s",
			have.Name, strings.Join(have.Subjects, " "), strings.Join(want.Subjects, " "))
	case max(have.MaxMsgsPerSubject, 0) != want.MaxMsgsPerSubject: // without a limit the server says -1
		e.fail("streams", fix(fmt.Sprintf("--max-msgs-per-subject=%d", want.MaxMsgsPerSubject)), "%s keeps %d messages per subject, not %d",
			have.Name, have.MaxMsgsPerSubject, want.MaxMsgsPerSubject)
	case have.Discard != want.Discard:
		e.fail("streams", fix("--discard="+strings.ToLower(strings.TrimPrefix(want.Discard.String(), "Discard"))), "%s discards %s when it is full", have.Name, have.Discard)
	case have.MaxAge > 0 && want.MaxAge == 0:
		e.fail("streams", fix("--max-age=0"), "%s forgets records after %s", have.Name, have.MaxAge)
	case !have.AllowDirect:
		e.fail("streams", fix("--allow-direct"), "%s cannot be read directly", have.Name)
	}
	if have.Storage != want.Storage && have.Name != broker.AuditStream {
		e.warn("streams", "Delete the stream while no coordinator runs: it is made anew, and all names and chats are lost.", "%s is in memory: a restart of the server loses it", have.Name)
	}
	if have.Replicas < want.Replicas {
		e.warn("streams", fix(fmt.Sprintf("--replicas=%d", want.Replicas)), "%s has %s in a cluster: one dead server stops it",
			have.Name, count(have.Replicas, "replica", "replicas"))
	}
	if have.MaxBytes > 0 && have.MaxBytes < want.MaxBytes || have.MaxMsgs > 0 && have.MaxMsgs < want.MaxMsgs {
		e.warn("streams", fix(fmt.Sprintf("--max-bytes=%d --max-msgs=%d", want.MaxBytes, want.MaxMsgs)), "%s is smaller than it is made", have.Name)
	}
}

func size(n int64) string {
	const mib = 1 << 20
	if n < 1024*mib {
		return fmt.Sprintf("%d MiB", n/mib)
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1024*mib))
}
