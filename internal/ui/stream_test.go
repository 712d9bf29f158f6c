package ui

import (
	"context"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func lines(t *testing.T, in string, cutsAt int) []input {
	t.Helper()
	ch := make(chan input)
	go read(context.Background(), iotest.OneByteReader(strings.NewReader(in)), cutsAt, ch)
	var got []input
	for l := range ch {
		got = append(got, l)
		if l.end {
			return got
		}
	}
	return nil
}

func TestRead(t *testing.T) {
	long := strings.Repeat("x", MaxLine)
	got := lines(t, "\ufeffalice\r\n\ncaf\xe9\n"+long+"\n"+long+"x\n"+long+long+long+"\nend without LF", 0)
	compare(t, got, []input{
		{text: "alice"}, {text: ""}, {text: "caf\ufffd", notUTF8: true}, {text: long},
		{tooLong: true}, {tooLong: true}, {text: "end without LF"}, {end: true},
	})
}

// TestReadWhatIsCut: what is as long as the terminal lets through may have been longer.
func TestReadWhatIsCut(t *testing.T) {
	compare(t, lines(t, "123\n1234\n12345\n123\xff\n12\n", 4), []input{{text: "123"}, {cut: true}, {cut: true}, {cut: true}, {text: "12"}, {end: true}})
}

func compare(t *testing.T, got, want []input) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("line %d: %.60v", i, got[i])
		}
	}
}

func TestReadOfNothing(t *testing.T) {
	if got := lines(t, "", 0); len(got) != 1 || !got[0].end {
		t.Errorf("got %v", got)
	}
}

func TestPrinter(t *testing.T) {
	var b strings.Builder
	p := &printer{w: &b}
	p.prompt("Enter your choice: ")
	p.row("bob", "Chatting with \x1b[2Jcarol\tx")
	p.say("bob", "one\r\ntwo\n* forged\x1b]0;title\a")
	p.bell()
	want := "Enter your choice: \nbob\tChatting with carol    x\nbob: one\nbob: two\nbob: * forged\n"
	if b.String() != want {
		t.Errorf("got  %q\nwant %q", b.String(), want)
	}
}

func TestPrinterOnTerminal(t *testing.T) {
	var b strings.Builder
	p := &printer{w: &b, terminal: true}
	p.prompt("Enter your choice: ")
	p.notice("* bob is back.")
	p.prompt("Enter your choice: ")
	p.entered()
	p.line("No other client.")
	p.prompt("? ")
	p.finish()
	want := "Enter your choice: \n* bob is back.\nEnter your choice: No other client.\n? \n"
	if b.String() != want {
		t.Errorf("got  %q\nwant %q", b.String(), want)
	}
}

func TestPrinterShowsTheRestOfALongText(t *testing.T) {
	var b strings.Builder
	p := &printer{w: &b}
	rest := p.say("bob", strings.Repeat("x", 4312))
	if want := "bob: " + strings.Repeat("x", 4000) + "\n* ... 312 more characters, /more\n"; b.String() != want {
		t.Errorf("got %q", b.String())
	}
	b.Reset()
	if p.say("bob", rest) != "" || b.String() != "bob: "+strings.Repeat("x", 312)+"\n" {
		t.Errorf("the rest is %q", b.String())
	}
}

func TestPrinterShowsTheTime(t *testing.T) {
	var b strings.Builder
	now := time.Date(2026, 1, 2, 23, 59, 0, 0, time.UTC)
	p := &printer{w: &b, time: true, now: func() time.Time { return now }}
	p.say("bob", "hello")
	p.line("1. List users")
	now = now.Add(2 * time.Minute)
	p.notice("* bob is back.")
	if want := "23:59 bob: hello\n1. List users\n* 2026-01-03\n00:01 * bob is back.\n"; b.String() != want {
		t.Errorf("got  %q\nwant %q", b.String(), want)
	}
}
