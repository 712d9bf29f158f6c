package console

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"natter/chat"
	"natter/session/delivery"
)

var update = flag.Bool("update", false, "rewrite the recorded outcomes in testdata")

const sid = "7f3a9c00000000000000000000000000"

// play feeds a script to a book. A line is TIME SUBJECT PAYLOAD.
func play(t *testing.T, file string, b *book) []entry {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var entries []entry
	for s := bufio.NewScanner(f); s.Scan(); {
		part := strings.SplitN(s.Text(), " ", 3)
		if len(part) < 3 || part[0] == "#" {
			continue
		}
		at, err := time.Parse(time.RFC3339, "2026-01-02T"+part[0]+"Z")
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(part[1], "chat.audit.") {
			part[2] = strings.Replace(part[2], "{", fmt.Sprintf(`{"time":%q,`, at.Format(time.RFC3339Nano)), 1)
		}
		if strings.Contains(part[1], ".msg.") { // a frame has several lines
			part[2] = strings.ReplaceAll(part[2], `\n`, "\n")
		}
		for _, e := range b.feed(part[1], []byte(part[2]), at) {
			if e.direct != nil {
				b.directs.await(*e.direct, at)
			}
			entries = append(entries, e)
		}
	}
	return entries
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: recorded\n%s\nnow\n%s", file, want, got)
	}
}

// An evening of the console, as people and as programs read it.
func TestEvening(t *testing.T) {
	var text, colored, machine []byte
	for _, e := range play(t, "testdata/evening.in", newBook(Config{Show: ShowAll})) {
		text = appendText(text, e, time.UTC, false)
		colored = appendText(colored, e, time.UTC, true)
		machine = appendJSON(machine, e)
	}
	golden(t, "testdata/evening.txt", text)
	golden(t, "testdata/evening.json", machine)
	for color, kind := range map[string]string{"\x1b[36mREQUEST\x1b[0m ": "request", "\x1b[2mSERVER\x1b[0m ": "server"} {
		if !bytes.Contains(colored, []byte(color)) {
			t.Errorf("no coloured %s", kind)
		}
	}
	if plain := strings.NewReplacer("\x1b[36m", "", "\x1b[32m", "", "\x1b[33m", "", "\x1b[2m", "", "\x1b[31m", "", "\x1b[0m", "").Replace(string(colored)); plain != string(text) {
		t.Error("colour changes more than colour")
	}
	for line := range bytes.Lines(machine) {
		if !json.Valid(line) {
			t.Errorf("not JSON: %s", line)
		}
	}
}

func TestShow(t *testing.T) {
	kinds := func(show string) map[string]int {
		n := map[string]int{}
		for _, e := range play(t, "testdata/evening.in", newBook(Config{Show: show})) {
			n[e.kind]++
		}
		return n
	}
	if n := kinds(ShowActions); n["message"] != 0 || n["action"] == 0 || n["refused"] == 0 {
		t.Errorf("actions: %v", n)
	}
	if n := kinds(ShowNone); n["action"] != 0 || n["request"] != 0 || n["message"] != 0 || n["server"] == 0 || n["error"] == 0 {
		t.Errorf("none: %v", n)
	}
}

// say is a message of bob in the session sid.
func say(b *book, n uint64, text string) string {
	data := frame(n, text)
	subject := chat.Said.Subject(chat.Address{User: "bob", Session: sid})
	return textOf(b.feed(subject, data, time.Time{}))
}

func audit(b *book, event, text string) string {
	data, _ := json.Marshal(chat.Audit{Kind: "action", Event: event, Text: text, Session: sid, Channel: sid, Users: []chat.Name{"alice", "Bob"}})
	return textOf(b.feed(chat.AuditAction.Subject(chat.Address{}), data, time.Time{}))
}

func textOf(entries []entry) string {
	var buf []byte
	for _, e := range entries {
		if e.tell != nil {
			e = e.times(1, e.size)
		}
		buf = appendText(buf, e, time.UTC, false)
	}
	return strings.ReplaceAll(string(buf), "00:00:00.000 ", "")
}

