package ui

import (
	"context"
	"strings"
	"testing"
	"time"

	"natter/chat"
	"natter/client"
	"natter/session"
)

// The front end without a server: what it makes of events, and of lines that ask
// nobody anything. Whole conversations are in the scripts of cmd/chatcli.

// at is a front of alice's at the menu.
func at(t *testing.T, o Options) (*front, *strings.Builder) {
	t.Helper()
	var b strings.Builder
	o.Out, o.Presence = &b, chat.Visible
	o.Now = func() time.Time { return time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC) }
	f := newFront(context.Background(), o)
	f.name, f.me, f.grace = "alice", "alice", 30*time.Second
	f.enter(atMenu)
	return f, &b
}

// expect compares what was printed since the last time.
func expect(t *testing.T, b *strings.Builder, want ...string) {
	t.Helper()
	text := ""
	if len(want) > 0 {
		text = strings.Join(want, "\n") + "\n"
	}
	if b.String() != text {
		t.Errorf("got\n%swant\n%s", b.String(), text)
	}
	b.Reset()
}

var menuLines = []string{"1. List users", "2. Chat", "3. Exit", "4. Group chat", "Enter your choice: "}

func begun(names ...chat.Name) chat.Session {
	s := proposal(names...)
	s.State = chat.Open
	return s
}

func TestInvitationAtTheMenu(t *testing.T) {
	f, b := at(t, Options{})
	f.prompt()
	expect(t, b, menuLines...)
	s := proposal("bob", "alice")
	f.event(session.Invited{Session: s})
	f.prompt()
	expect(t, b, "* bob invites you to chat. It is shown on the server console. Accept? (y/n)")
	f.event(session.InvitationEnded{Session: closed(s, chat.ByWithdraw, "bob")})
	f.prompt()
	expect(t, b, append([]string{"* bob withdrew the invitation."}, menuLines...)...)
	f.line("y")
	f.line("/accept")
	expect(t, b, "! Enter 1, 2, 3 or 4, or /help.", "! There is no invitation to answer.")
}

func TestOwnInvitationHoldsUpAScriptOnly(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		f, b := at(t, Options{Terminal: terminal})
		s := proposal("alice", "dave")
		f.proposed(s)
		expect(t, b, "* Invitation sent to dave. Waiting, 60 s. /cancel withdraws it.")
		if f.ready() != terminal {
			t.Errorf("on a terminal (%v): ready %v", terminal, f.ready())
		}
		f.event(session.Accepted{Session: s, By: "dave", Count: 1, Of: 1})
		f.event(session.Opened{Session: begun("alice", "dave")})
		expect(t, b, "* dave accepted your invitation.",
			"* You are now chatting with dave. Enter Quit to end the chat.", "* This chat is shown on the server console.")
		if !f.ready() || f.state != chatting {
			t.Error("the chat has not begun")
		}
	}
}

func TestOwnInvitationFails(t *testing.T) {
	f, b := at(t, Options{})
	s := proposal("alice", "carol", "dave")
	f.proposed(s)
	b.Reset()
	f.event(session.Accepted{Session: s, By: "dave", Count: 1, Of: 2})
	f.event(session.InvitationEnded{Session: closed(s, chat.ByDeny, "carol")})
	f.prompt()
	expect(t, b, append([]string{"* dave accepted (1 of 2).", "* carol denied. The group chat was not established."}, menuLines...)...)
}

func TestChat(t *testing.T) {
	f, b := at(t, Options{})
	s := begun("alice", "dave")
	f.event(session.Opened{Session: s})
	b.Reset()
	f.event(said("dave", "one\ntwo"))
	f.event(client.DirectText{From: "bob", Text: "psst"})
	f.event(session.MemberLost{Session: s, Name: "dave"})
	f.event(session.MemberBack{Session: s, Name: "dave"})
	f.event(client.Bye{Session: s.ID, From: "dave"})
	f.event(client.NotDelivered{Session: s.ID, Text: "hello"})
	f.line(" /help")
	f.line("  ")
	f.line("DISCONNECT_CLIENT")
	f.line("/leave")
	f.prompt()
	f.event(session.Ended{Session: closed(s, chat.ByQuit, "dave")})
	f.prompt()
	expect(t, b, append([]string{
		"dave: one", "dave: two", "bob (direct): psst",
		"* dave lost the connection. Waiting 30 s.", "* dave is back.",
		"* dave is logging off. Reply bye to end the chat.", `! Not delivered: "hello"`,
		`! Starts with a blank and a slash. Remove the blank for a command, or write \ first to send it.`,
		"! You are in a chat. Quit ends it; /exit leaves at once.",
		"! This is not a group chat. Quit ends it.",
		"* dave ended the chat.", "Chat session ended",
	}, menuLines...)...)
}

