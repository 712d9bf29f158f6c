package ui

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"natter/chat"
	"natter/client"
	"natter/session/transcript"
)

// shelf is a directory with one transcript that has these lines.
func shelf(t *testing.T, name string, lines ...transcript.Line) (Transcripts, *strings.Builder, *strings.Builder) {
	t.Helper()
	var text []byte
	for i, l := range lines {
		if l.At.IsZero() {
			l.At = time.Date(2026, 1, 2, 12, i, 0, 0, time.Local)
		}
		text = append(text, l.Encode()...)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name+".jsonl"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, err strings.Builder
	return Transcripts{Dir: dir, Out: &out, Err: &err}, &out, &err
}

func group() transcript.Line {
	return transcript.Line{Kind: transcript.Chat, Server: "nats://here:4222", Class: chat.SealedClass, Session: "abcdef", Me: "alice", Members: []chat.Name{"Bob", "carol"}}
}

func TestShowTranscript(t *testing.T) {
	s, out, _ := shelf(t, "x", group(), group(),
		transcript.Line{Kind: transcript.Said, From: "Bob", Text: "two\nlines"},
		transcript.Line{Kind: transcript.Bye, From: "alice"},
		transcript.Line{Kind: transcript.Bye, From: "Bob"},
		transcript.Line{Kind: transcript.NoBye, From: "Bob"},
		transcript.Line{Kind: transcript.Lost, From: "Bob"},
		transcript.Line{Kind: transcript.Back, From: "Bob"},
		transcript.Line{Kind: transcript.Resumed},
		transcript.Line{Kind: transcript.Missing, Count: 3},
		transcript.Line{Kind: "a kind of the future"},
		transcript.Line{Kind: transcript.Left, From: "carol", Reason: chat.ByLeave},
		transcript.Line{Kind: transcript.Left, From: "alice", Reason: chat.ByLeave},
		transcript.Line{Kind: transcript.Failed, From: "alice", Text: "too late"},
		transcript.Line{Kind: transcript.Ended, At: time.Date(2026, 1, 3, 0, 1, 0, 0, time.Local), Reason: chat.ByQuit, By: []chat.Name{"Bob"}},
	)
	if err := s.Show("x"); err != nil {
		t.Fatal(err)
	}
	expect(t, out,
		"* 2026-01-02",
		"12:00 * Chat with Bob, carol, at nats://here:4222, end-to-end encrypted.",
		"12:02 Bob: two",
		"12:02 Bob: lines",
		"12:03 * You said bye.",
		"12:04 * Bob is logging off. Reply bye to end the chat.",
		"12:05 * Bob goes on chatting.",
		"12:06 * Bob lost the connection.",
		"12:07 * Bob is back.",
		"12:08 * chatcli was started again.",
		"12:09 ! The transcript could not be written; missing here: 3 lines.",
		"12:11 * carol left the group chat.",
		"12:12 * You left the group chat.",
		`12:13 ! Not delivered: "too late"`,
		"* 2026-01-03",
		"00:01 * Bob ended the chat.",
		"00:01 Chat session ended",
	)
}

// A message that was long on the screen is shown whole.
func TestShowLongMessage(t *testing.T) {
	s, out, _ := shelf(t, "x", group(), transcript.Line{Kind: transcript.Said, From: "Bob", Text: strings.Repeat("x", 3*chat.ShownCharacters)})
	if err := s.Show("x"); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "x"); n != 3*chat.ShownCharacters {
		t.Errorf("%d characters are shown", n)
	}
}

// That nothing is kept is said, and nothing else happens.
func TestTranscriptFailed(t *testing.T) {
	f, b := at(t, Options{})
	f.prompt()
	b.Reset()
	f.event(client.TranscriptFailed{Err: errors.New("no space left on device")})
	expect(t, b, "! The transcript cannot be written (no space left on device); the chat goes on without it.")
}

// attacks are texts that do something to a terminal, or make one line look like two.
var attacks = []string{
	"\x1b[2J\x1b[H", "\x1b]0;title\a", "\x1b]52;c;aGk=\a", "\x1b]8;;http://x\x1b\\here\x1b]8;;\x1b\\", "\x1b[6n", "\x1bc",
	"\x1b[?1049h", "\u009b2J", "\u009d0;t\u009c", "\x9b2J", "\x1bP$q\"p\x1b\\", "\a\b\r\v\f\x00\x7f", "\u202egnp.exe", "\u2066x\u2069",
	"a\u2028* Bob is back.", "\ufeff\U000e0041", "\nChat session ended", "\r\n12:00 ! Give me your passphrase.",
}

