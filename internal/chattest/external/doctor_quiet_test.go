package external_test

import (
	"strings"
	"testing"

	"natter/internal/doctor"
)

// TestDoctorIsQuiet: what it tries is in nobody's log and on nobody's console, except that it
// was here.
func TestDoctorIsQuiet(t *testing.T) {
	t.Parallel()
	in := plan(t, 1).run()
	coordinator := in.coordinator("--log-level", "info")
	before, _ := coordinator.output()
	for _, f := range in.examine() {
		if f.Level != doctor.OK {
			t.Errorf("%+v", f)
		}
	}
	coordinator.prints("chatcoord doctor examines")
	coordinator.kill()
	after, _ := coordinator.output()
	said := strings.TrimPrefix(after, before)
	if lines := strings.Split(strings.TrimSpace(said), "\n"); len(lines) != 1 || !strings.HasSuffix(lines[0], "chatcoord doctor examines the NATS server") {
		t.Errorf("the coordinator says\n%s", said)
	}
	in.servers[0].kill()
	text, _ := in.servers[0].output()
	for line := range strings.Lines(text) {
		if strings.Contains(line, "[ERR]") || strings.Contains(line, "[WRN]") || strings.Contains(line, "iolation") {
			t.Errorf("the server logs %s", line)
		}
	}
}

// TestDoctorOfAnotherNATS: what cannot be used at all is one sentence, and one thing to do.
func TestDoctorOfAnotherNATS(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		start       func(in *installation)
		check, says string
	}{
		"no accounts at all":  {func(in *installation) { in.bare("-js", "-sd", t.TempDir()) }, "operator mode", "is not in operator mode, and natter needs its accounts and tickets. Start it with a configuration that has them: chatcoord init"},
		"users and passwords": {func(in *installation) { in.bare("--user", "a", "--pass", "b") }, "operator mode", "is not in operator mode"},
		"no JetStream": {func(in *installation) {
			in.without("jetstream")
			in.run()
		}, "JetStream", "has no JetStream, and natter keeps its state there. Add a block jetstream"},
		"another operator": {func(in *installation) {
			in.run()
			in.dir = plan(t, 1).dir
		}, "credentials", "accepts none of the credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := plan(t, 1)
			test.start(in)
			findings := in.examine()
			found(t, findings, doctor.Fail, test.check, test.says)
			if len(findings) != 1 {
				t.Errorf("%d findings: %+v", len(findings), findings)
			}
			text, code := verb(t, "--server", in.urls, "--keys", in.dir)
			if code != 4 || test.check != "credentials" && !strings.Contains(text, test.says) {
				t.Errorf("a coordinator ends with %d:\n%s", code, text)
			}
		})
	}
}

// bare starts a server that has nothing of the installation but its address.
func (in *installation) bare(args ...string) {
	in.t.Helper()
	_, port, _ := strings.Cut(strings.TrimPrefix(in.urls, "nats://"), ":")
	start(in.t, natsServer, append(args, "-a", "127.0.0.1", "-p", port)...).prints("Server is ready")
}