func TestLostPartner(t *testing.T) {
	f, b := at(t, Options{})
	f.event(session.Opened{Session: begun("alice", "dave")})
	b.Reset()
	s := closed(begun("alice", "dave"), chat.ByLoss, "dave")
	f.event(session.MemberLeft{Session: s, Name: "dave", Reason: chat.ByLoss})
	f.event(session.Ended{Session: s})
	expect(t, b, "* dave did not come back.", "Chat session ended")
}

func TestLostConnectionEndsTheChat(t *testing.T) {
	f, b := at(t, Options{})
	f.event(session.Opened{Session: begun("alice", "dave")})
	b.Reset()
	s := closed(begun("alice", "dave"), chat.ByQuit, "dave")
	f.event(client.Lost{Server: "nats://127.0.0.1:4222"})
	f.event(client.Connected{After: 95 * time.Second, Chat: &s})
	f.event(session.Ended{Session: s})
	expect(t, b, "! Connection to nats://127.0.0.1:4222 lost. Trying again.",
		"* Connected again after 95 s. Your chat with dave has ended.", "Chat session ended")
}

func TestLeavingAGroup(t *testing.T) {
	f, b := at(t, Options{})
	s := begun("alice", "bob", "carol")
	f.event(session.Opened{Session: s})
	b.Reset()
	s.Members[0].Left = chat.ByLeave
	f.event(session.MemberLeft{Session: s, Name: "alice", Reason: chat.ByLeave})
	f.prompt()
	expect(t, b, append([]string{"* You left the group chat."}, menuLines...)...)
}

func TestEventsWaitForTheAnswer(t *testing.T) {
	f, b := at(t, Options{})
	f.asking, f.ordered = "the server", true
	s := begun("alice", "dave")
	f.event(client.DirectText{From: "bob", Text: "first"})
	f.event(session.Opened{Session: s})
	f.event(said("dave", "last"))
	expect(t, b, "bob (direct): first")
	f.asking, f.ordered = "", false
	f.catchUp()
	expect(t, b, "* You are now chatting with dave. Enter Quit to end the chat.", "* This chat is shown on the server console.", "dave: last")
}

func TestWait(t *testing.T) {
	f, b := at(t, Options{KeepGoing: true, Strict: true})
	f.event(client.DirectText{From: "bob", Text: "hello"})
	b.Reset()
	f.line("/wait message ^h")
	if !f.ready() {
		t.Error("what has happened is waited for")
	}
	f.line("/wait message 0.5")
	if f.ready() {
		t.Error("what has not happened is not waited for")
	}
	f.waitTimedOut()
	expect(t, b, "! Waited 0.5 s for message.")
	if !f.ready() || f.leaving || f.code != ExitFailure {
		t.Errorf("ready %v, leaving %v, code %d", f.ready(), f.leaving, f.code)
	}
	f.roster = map[chat.User]chat.Entry{}
	f.waitFor(want{kind: "user", user: "dave", most: time.Hour})
	f.event(client.PresenceChanged{PresenceNotice: chat.PresenceNotice{Changed: []chat.Entry{{Name: "Dave", Busy: true}}}})
	if f.ready() {
		t.Error("dave is busy")
	}
	f.event(client.PresenceChanged{PresenceNotice: chat.PresenceNotice{Changed: []chat.Entry{{Name: "Dave"}}}})
	if !f.ready() {
		t.Error("dave is available")
	}
}

func TestStrictLines(t *testing.T) {
	f, b := at(t, Options{Strict: true})
	f.input(input{text: "caf\ufffd", notUTF8: true})
	f.input(input{tooLong: true})
	f.prompt()
	expect(t, b, append([]string{"! That line is not UTF-8; it was not used. Write it in UTF-8.", "! Line too long."}, menuLines...)...)
	if f.code != ExitFailure {
		t.Errorf("code %d", f.code)
	}
}

func TestWrongChoices(t *testing.T) {
	f, b := at(t, Options{})
	for _, s := range []string{"0", "7", "abc", "1;2", "١", "18446744073709551616", "Quit now"} {
		f.line(s)
		f.asked = false
		f.prompt()
		expect(t, b, append([]string{"! Enter 1, 2, 3 or 4, or /help."}, menuLines...)...)
	}
	f.line("#alice")
	expect(t, b, "! You are alice already.")
}

