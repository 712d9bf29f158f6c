package external_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natter/broker"
	"natter/broker/brokertest"
	"natter/broker/embedded"
	"natter/broker/ticket"
	"natter/chat"
	"natter/internal/doctor"
	"natter/internal/setup"
)

// examine runs doctor on an installation.
func (in *installation) examine() []doctor.Finding {
	in.t.Helper()
	return doctor.Examine(in.t.Context(), doctor.Config{URLs: in.urls, Keys: in.keys()})
}

func (in *installation) keys() *setup.Keys {
	in.t.Helper()
	keys, err := setup.Open(in.dir)
	if err != nil {
		in.t.Fatal(err)
	}
	return keys
}

// creds writes other credentials into the place of a role's.
func (in *installation) creds(r setup.Role, g chat.Grant) {
	in.t.Helper()
	in.credsFor(r, func(string) chat.Grant { return g })
}

func (in *installation) credsFor(r setup.Role, g func(key string) chat.Grant) {
	in.t.Helper()
	creds, err := in.keys().Minter.NewCredsFor(g, 0, time.Now())
	if err != nil {
		in.t.Fatal(err)
	}
	text, err := ticket.FormatCreds(creds.JWT, creds.Key)
	if err != nil {
		in.t.Fatal(err)
	}
	write(in.t, filepath.Join(in.dir, r.File()), string(text))
}

// without removes a block of the server's configuration.
func (in *installation) without(block string) {
	in.t.Helper()
	path := in.confs()[0]
	text, err := os.ReadFile(path)
	if err != nil {
		in.t.Fatal(err)
	}
	cut := regexp.MustCompile(`(?ms)^`+block+`: \{.*?^\}`).ReplaceAllString(string(text), "")
	cut = regexp.MustCompile(`(?m)^STATE: .*$`).ReplaceAllString(cut, "") // a name that nothing uses is an error
	if cut == string(text) {
		in.t.Fatalf("%s has no block %s", path, block)
	}
	write(in.t, path, cut)
}

// found fails unless there is a finding of a check and level that says something.
func found(t *testing.T, findings []doctor.Finding, level doctor.Level, check, says string) {
	t.Helper()
	if !slices.ContainsFunc(findings, func(f doctor.Finding) bool {
		return f.Level == level && f.Check == check && strings.Contains(f.Text, says) && (f.Fix != "" || level == doctor.OK)
	}) {
		t.Errorf("no %s %s %q in %+v", level, check, says, findings)
	}
}

// TestDoctorFindsFaults plants a fault in each installation before its server starts.
func TestDoctorFindsFaults(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		plant func(in *installation)
		level doctor.Level
		check string
		says  string
	}{
		"too wide a grant": {func(in *installation) {
			in.creds(setup.Tap, chat.Grant{Subscribe: append(chat.TappingGrant().Subscribe, "chat.coord.>")})
		}, doctor.Fail, "grants", "tap.creds has a right that nobody should have there: subscribe chat.coord.>"},
		"all rights": {func(in *installation) {
			in.creds(setup.Tap, chat.Grant{Subscribe: []string{">"}})
		}, doctor.Fail, "grants", "tap.creds has a right that nobody should have there: subscribe >"},
		"too small a grant": {func(in *installation) {
			in.creds(setup.Answer, chat.Grant{Publish: chat.AnsweringGrant().Publish, Subscribe: []string{"chat.coord.>"}})
		}, doctor.Fail, "grants", "coord.creds lacks a right: subscribe chat.lobby.>"},
		"an observer in queue groups": {func(in *installation) {
			in.credsFor(setup.Observer, func(key string) chat.Grant {
				g := chat.ObserverGrant(chat.ObserverInbox(key))
				g.DenySubscribe = nil
				return g
			})
		}, doctor.Fail, "grants", "observer.creds has a right that nobody should have there: subscribe, not denied, > >"},
		"no JetStream": {func(in *installation) {
			in.without("jetstream")
		}, doctor.Fail, "JetStream", "has no JetStream"},
		"default sync": {func(in *installation) {
			in.change("nats.conf", "sync_interval: always", "")
		}, doctor.Warn, "sync", "every 2m0s"},
		"connections that present nothing": {func(in *installation) {
			in.change("nats.conf", "timeout: 10", "timeout: 30")
		}, doctor.Warn, "strangers", "keeps connections that present nothing for 30 s"},
		"not the system account": {func(in *installation) {
			in.creds(setup.System, chat.SystemGrant(in.keys().ChatID))
		}, doctor.Fail, "system account", "sys.creds"},
		"events of another account": {func(in *installation) {
			in.creds(setup.System, chat.SystemGrant(in.keys().ChatID))
		}, doctor.Fail, "system account", "no server answers"},
		"no sentinel": {func(in *installation) {
			in.change("accounts.conf", "default_sentinel:", "# default_sentinel:")
		}, doctor.Warn, "lobby", "with sentinel.jwt one does"},
		"no sentinel at all": {func(in *installation) {
			in.change("accounts.conf", "default_sentinel:", "# default_sentinel:")
			in.remove("sentinel.jwt")
		}, doctor.Fail, "lobby", "nobody gets in"},
		"no operator signing key": {func(in *installation) {
			in.remove("operator-signing.nk")
		}, doctor.Warn, "revocation", "until it expires"},
		"another's signing key": {func(in *installation) {
			in.copy(plan(in.t, 1), "signing.nk")
		}, doctor.Fail, "tickets", "refused"},
		"another's credentials": {func(in *installation) {
			in.copy(plan(in.t, 1), "tap.creds")
		}, doctor.Fail, "credentials", "tap.creds is refused"},
		"little room": {func(in *installation) {
			in.relimit(1 << 20)
		}, doctor.Fail, "JetStream", "may store 1 MiB"},
		"no forwarding": {func(in *installation) {
			in.resign(0, func(i *ticket.Installation) {
				other, err := ticket.NewInstallation()
				if err != nil {
					in.t.Fatal(err)
				}
				i.Lobby = other.Lobby // which the servers do not know
			})
		}, doctor.Fail, "forwarding", "direct messages do not arrive"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := plan(t, 1)
			test.plant(in)
			found(t, in.run().examine(), test.level, test.check, test.says)
		})
	}
}

