//go:build faults

package faults_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/broker/embedded"
	"natter/chat"
	"natter/internal/setup"
	"natter/presence"
)

// idleIn is how soon after everybody has gone an installation uses what it did before the
// first came: what belonged to a coordinator that was killed is kept for half a minute.
const idleIn = 45 * time.Second

// buriedIn is how long a tombstone may lie in the stream: a minute, for replicas that are
// behind, and as long as a coordinator that is dead takes to come back and read it.
const buriedIn = 100 * time.Second

// leeway is how much more of each kind may be in use than by a fresh one; of others it is
// nothing. Idle servers vary by so much: measuring and what the server does now and then
// take up to twelve goroutines, and eight users leave two each, if they leave any.
var leeway = map[string]float64{"goroutines": 14, "fds": 6, "MB": 24}

// use is how much of what an installation uses, by who and kind.
type use map[string]float64

// fresh measures an installation that nobody has used yet. Each coordinator follows the
// state, and those beside each other share one consumer more; what they have read when they
// started is on its way out.
func fresh(t *testing.T, s *servers) use {
	t.Helper()
	s.settled()
	u, err := s.use(t.Context())
	must(t, err)
	u["LIVE: consumers"] = 1
	if len(s.replicas) > 0 {
		u["LIVE: consumers"] = float64(len(s.replicas)) + 1
	}
	return u
}

// left says what is still used beyond what a fresh one does, and some leeway.
func (u use) left(fresh use, leeway map[string]float64) []string {
	var found []string
	for _, of := range slices.Sorted(maps.Keys(u)) {
		_, kind, _ := strings.Cut(of, ": ")
		if may := fresh[of] + leeway[kind]; u[of] > may {
			found = append(found, fmt.Sprintf("%s: %.0f, at most %.0f when idle", of, u[of], may))
		}
	}
	return found
}

// idle fails unless an installation that everybody has left uses what a fresh one does.
func idle(t *testing.T, s *servers, fresh use, leeway map[string]float64) {
	t.Helper()
	idleWithin(t, s, fresh, leeway, idleIn)
}

func idleWithin(t *testing.T, s *servers, fresh use, leeway map[string]float64, within time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	began := time.Now()
	for {
		once, cancel := context.WithTimeout(context.Background(), askFor)
		now, err := s.use(once)
		cancel()
		left := now.left(fresh, leeway)
		if err == nil && len(left) == 0 {
			t.Logf("idle %s after everybody has left", time.Since(began).Round(time.Millisecond))
			return
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			t.Errorf("%s after everybody has left: %s (%v): %v; fresh: %v", within, strings.Join(left, "; "), err, now, fresh)
			return
		}
	}
}

// leave has everybody sign out, or all but one where a leak is planted.
func leave(t *testing.T, all []*user) {
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	if *plant == "leak" {
		all = all[1:]
	}
	for _, u := range all {
		if c := u.client(); c != nil {
			if err := c.Exit(ctx); err != nil {
				t.Errorf("%s does not get out: %v", u.name, err)
			}
		}
	}
}

// use measures everything.
func (s *servers) use(ctx context.Context) (use, error) {
	u := use{}
	var failed error
	for _, p := range s.all() {
		failed = errors.Join(failed, p.use(ctx, u))
	}
	keys, err := s.keyring()
	if err != nil {
		return u, errors.Join(failed, err)
	}
	return u, errors.Join(failed, s.ofServers(ctx, keys, u), s.ofStreams(ctx, keys, u))
}

func (s *servers) keyring() (*setup.Keys, error) {
	if s.keys != "" {
		return setup.Open(s.keys)
	}
	ids, err := embedded.Identities(s.data)
	if err != nil {
		return nil, err
	}
	return setup.Derive(ids, time.Now())
}

// use asks a coordinator for its figures, and the system for those of a NATS server, whose
// files are counted together: which of them has a connection or leads is chance.
func (p *program) use(ctx context.Context, u use) error {
	if p.web != "" {
		return p.figures(ctx, u)
	}
	proc := fmt.Sprintf("/proc/%d/", p.cmd.Process.Pid)
	if files, err := os.ReadDir(proc + "fd"); err == nil {
		u["NATS servers: fds"] += float64(len(files))
	}
	if text, err := os.ReadFile(proc + "statm"); err == nil {
		pages, _ := strconv.Atoi(strings.Fields(string(text))[1])
		u[p.name+": MB"] = float64(pages*os.Getpagesize()) / (1 << 20)
	}
	return nil
}

func (p *program) figures(ctx context.Context, u use) error {
	page, err := p.page(ctx, "/metrics")
	if err != nil {
		return err
	}
	defer page.Close()
	return p.read(page, u)
}

// page is one of a coordinator's pages.
func (p *program) page(ctx context.Context, path string) (io.ReadCloser, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.web+path, nil)
	if err != nil {
		return nil, err
	}
	q.Close = true
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return nil, err
	}
	return r.Body, nil
}