func TestNothingAnybodyWritesReachesTheTerminalRaw(t *testing.T) {
	f, b := at(t, Options{})
	evil := "x\x1b[2J\x1b]0;t\a\r\u202e"
	s := begun("alice", "dave")
	s.Members[1].Name = chat.Name(evil)
	for _, e := range []client.Event{
		session.Invited{Session: s}, session.Opened{Session: s}, said(chat.Name(evil), evil),
		client.DirectText{From: chat.Name(evil), Text: evil}, client.NotDelivered{Text: evil}, client.Bye{From: chat.Name(evil)},
		client.Lost{Server: evil}, session.MemberLost{Session: s, Name: chat.Name(evil)},
	} {
		f.event(e)
	}
	f.out.users([]chat.Entry{{Name: chat.Name(evil), Busy: true, With: []chat.Name{chat.Name(evil)}}})
	f.line("/" + evil)
	if strings.ContainsAny(b.String(), "\x1b\a\r\u202e") {
		t.Errorf("got %q", b.String())
	}
}

func TestPolicy(t *testing.T) {
	s := proposal("bob", "alice")
	for _, c := range []struct {
		text            string
		accept, decided bool
	}{{"ask", false, false}, {"all", true, true}, {"none", false, true}, {"Bob,carol", true, true}, {"carol", false, false}} {
		p, err := ParsePolicy(c.text)
		if err != nil {
			t.Fatal(err)
		}
		if accept, decided := p.answer(s); accept != c.accept || decided != c.decided {
			t.Errorf("%s: %v %v", c.text, accept, decided)
		}
	}
	if _, err := ParsePolicy("a.b"); err == nil {
		t.Error("a.b is taken for a name")
	}
}

func TestExitCodesOfRefusedNames(t *testing.T) {
	for code, want := range map[chat.Code]int{
		chat.Taken: ExitName, chat.Invalid: ExitName, chat.Reserved: ExitName, chat.ForeignKey: ExitName,
		chat.Denied: ExitDenied, chat.NotConnected: ExitUnreachable, chat.Full: ExitFailure,
	} {
		if got := nameCode(chat.Errorf(code, "No.")); got != want {
			t.Errorf("%s: %d, want %d", code, got, want)
		}
	}
}

// TestMoreOfWhatDidNotArrive: a long text is quoted by its beginning, and none of it is
// lost to who wrote it, whatever else comes.
func TestMoreOfWhatDidNotArrive(t *testing.T) {
	f, b := at(t, Options{})
	first, second, heard := strings.Repeat("q", 4001), strings.Repeat("w", 201), strings.Repeat("e", 4001)
	f.event(client.NotDelivered{Text: first, Kept: true})
	f.event(client.NotDelivered{Text: "short"})
	f.event(client.NotDelivered{Text: first})
	f.event(client.NotDelivered{Text: second})
	expect(t, b, `! Not confirmed so far: "`+first[:200]+`...". It is sent again until the chat ends. /more shows all of it.`,
		`! Not delivered: "short"`,
		`! Not delivered: "`+first[:200]+`...". /more shows all of it.`,
		`! Not delivered: "`+second[:200]+`...". /more shows all of it.`)
	f.line("/more")
	expect(t, b, "alice: "+first[:4000], "* ... 1 more characters, /more")
	f.event(client.DirectText{From: "bob", Text: heard})
	expect(t, b, "bob (direct): "+heard[:4000], "* ... 1 more characters, /more")
	for _, want := range []string{"bob (direct): e", "alice: q", "alice: " + second, "! There is nothing more to show."} {
		f.line("/more")
		expect(t, b, want)
	}
}