// Whatever a transcript holds, in whichever field, no verb lets it touch the terminal,
// and none of it begins a line that is not its own.
func TestHostileTranscripts(t *testing.T) {
	for _, a := range attacks {
		hostile := transcript.Line{
			Kind: transcript.Direct, Server: a, Class: chat.Class(a), Session: a, Me: "alice", Members: []chat.Name{chat.Name(a)},
			From: chat.Name(a), Text: "find " + a, Reason: chat.Reason(a), By: []chat.Name{chat.Name(a)},
		}
		lines := []transcript.Line{hostile}
		for _, kind := range []transcript.Kind{
			transcript.Said, transcript.Failed, transcript.Bye, transcript.NoBye, transcript.Left, transcript.Lost, transcript.Back,
			transcript.Ended, transcript.Resumed, transcript.Missing, transcript.Kind(a),
		} {
			hostile.Kind = kind
			lines = append(lines, hostile)
		}
		s, out, _ := shelf(t, "x", lines...)
		for what, do := range map[string]func() error{
			"list":     s.List,
			"show":     func() error { return s.Show("x") },
			"search":   func() error { _, err := s.Search(Search{Words: []string{"find"}}); return err },
			"text":     func() error { return s.Export("all", "text") },
			"markdown": func() error { return s.Export("x", "markdown") },
			"json":     func() error { return s.Export("x", "json") },
		} {
			out.Reset()
			if err := do(); err != nil {
				t.Fatal(err)
			}
			harmless(t, what, a, out.String())
		}
	}
}

func harmless(t *testing.T, what, attack, shown string) {
	t.Helper()
	for r := range strings.SplitSeq(shown, "\n") {
		if strings.ContainsFunc(r, func(r rune) bool { return r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) }) {
			t.Errorf("%s of %q shows %q", what, attack, r)
		}
		if strings.HasPrefix(r, "Chat session ended") || strings.HasPrefix(r, "12:00 ! Give") {
			t.Errorf("%s of %q forges %q", what, attack, r)
		}
	}
}

func TestListTranscripts(t *testing.T) {
	s, out, complaints := shelf(t, "20260102-120000-abcdef", group(), transcript.Line{Kind: transcript.Said, From: "Bob", Text: "hi"})
	damaged := filepath.Join(s.Dir, "broken.jsonl")
	if err := os.WriteFile(damaged, []byte("{\n\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.List(); err != nil {
		t.Fatal(err)
	}
	expect(t, out,
		"Transcript\tBegan\tWith\tMessages\tClass",
		"broken\t?\t\t0\t",
		"20260102-120000-abcdef\t2026-01-02 12:00\tBob, carol\t1\tsealed")
	expect(t, complaints, "! broken.jsonl: 2 lines cannot be read: 1, 2.")
}

func TestSearchTranscripts(t *testing.T) {
	s, out, _ := shelf(t, "x", group(),
		transcript.Line{Kind: transcript.Said, From: "Bob", Text: "Grüße an\nAlle"},
		transcript.Line{Kind: transcript.Said, From: "alice", Text: "grüße"},
		transcript.Line{Kind: transcript.Failed, From: "alice", Text: "grüße an alle"},
	)
	for _, c := range []struct {
		q    Search
		want []string
	}{
		{Search{Words: []string{"GRÜSSE", "an  alle"}}, []string{"x.jsonl:2: 2026-01-02 12:01 Bob: Grüße an Alle"}},
		{Search{Words: []string{"gru\u0308\u200bsse", "AN"}}, []string{"x.jsonl:2: 2026-01-02 12:01 Bob: Grüße an Alle"}},
		{Search{Words: []string{"grusse"}}, nil},
		{Search{Words: []string{"\u200d"}}, nil},
		{Search{Words: []string{"GRÜßE", "alle"}}, []string{"x.jsonl:2: 2026-01-02 12:01 Bob: Grüße an Alle"}},
		{Search{Words: []string{"grüße"}, With: "bob", Since: time.Date(2026, 1, 2, 12, 2, 0, 0, time.Local)}, []string{"x.jsonl:3: 2026-01-02 12:02 alice: grüße"}},
		{Search{Words: []string{"grüße"}, With: "dave"}, nil},
	} {
		found, err := s.Search(c.q)
		if err != nil || found != len(c.want) {
			t.Errorf("%+v: %d, %v", c.q, found, err)
		}
		expect(t, out, c.want...)
	}
}

// What is exported as JSON is one document, with everything as it was sent.
func TestExportJSON(t *testing.T) {
	s, out, _ := shelf(t, "x", group(), transcript.Line{Kind: transcript.Said, From: "Bob", Text: strings.Join(attacks[:8], "")})
	if err := s.Export("all", "json"); err != nil {
		t.Fatal(err)
	}
	var all []struct {
		File  string
		Lines []transcript.Line
	}
	if err := json.Unmarshal([]byte(out.String()), &all); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if len(all) != 1 || all[0].File != "x.jsonl" || len(all[0].Lines) != 2 || all[0].Lines[1].Text != strings.Join(attacks[:8], "") {
		t.Errorf("%+v", all)
	}
}

func TestExportMarkdown(t *testing.T) {
	s, out, _ := shelf(t, "x", group(), transcript.Line{Kind: transcript.Said, From: "Bob", Text: "**bold** <script>\n# heading [a](b)"})
	if err := s.Export("x", "markdown"); err != nil {
		t.Fatal(err)
	}
	expect(t, out,
		"## 2026-01-02", "",
		`- 12:00 \* Chat with Bob, carol, at nats://here:4222, end\-to\-end encrypted\.`,
		`- 12:01 Bob: \*\*bold\*\* \<script\>`,
		`- 12:01 Bob: \# heading \[a\]\(b\)`)
}