// goroutines is what a coordinator does at the moment, if it runs.
func (p *program) goroutines(ctx context.Context) string {
	if p.web == "" {
		return ""
	}
	page, err := p.page(ctx, "/debug/pprof/goroutine?debug=1")
	if err != nil {
		return err.Error()
	}
	defer page.Close()
	text, err := io.ReadAll(page)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (p *program) read(figures io.Reader, u use) error {
	lines := bufio.NewScanner(figures)
	for lines.Scan() {
		name, text, _ := strings.Cut(lines.Text(), " ")
		n, _ := strconv.ParseFloat(text, 64)
		switch name {
		case "go_goroutines":
			u[p.name+": goroutines"] = n
		case "process_open_fds":
			u[p.name+": fds"] = n
		case "process_resident_memory_bytes":
			u[p.name+": MB"] = n / (1 << 20)
		}
	}
	return lines.Err()
}

// ofServers asks the NATS servers for what they have, over the system account.
func (s *servers) ofServers(ctx context.Context, keys *setup.Keys, u use) error {
	nc, err := keys.Dial(strings.Join(s.addresses, ","), setup.System, nats.MaxReconnects(0))
	if err != nil {
		return err
	}
	defer nc.Close()
	err = s.askAll(ctx, nc, "VARZ", "", func(data json.RawMessage) {
		var has struct{ Connections float64 }
		_ = json.Unmarshal(data, &has)
		u["NATS servers: connections"] += has.Connections
	})
	if err != nil || s.keys == "" { // the goroutines of an embedded one are its coordinator's
		return err
	}
	return s.askAll(ctx, nc, "PROFILEZ", `{"name":"goroutine","debug":1}`, func(data json.RawMessage) {
		var has struct{ Profile []byte }
		_ = json.Unmarshal(data, &has)
		first, _, _ := bytes.Cut(has.Profile, []byte("\n"))
		n, _ := strconv.ParseFloat(string(bytes.TrimPrefix(first, []byte("goroutine profile: total "))), 64)
		u["NATS servers: goroutines"] += n
	})
}

// askAll puts a question to every NATS server.
func (s *servers) askAll(ctx context.Context, nc *nats.Conn, what, q string, answered func(json.RawMessage)) error {
	inbox := nc.NewRespInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err == nil {
		err = nc.PublishRequest("$SYS.REQ.SERVER.PING."+what, inbox, []byte(q))
	}
	for range s.addresses {
		if err != nil {
			return fmt.Errorf("ask for %s: %w", what, err)
		}
		var m *nats.Msg
		if m, err = sub.NextMsgWithContext(ctx); err == nil {
			var has struct{ Data json.RawMessage }
			err = json.Unmarshal(m.Data, &has)
			answered(has.Data)
		}
	}
	return err
}

// ofStreams reads what is stored, and counts who reads it.
func (s *servers) ofStreams(ctx context.Context, keys *setup.Keys, u use) error {
	nc, err := keys.Dial(strings.Join(s.addresses, ","), setup.Store, nats.MaxReconnects(0))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	for _, name := range []string{broker.AccountsStream, broker.LiveStream, broker.MailboxesStream, broker.AuditStream} {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			return fmt.Errorf("ask for %s: %w", name, err)
		}
		state := stream.CachedInfo().State
		names := stream.ConsumerNames(ctx)
		u[name+": consumers"] = 0
		for range names.Name() {
			u[name+": consumers"]++
		}
		if err := names.Err(); err != nil {
			return fmt.Errorf("ask who reads %s: %w", name, err)
		}
		if name == broker.MailboxesStream {
			u[name+": stored"] = float64(state.Msgs)
		}
		if name == broker.LiveStream {
			if err := records(ctx, stream, u); err != nil {
				return err
			}
		}
	}
	return nil
}

// records counts who is here and what goes on, and tombstones that should not lie there any
// more.
func records(ctx context.Context, stream jetstream.Stream, u use) error {
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(chat.StateRoot+".>"))
	if err != nil {
		return err
	}
	for subject := range info.State.Subjects {
		m, err := stream.GetLastMsgForSubject(ctx, subject)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound): // purged meanwhile
		case err != nil:
			return err
		case m.Header.Get(broker.GoneHeader) == "":
			kind, _, _ := strings.Cut(strings.TrimPrefix(subject, chat.StateRoot+"."), ".")
			if kind != "revoked" || !onlyGivenBack(m.Data) {
				u["LIVE: "+kind+"s"]++
			}
		case time.Since(m.Time) > buriedIn:
			u["LIVE: old tombstones"]++
		}
	}
	return nil
}

// onlyGivenBack reports whether a record of void tickets has none but those that users gave back
// when they left, and that have not expired: these stay.
func onlyGivenBack(record []byte) bool {
	var r presence.Revoked
	if err := json.Unmarshal(record, &r); err != nil {
		return false
	}
	for _, v := range r.Keys {
		if !v.Left || time.Now().After(v.Until) {
			return false
		}
	}
	return len(r.Keys) > 0
}