// A 3 that was meant for a chat which others have just ended does not end the program.
func TestLeavingAfterOthersEndedTheChat(t *testing.T) {
	question := leaveAfter
	for _, c := range []struct {
		what     string
		terminal bool
		end      func(*front, chat.Session)
		first    string
		asks     bool
	}{
		{"others quit", true, func(f *front, s chat.Session) { f.event(session.Ended{Session: closed(s, chat.ByQuit, "dave")}) }, "3", true},
		{"others quit, with a blank", true, func(f *front, s chat.Session) { f.event(session.Ended{Session: closed(s, chat.ByQuit, "dave")}) }, " 3", true},
		{"the partner is lost", true, func(f *front, s chat.Session) { f.event(session.Ended{Session: closed(s, chat.ByLoss, "dave")}) }, "3", true},
		{"one did not come back oneself", true, func(f *front, s chat.Session) {
			f.event(session.MemberLeft{Session: closed(s, chat.ByLoss, "alice"), Name: "alice", Reason: chat.ByLoss})
			f.event(session.Ended{Session: closed(s, chat.ByLoss, "alice")})
		}, "3", true},
		{"in a pipe", false, func(f *front, s chat.Session) { f.event(session.Ended{Session: closed(s, chat.ByQuit, "dave")}) }, "3", false},
		{"one's own end", true, func(f *front, s chat.Session) {
			f.ending = s.ID
			f.event(session.Ended{Session: closed(s, chat.ByQuit, "alice")})
		}, "3", false},
		{"both said bye", true, func(f *front, s chat.Session) {
			f.byes[f.me] = true
			f.event(session.Ended{Session: closed(s, chat.ByBye)})
		}, "3", false},
	} {
		f, b := at(t, Options{Terminal: c.terminal})
		s := begun("alice", "dave")
		f.event(session.Opened{Session: s})
		c.end(f, s)
		b.Reset()
		f.asking = "the server" // so that nothing else is asked
		f.line(c.first)
		if got := f.state == atLeave; got != c.asks || f.leaving == c.asks {
			t.Errorf("%s: asks %v, leaves %v", c.what, got, f.leaving)
		}
		if !c.asks {
			continue
		}
		f.prompt()
		if b.String() != question {
			t.Errorf("%s: %q", c.what, b)
		}
		f.line("")
		if f.leaving || f.state != atMenu {
			t.Errorf("%s: no answer leaves", c.what)
		}
		f.line("3")
		if !f.leaving {
			t.Errorf("%s: the second 3 does not leave", c.what)
		}
	}
}

func TestLeavingIsConfirmed(t *testing.T) {
	for line, want := range map[string]state{"yes": atLeave, "Y": atLeave, "no": atMenu, "what?": atLeave, "/help": atMenu} {
		f, _ := at(t, Options{Terminal: true})
		f.enter(atLeave)
		f.asking = "the server" // so that nothing else is asked
		f.line(line)
		if leaves := isYes(line); f.leaving != leaves || f.state != want {
			t.Errorf("%s: leaves %v, state %d", line, f.leaving, f.state)
		}
	}
}

// A line that is no command in a chat is told how to become a message.
func TestCommandsInAPaste(t *testing.T) {
	f, b := at(t, Options{})
	f.line("//")
	f.event(session.Opened{Session: begun("alice", "dave")})
	b.Reset()
	f.line("/* a comment */")
	f.line("/list of things")
	f.line("@:hi")
	f.line(" /x")
	expect(t, b, `! Unknown command /*. /help shows all. To send the line as text, write \ first.`,
		`! Write /list. To send the line as text, write \ first.`,
		`! Write @NAME TEXT. To send the line as text, write \ first.`,
		`! Starts with a blank and a slash. Remove the blank for a command, or write \ first to send it.`)
}

// What nobody would see is not sent: the client, which would be asked, is nil.
func TestNothingIsNotSent(t *testing.T) {
	f, b := at(t, Options{})
	f.event(session.Opened{Session: begun("alice", "dave")})
	b.Reset()
	for _, s := range []string{"", " \t ", "\u200b", "\x1b[A", "\x1b]0;title\a", "\u2060\ufeff", "\a", "\u3164"} {
		f.line(s)
		f.say(s)
	}
	expect(t, b)
}

func TestWordsThatEndAChatAtTheMenu(t *testing.T) {
	f, b := at(t, Options{})
	f.line("bye")
	f.line("Quit ")
	f.line("bye bye")
	expect(t, b, "! bye ends a chat, and you are in none. 3 leaves chatcli, /help shows more.",
		"! Quit ends a chat, and you are in none. 3 leaves chatcli, /help shows more.", "! Enter 1, 2, 3 or 4, or /help.")
}

func TestChoicesByTheirWords(t *testing.T) {
	for s, want := range map[string]int{
		"1": 1, " list users ": 1, "List": 1, "2": 2, "chat": 2, "3": 3, "Exit": 3, "4": 4, "group chat": 4,
		"": 0, "5": 0, "1.": 0, "exit now": 0, "list|list users": 0,
	} {
		if got := choice(s); got != want {
			t.Errorf("%q is choice %d, want %d", s, got, want)
		}
	}
}

func TestListInTheFormOfTheThirdSeed(t *testing.T) {
	for want, users := range map[string][]chat.Entry{
		"CLIENT_LIST<>":           nil,
		"CLIENT_LIST<bob, Carol>": {{Name: "bob", Busy: true}, {Name: "Carol"}},
	} {
		if got := clientList(users); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func said(from chat.Name, text string) client.Texts {
	return client.Texts{From: from, Messages: []chat.Message{{N: 1, Text: text}}}
}