// A sender's numbers tell what was shown before, and in time what has not come by.
func TestNumbers(t *testing.T) {
	b := newBook(Config{Show: ShowAll})
	const line = "MESSAGE  7f3a9c bob: x\n"
	steps := []struct {
		n    uint64
		want string
	}{
		{4, line}, // the console came late: no complaint
		{5, line},
		{5, ""}, // sent again
		{4, ""},
		{8, line},
		{7, line}, // late, but shown
		{7, ""},
		{10, line},
		{chat.FirstOf(1) + 3, line}, // begun anew
		{chat.FirstOf(1) + 1, line},
		{chat.FirstOf(3) + 1, line},
		{1<<52 + 5, line},
		{11, line}, // a lie about the number hides nothing
		{11, ""},
		{0, "REFUSED  message in 7f3a9c from bob is unreadable, 12 bytes\n"},
	}
	for i, s := range steps {
		if got := say(b, s.n, "x"); got != s.want {
			t.Errorf("step %d, number %d:\n%swant\n%s", i, s.n, got, s.want)
		}
	}
	if got := textOf(b.due(time.Time{}.Add(gapTime - 1))); got != "" {
		t.Errorf("too early: %s", got)
	}
	const want = `SERVER   number 6 of bob in session 7f3a9c has not come by
SERVER   number 9 of bob in session 7f3a9c has not come by
SERVER   number 1099511627778 of bob in session 7f3a9c has not come by
SERVER   numbers 4503599627370497 to 4503599627370500 of bob in session 7f3a9c have not come by
`
	if got := strings.ReplaceAll(textOf(b.due(time.Time{}.Add(gapTime))), "00:00:15.000 ", ""); got != want {
		t.Errorf("got\n%s", got)
	}
	if got := say(b, 6, "x") + textOf(b.due(time.Time{}.Add(time.Hour))); got != line {
		t.Errorf("it came after all, and nothing is told twice:\n%s", got)
	}
}

func TestBeginningSeen(t *testing.T) {
	b := newBook(Config{Show: ShowAll})
	audit(b, "session.start", "session 7f3a9c established: alice, Bob (transparent)")
	if got, want := say(b, 2, "hello"), "MESSAGE  7f3a9c Bob: hello\n"; got != want {
		t.Errorf("got %q", got)
	}
	want := "SERVER   number 1 of Bob in session 7f3a9c has not come by\nACTION   session 7f3a9c ended: quit by alice, 24.3 s, 1 message\n"
	if got := audit(b, "session.end", "session 7f3a9c ended: quit by alice, 24.3 s"); got != want {
		t.Errorf("got %q", got)
	}
}