func (in *installation) remove(file string) {
	in.t.Helper()
	if err := os.Remove(filepath.Join(in.dir, file)); err != nil {
		in.t.Fatal(err)
	}
}

func (in *installation) copy(from *installation, file string) {
	in.t.Helper()
	text, err := os.ReadFile(filepath.Join(from.dir, file))
	if err != nil {
		in.t.Fatal(err)
	}
	write(in.t, filepath.Join(in.dir, file), string(text))
}

func TestDoctorReachesNothing(t *testing.T) {
	t.Parallel()
	found(t, plan(t, 1).examine(), doctor.Fail, "reach", "Cannot reach")
}

// TestDoctorJudgesStreams changes streams as somebody might with the nats CLI.
func TestDoctorJudgesStreams(t *testing.T) {
	t.Parallel()
	in := plan(t, 1).run()
	in.coordinator().kill()
	nc, err := in.keys().Dial(in.urls, setup.Store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	edit := func(name string, change func(*jetstream.StreamConfig)) {
		t.Helper()
		s, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		cfg := s.CachedInfo().Config
		change(&cfg)
		if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	edit(broker.LiveStream, func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour })
	edit(broker.AccountsStream, func(c *jetstream.StreamConfig) { c.MaxBytes = 1 << 20 })
	if err := js.DeleteStream(t.Context(), broker.AuditStream); err != nil {
		t.Fatal(err)
	}
	findings := in.examine()
	found(t, findings, doctor.Fail, "streams", "LIVE forgets records after 1h0m0s")
	found(t, findings, doctor.Warn, "streams", "ACCOUNTS is smaller")
}

// TestDoctorSeesFewReplicas: streams of one server that has become a cluster.
func TestDoctorSeesFewReplicas(t *testing.T) {
	t.Parallel()
	in := plan(t, 3).run()
	in.coordinator().kill()
	nc, err := in.keys().Dial(in.urls, setup.Store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), broker.MailboxesStream)
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	cfg.Replicas = 1
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	found(t, in.examine(), doctor.Warn, "streams", "MAILBOXES has 1 replica in a cluster")
}

// TestDoctorOfTheEmbeddedServer examines one that runs in this process.
func TestDoctorOfTheEmbeddedServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := brokertest.RunConfig(t, embedded.Config{DataDir: dir})
	text, code := verb(t, "doctor", "--server", srv.URL(), "--data-dir", dir)
	if code != 0 || strings.Contains(text, "FAIL") || strings.Contains(text, "warn") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	srv.Stop()
	text, code = verb(t, "doctor", "--server", srv.URL(), "--data-dir", dir)
	if code != 1 || !strings.Contains(text, "FAIL  reach: Cannot reach") || !strings.Contains(text, "          Start the NATS server") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
}

// relimit signs CHAT anew with another limit.
func (in *installation) relimit(store int64) { in.resign(store, func(*ticket.Installation) {}) }

// resign signs CHAT anew after a change of what the installation consists of.
func (in *installation) resign(store int64, change func(*ticket.Installation)) {
	in.t.Helper()
	ids := &ticket.Installation{}
	for _, slot := range ids.Keys() {
		name := slot.Name + ".nk"
		if slot.Name == "chat-signing" {
			name = "signing.nk"
		}
		*slot.Key = readKey(in.t, filepath.Join(in.dir, name))
	}
	change(ids)
	jwts, err := ids.JWTs(ticket.Limits{Store: store})
	if err != nil {
		in.t.Fatal(err)
	}
	for _, a := range jwts.Accounts {
		if a.Name != "CHAT" {
			continue
		}
		path := filepath.Join(in.dir, "accounts.conf")
		text, err := os.ReadFile(path)
		if err != nil {
			in.t.Fatal(err)
		}
		write(in.t, path, regexp.MustCompile(a.PublicKey+`: \S+`).ReplaceAllString(string(text), a.PublicKey+": "+a.JWT))
	}
}
