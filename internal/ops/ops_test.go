package ops

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"natter/broker"
	"natter/broker/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run serves on a free port until the test ends.
func run(t *testing.T, profiles bool) *Server {
	t.Helper()
	s, err := Listen("127.0.0.1:0", profiles)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s
}

func get(t *testing.T, s *Server, path string) (int, string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get(s.URL() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

func TestHealthAndReadiness(t *testing.T) {
	s := run(t, false)
	expect := func(path string, status int, sentence string) {
		t.Helper()
		if code, body := get(t, s, path); code != status || body != sentence+"\n" {
			t.Errorf("%s: %d %q", path, code, body)
		}
	}
	expect("/healthz", 200, "The process works.")
	expect("/readyz", 503, "The coordinator is starting.")
	var why error
	s.Watch(Source{Ready: func() error { return why }})
	expect("/readyz", 200, "The coordinator serves.")
	why = errors.New("The broker is away.")
	expect("/readyz", 503, "The broker is away.")
	expect("/healthz", 200, "The process works.")
	why = nil
	expect("/readyz", 200, "The coordinator serves.")

	var expires time.Time
	s.Watch(Source{Ready: func() error { return why }, Certificate: func() (time.Time, string) { return expires, "The certificate c is good until then" }})
	expect("/readyz", 200, "The coordinator serves.")
	expires = time.Now()
	expect("/readyz", 200, "The coordinator serves.\nThe certificate c is good until then.")
	why = errors.New("The broker is away.")
	expect("/readyz", 503, "The broker is away.\nThe certificate c is good until then.")

	s.Watch(Source{Ready: func() error { return nil }, AtLimit: func() []string { return []string{"ACCOUNTS is at its limit.", "LIVE is at its limit."} }})
	expect("/readyz", 200, "The coordinator serves.\nACCOUNTS is at its limit.\nLIVE is at its limit.")
}

func TestProfilesOnlyIfAskedFor(t *testing.T) {
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/heap"} {
		for profiles, want := range map[bool]int{false: 404, true: 200} {
			if code, _ := get(t, run(t, profiles), path); code != want {
				t.Errorf("%s with profiles %v: %d", path, profiles, code)
			}
		}
	}
}

// A name that resolves to this computer must not open it to a web page.
func TestHostOfRequests(t *testing.T) {
	good := []string{"localhost", "LocalHost:8080", "127.0.0.1", "127.0.0.1:8080", "127.9.9.9:1", "[::1]", "[::1]:8080", "[::ffff:127.0.0.1]:80"}
	bad := []string{
		"", "example.org", "example.org:8080", "localhost.example.org", "127.0.0.1.example.org:80", "xlocalhost", "localhost:80:80", "0.0.0.0:8080", "[::]:8080",
		"192.0.2.1", "[2001:db8::1]:80", "2130706433", "127.1", "user@127.0.0.1",
	}
	paths := []string{"/healthz", "/readyz", "/metrics", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/symbol", "/debug/pprof/heap", "/nothing"}
	status := func(h http.Handler, path, host string) int {
		r := httptest.NewRequest("GET", path, nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	s := run(t, true)
	s.Watch(Source{Ready: func() error { return nil }})
	for _, path := range paths {
		for _, host := range good {
			want := 200
			if path == "/nothing" {
				want = 404
			}
			if got := status(s.http.Handler, path, host); got != want {
				t.Errorf("%s, host %q: %d, want %d", path, host, got, want)
			}
		}
		for _, host := range bad {
			for what, h := range map[string]http.Handler{
				"on loopback": s.http.Handler, "with profiles": s.handler(true, false), "without profiles": s.handler(false, true),
			} {
				if got := status(h, path, host); got != 403 {
					t.Errorf("%s, %s, host %q: %d, want 403", what, path, host, got)
				}
			}
		}
	}
	if got := status(s.handler(false, false), "/metrics", "chat.example.org:8080"); got != 200 {
		t.Errorf("a network's monitoring is answered with %d", got)
	}
}

func TestAddressInUse(t *testing.T) {
	s := run(t, false)
	if _, err := Listen(s.listener.Addr().String(), false); !errors.Is(err, ErrInUse) {
		t.Errorf("error %v", err)
	}
	if _, err := Listen("127.0.0.1:99999", false); err == nil || errors.Is(err, ErrInUse) {
		t.Errorf("error %v", err)
	}
}

// busy is a server that has something to say in every figure.
func busy(t *testing.T) *Server {
	s := run(t, false)
	s.Answered("hello", "ok", time.Millisecond)
	s.Answered("hello", "taken", 2*time.Millisecond)
	s.Committed(time.Millisecond)
	s.Watch(Source{
		Users:     func() (int, int) { return 5, 2 },
		Sessions:  func() (int, int) { return 3, 1 },
		Steps:     func() store.LogMetrics { return store.LogMetrics{Committed: 40, Repeated: 4, Revision: 77} },
		Ignored:   func() uint64 { return 6 },
		Refused:   func() map[string]uint64 { return map[string]uint64{"lists": 12} },
		Lobby:     func() (int, map[string]uint64) { return 13, map[string]uint64{"idle": 14} },
		Minted:    func() uint64 { return 7 },
		Told:      func() uint64 { return 8 },
		Dropped:   func() uint64 { return 9 },
		Connected: func() map[string]bool { return map[string]bool{"store": true, "tap": false} },
		Streams: func() map[string]broker.Usage {
			return map[string]broker.Usage{"LIVE": {Messages: 10, Bytes: 11, Full: true}}
		},

		Certificate: func() (time.Time, string) { return time.Unix(2e9, 0), "" },
	})
	return s
}

func TestFigures(t *testing.T) {
	_, body := get(t, busy(t), "/metrics")
	lines := strings.Split(body, "\n")
	for _, want := range []string{
		"natter_users_online 5", "natter_users_lost 2", "natter_sessions_open 3", "natter_invitations_waiting 1",
		"natter_revision 77", "natter_steps_committed_total 40", "natter_steps_repeated_total 4",
		"natter_requests_ignored_total 6", `natter_requests_limited_total{limit="lists"} 12`, "natter_lobby_connections 13", `natter_lobby_closed_total{reason="idle"} 14`, "natter_tickets_minted_total 7", "natter_notices_sent_total 8",
		"natter_console_lines_dropped_total 9", `natter_broker_connected{link="store"} 1`, `natter_broker_connected{link="tap"} 0`,
		`natter_stream_messages{stream="LIVE"} 10`, `natter_stream_bytes{stream="LIVE"} 11`, `natter_stream_full{stream="LIVE"} 1`, "natter_certificate_expiry_timestamp_seconds 2e+09",
		`natter_requests_total{outcome="ok",route="hello"} 1`, `natter_requests_total{outcome="taken",route="hello"} 1`,
		`natter_request_duration_seconds_count{route="hello"} 2`, "natter_commit_duration_seconds_count 1",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %q", want)
		}
	}
	for _, part := range []string{"\ngo_goroutines ", "\nprocess_start_time_seconds "} {
		if !strings.Contains(body, part) {
			t.Errorf("nothing about%s", part)
		}
	}
}

// While nothing is there to ask, what does not depend on it is answered.
func TestFiguresWithoutCoordinator(t *testing.T) {
	code, body := get(t, run(t, false), "/metrics")
	if code != 200 || !strings.Contains(body, "natter_build_info{") || strings.Contains(body, "natter_users_online") {
		t.Errorf("%d\n%s", code, body)
	}
}

var update = flag.Bool("update", false, "write docs/operations.md anew")

const page = "../../docs/operations.md"

var (
	region = regexp.MustCompile(`(?s)<!-- generated: metrics -->\n.*?<!-- end -->`)
	label  = regexp.MustCompile(`(\w+)="`)
)

// The page for operators lists the figures that there are, and no others: its table is
// computed from what /metrics answers. "go test ./internal/ops -update" writes it.
func TestOperationsPage(t *testing.T) {
	have, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, body := get(t, busy(t), "/metrics")
	if !region.Match(have) {
		t.Fatalf("%s lacks <!-- generated: metrics --> … <!-- end -->", page)
	}
	want := region.ReplaceAllLiteral(have, []byte("<!-- generated: metrics -->\n"+table(body)+"<!-- end -->"))
	switch {
	case string(have) == string(want):
	case !*update:
		t.Fatalf("%s is not what /metrics says; run: go test ./internal/ops -update", page)
	default:
		if err := os.WriteFile(page, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// table is what /metrics says about its figures.
func table(body string) string {
	var b strings.Builder
	b.WriteString("| figure | kind | labels | meaning |\n| --- | --- | --- | --- |\n")
	help, kind, name := "", "", ""
	for line := range strings.SplitSeq(body, "\n") {
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			_, help, _ = strings.Cut(rest, " ")
		} else if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ = strings.Cut(rest, " ")
		} else if strings.HasPrefix(line, "natter_") && name != "" {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, kind, labels(line), help)
			name = "" // of several lines the first will do
		}
	}
	return b.String()
}

func labels(line string) string {
	var names []string
	for _, m := range label.FindAllStringSubmatch(line, -1) {
		if m[1] != "le" {
			names = append(names, "`"+m[1]+"`")
		}
	}
	return strings.Join(names, ", ")
}