// What a console does not know it does not say: not how many messages there were before it
// came, nor while it was behind, nor which of them are missing.
func TestUnknownFigures(t *testing.T) {
	b := newBook(Config{Show: ShowAll})
	say(b, 4, "x")
	if got := audit(b, "session.end", "ended"); got != "ACTION   ended\n" {
		t.Errorf("came late: %q", got)
	}
	b = newBook(Config{Show: ShowAll})
	audit(b, "session.start", "session 7f3a9c established: alice, Bob (transparent)")
	say(b, 1, "x")
	b.doubt()
	say(b, 4, "x")
	if got := textOf(b.due(time.Time{}.Add(time.Hour))) + audit(b, "session.end", "ended"); got != "ACTION   ended\n" {
		t.Errorf("was behind: %q", got)
	}
	data, _ := json.Marshal(chat.Audit{Event: "server.stopped", Text: "stopped"})
	if got := textOf(b.feed(chat.AuditServer.Subject(chat.Address{}), data, time.Time{})); got != "SERVER   stopped\n" {
		t.Errorf("in the end: %q", got)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	b := newBook(Config{Show: ShowAll})
	for i := range 3 * maxSessions {
		id := fmt.Sprintf("%032x", i)
		data := frame(1, "")
		b.feed(chat.Said.Subject(chat.Address{User: "bob", Session: id}), data, time.Time{})
		if i%3 == 0 {
			b.follow("action session.end", chat.Audit{Session: id}, &entry{}, time.Time{})
		}
		if len(b.talks) > maxSessions || len(b.order) > maxSessions {
			t.Fatalf("%d sessions, %d ids", len(b.talks), len(b.order))
		}
	}
	var s seen
	for n := uint64(1); n < 10_000; n += 2 {
		s.mark(n, false, time.Time{})
	}
	if len(s.missing) > maxSpans {
		t.Errorf("%d spans", len(s.missing))
	}
	for n := uint64(2); n < 10_000; n += 2 {
		if !s.mark(n, false, time.Time{}) {
			t.Fatalf("number %d was never shown and is refused", n)
		}
	}
}

// escapes is what people have tried on terminals.
var escapes = []string{
	"\x1b[2J\x1b[H", "\x1b]0;title\a", "\x1b]52;c;aGk=\a", "\x1b]8;;http://x\x1b\\y\x1b]8;;\x1b\\",
	"\x1bP$qm\x1b\\", "\x1b[6n", "\x1b[c", "\x1b[21t", "\x1bc", "\x1b[?1049h", "\x1b[?2004l", "\x1b[?1000h",
	"\x1b[2;1y", "\x1b(0", "\u009b2J", "\x9b2J", "\u009d0;t\u009c", "\x9d0;t\x9c", "\x1b]0;never ends", "\x1bP never ends",
	"\xc0\x9b2J", "\x1bXsos\x1b\\", "\x1b^pm\x1b\\", "\x1b_Gkitty\x1b\\", "\x1bOA", strings.Repeat("\a", 1000),
	"alice\b\b\b\b\bmallo", "safe\rREQUEST  forged", "\v\f\x00\x7f", "a\u2028b\u2029c", "\u202aa\u202eb\u2066c\u2069",
	"e" + strings.Repeat("\u0301", 40), "\xff\xfe", "a\r\nb", strings.Repeat("x\n", 300), strings.Repeat("y", 5000),
	"12:00:00.000 ACTION   alice is banned", "\n12:00:00.000 ACTION   forged",
}

// Nothing that a user wrote controls the terminal, forges a line or breaks one.
func TestEscapes(t *testing.T) {
	for _, text := range escapes {
		b := newBook(Config{Show: ShowAll})
		direct, _ := json.Marshal(chat.DirectMessage{N: 1, Text: text})
		record, _ := json.Marshal(chat.Audit{Kind: "refused", Event: "limit", Text: text, Session: text, User: chat.Name(text)})
		said := frame(1, text)
		for prefix, entries := range map[string][]entry{
			"00:00:00.000 MESSAGE  7f3a9c bob: ": b.feed(chat.Said.Subject(chat.Address{User: "bob", Session: sid}), said, time.Time{}),
			"00:00:00.000 MESSAGE  bob -> carol": b.feed(chat.Direct.Subject(chat.Address{User: "bob", To: "carol"}), direct, time.Time{}),
			"00:00:00.000 REFUSED  ":             b.feed(chat.AuditRefused.Subject(chat.Address{}), record, time.Time{}),
		} {
			if len(entries) != 1 {
				t.Fatalf("%q: %d entries", text, len(entries))
			}
			lines := string(appendText(nil, entries[0], time.UTC, false))
			harmless(t, lines)
			for line := range strings.Lines(lines) {
				if !strings.HasPrefix(line, prefix) {
					t.Errorf("%q: a line begins otherwise: %q", text, line)
				}
			}
			machine := appendJSON(nil, entries[0])
			harmless(t, string(machine))
			var back struct{ Text *string }
			if err := json.Unmarshal(machine, &back); err != nil || bytes.Count(machine, []byte("\n")) != 1 {
				t.Errorf("%q: not one line of JSON: %v %q", text, err, machine)
			}
			if back.Text != nil && *back.Text != asSent(text) {
				t.Errorf("%q: JSON says %q", text, *back.Text)
			}
		}
	}
}

// asSent is what JSON makes of a text that is not UTF-8.
func asSent(text string) string {
	var back string
	data, _ := json.Marshal(text)
	_ = json.Unmarshal(data, &back)
	return back
}

func harmless(t *testing.T, s string) {
	t.Helper()
	if !utf8.ValidString(s) {
		t.Errorf("not UTF-8: %q", s)
	}
	for _, r := range s {
		if r != '\n' && (unicode.Is(unicode.Cc, r) || unicode.In(r, unicode.Zl, unicode.Zp) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069) {
			t.Errorf("%U comes through: %q", r, s)
			return
		}
	}
}

func TestUnreadable(t *testing.T) {
	b := newBook(Config{Show: ShowAll})
	for _, data := range []string{"", "null", "[]", "{", `{"n":-1}`, `{"n":1e400}`, `{"n":"1"}`, `{"text":5,"n":1}`, strings.Repeat("[", 10_000)} {
		got := textOf(b.feed(chat.Said.Subject(chat.Address{User: "bob", Session: sid}), []byte(data), time.Time{}))
		if !strings.HasPrefix(got, "REFUSED  message in 7f3a9c from bob is unreadable, ") || strings.Count(got, "\n") != 1 {
			t.Errorf("%.20s: %q", data, got)
		}
	}
	if got := b.feed("chat.session.x.sig.bob", nil, time.Time{}); got != nil {
		t.Errorf("a subject that is not the console's: %v", got)
	}
}

// gate is a writer that takes nothing until it is opened.
type gate struct {
	bytes.Buffer
	entered chan struct{} // one value for each Write
	open    chan struct{}
}

func (g *gate) Write(p []byte) (int, error) {
	g.entered <- struct{}{}
	<-g.open
	return g.Buffer.Write(p)
}

// A writer that stands still costs lines, and they are counted where they were.
func TestBehind(t *testing.T) {
	g := &gate{entered: make(chan struct{}, 9), open: make(chan struct{})}
	b := newBacklog(3, plainly)
	done := serve(b, g, slog.New(slog.DiscardHandler))
	b.put(line("first"))
	b.flush()
	<-g.entered // the writer holds the first line
	for i := range 5 {
		b.put(line(fmt.Sprint(i)))
	}
	b.lose(10)
	close(g.open)
	<-g.entered
	b.put(line("last"))
	b.close()
	<-done
	want := "SERVER   first\nSERVER   0\nSERVER   1\nSERVER   2\nSERVER   console is behind: 2 lines not shown\nSERVER   console is behind: 10 messages of the broker not read, so lines may be missing\nSERVER   last\n"
	if got := strings.ReplaceAll(g.String(), "00:00:00.000 ", ""); got != want {
		t.Errorf("got\n%s", got)
	}
}

// TestPagesKeepTheirOrder: more than a page waits for a writer that stands still.
func TestPagesKeepTheirOrder(t *testing.T) {
	g := &gate{entered: make(chan struct{}, 9999), open: make(chan struct{})}
	b := newBacklog(maxLines, plainly)
	done := serve(b, g, slog.New(slog.DiscardHandler))
	var want strings.Builder
	for i := range 3 * fullPage / 20 {
		text := fmt.Sprintf("line %d", i)
		b.put(line(text))
		fmt.Fprintf(&want, "00:00:00.000 SERVER   %s\n", text)
		if i == 0 {
			b.flush()
			<-g.entered // the writer holds the first line
		}
	}
	close(g.open)
	b.flush()
	b.close()
	<-done
	if g.String() != want.String() {
		t.Errorf("%d bytes, want %d; or in another order", g.Len(), want.Len())
	}
}

// moody is a writer that fails at first.
type moody struct {
	bytes.Buffer
	fails int
	wrote chan struct{} // one value for each Write
}

func (m *moody) Write(p []byte) (int, error) {
	defer func() { m.wrote <- struct{}{} }()
	if m.fails > 0 {
		m.fails--
		return 0, errors.New("broken pipe")
	}
	return m.Buffer.Write(p)
}

// A writer that fails is logged once, and what it did not take is counted.
func TestWriterFails(t *testing.T) {
	var log bytes.Buffer
	m := &moody{fails: 2, wrote: make(chan struct{})}
	b := newBacklog(8, plainly)
	done := serve(b, m, slog.New(slog.NewTextHandler(&log, nil)))
	for _, text := range []string{"a", "b", "c"} {
		b.put(line(text))
		b.flush()
		<-m.wrote
	}
	b.close()
	<-done
	if got := strings.ReplaceAll(m.String(), "00:00:00.000 ", ""); got != "SERVER   console is behind: 2 lines not shown\nSERVER   c\n" {
		t.Errorf("got %q", got)
	}
	if n := strings.Count(log.String(), "broken pipe"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

func line(text string) entry { return entry{kind: "server", head: text} }

var plainly = style{where: time.UTC}

func serve(b *backlog, out io.Writer, log *slog.Logger) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.writeTo(out, func() time.Time { return time.Time{} }, log)
	}()
	return done
}

// frame is a frame of one message.
func frame(n uint64, text string) []byte {
	return delivery.Frame{Messages: []chat.Message{{N: n, At: time.UnixMilli(0), Text: text}}}.Append(nil)
}

// What programs may look at is documented.
func TestPhrasesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/console.md")
	if err != nil {
		t.Fatal(err)
	}
	for event, phrase := range phrases {
		row := regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(event) + "` \\| [a-z, ]+ \\| " + phrase + "(,| \\|)")
		if !row.Match(page) {
			t.Errorf("docs/console.md does not say that %s is %q", event, phrase)
		}
	}
}

// BenchmarkLines is what one message costs until its line is ready to be written.
func BenchmarkLines(b *testing.B) {
	for name, s := range map[string]style{"text": {where: time.UTC}, "json": {json: true}} {
		b.Run(name, func(b *testing.B) {
			var p page
			e := entry{kind: "message", event: "message", head: "7f3a9c bob: ", session: "7f3a9c", from: "bob", to: []chat.Name{"alice"}}
			e.said = slices.Repeat([]chat.Message{{N: 1, Text: strings.Repeat("hello ", 40)}}, 64)
			for b.Loop() {
				p.reset()
				s.add(&p, e)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(64*b.N), "ns/line")
		})
	}
}
