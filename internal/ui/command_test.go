package ui

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	wrong := func(s string) Command { return Command{Verb: Wrong, Text: s} }
	names := func(v Verb, args ...string) Command { return Command{Verb: v, Args: args} }
	said := func(v Verb, s string) Command { return Command{Verb: v, Text: s} }
	direct := func(to, s string) Command { return Command{Verb: Direct, Args: []string{to}, Text: s} }
	for _, c := range []struct {
		line string
		want Command
	}{
		// every row of the command language, and its aliases
		{"/list", names(List)}, {"/l", names(List)}, {"/LIST", names(List)},
		{"/chat dave", names(Chat, "dave")}, {"/c dave", names(Chat, "dave")},
		{"/group bob carol", names(Group, "bob", "carol")}, {"/g bob,carol, dave", names(Group, "bob", "carol", "dave")},
		{"/group all", names(Group, "all")},
		{"/cancel", names(Cancel)},
		{"/accept", names(Accept)}, {"/y", names(Accept)}, {"/accept bob", names(Accept, "bob")}, {"/accept 3", names(Accept, "3")},
		{"/deny", names(Deny)}, {"/n bob", names(Deny, "bob")},
		{"/quit", names(Quit)}, {"/q", names(Quit)},
		{"/leave", names(Leave)},
		{"/msg bob hello there", direct("bob", "hello there")}, {"/msg  bob  hi", direct("bob", " hi")},
		{"/r hello", said(Respond, "hello")},
		{"/send a b.pdf", said(Send, "a b.pdf")}, {"/f x", said(Send, "x")},
		{"/files", names(Files)}, {"/stop 3", names(Stop, "3")},
		{"/show", names(Show)}, {"/hide", names(Hide)},
		{"/block bob", names(Block, "bob")}, {"/unblock bob", names(Unblock, "bob")}, {"/blocked", names(Blocked)},
		{"/who", names(Who)}, {"/time on", names(Time, "on")}, {"/bell off", names(Bell, "off")}, {"/more", names(More)},
		{"/say Quit", said(Say, "Quit")},
		{"/help", names(Help)}, {"/h", names(Help)}, {"/?", names(Help)}, {"/help old", names(Help, "old")},
		{"/exit", names(Exit)},
		{"/wait message hello", said(Wait, "message hello")}, {"/wait", said(Wait, "")},

		// what is missing or too much
		{"/chat", wrong("Write /chat NAME.")}, {"/c a b", wrong("Write /chat NAME.")},
		{"/list x", wrong("Write /list.")}, {"/msg bob", wrong("Write /msg NAME TEXT.")}, {"/r", wrong("Write /r TEXT.")},
		{"/time", wrong("Write /time on or /time off.")}, {"/group", wrong("Write /group NAME NAME, or /group all.")},

		// unknown: no prefixes, but a guess
		{"/lsit", wrong("Unknown command /lsit. Did you mean /list? /help shows all.")},
		{"/li", wrong("Unknown command /li. /help shows all.")},
		{"/sned", wrong("Unknown command /sned. /help shows all.")},
		{"/etc/passwd", wrong("Unknown command /etc/passwd. /help shows all.")},
		{"/", wrong("Unknown command /. /help shows all.")},
		{"/ list", wrong("Unknown command /. /help shows all.")},

		// the second seed
		{"@bob:Hello, Bob! This is alice", direct("bob", "Hello, Bob! This is alice")},
		{"@bob hello", direct("bob", "hello")}, {"@bob: hello", direct("bob", "hello")},
		{"@bob:@al:hi", direct("bob", "@al:hi")}, {"@BOB:hi", direct("BOB", "hi")},
		{"@nora:hi", direct("nora", "hi")}, {"@all:hi", direct("all", "hi")},
		{"@bob:", wrong("Write @bob TEXT.")}, {"@bob  ", wrong("Write @bob TEXT.")}, {"@:hi", wrong("Write @NAME TEXT.")},
		{"@bob", said(Reply, "@bob")}, {"@someone's idea: no", said(Reply, "@someone's idea: no")},
		{"#alice", said(Reply, "#alice")},

		// the third seed
		{"GET_CLIENT_LIST", names(ClientList)},
		{"GET_CLIENT_INFO dave", names(Chat, "dave")}, {"GET_CLIENT_INFO<dave>", names(Chat, "dave")},
		{"GET_CLIENT_INFO <dave>", names(Chat, "dave")}, {"GET_CLIENT_INFO", wrong("Write GET_CLIENT_INFO NAME.")},
		{"SEND_FILE report.pdf", said(Send, "report.pdf")}, {"SEND_FILE<my report.pdf>", said(Send, "my report.pdf")},
		{"CLOSE_SESSION", names(Quit)}, {"DISCONNECT_CLIENT", names(Disconnect)}, {"#HELP", names(Help)},
		{"GET_CLIENT_LISTS", said(Reply, "GET_CLIENT_LISTS")}, {"get_client_list", said(Reply, "get_client_list")},
		{" CLOSE_SESSION", said(Reply, " CLOSE_SESSION")}, {"#help", said(Reply, "#help")},

		// a backslash comes first, and the state last
		{`\Quit`, said(Say, "Quit")}, {`\bye`, said(Say, "bye")}, {`\/help`, said(Say, "/help")},
		{`\@bob`, said(Say, "@bob")}, {`\#HELP`, said(Say, "#HELP")}, {`\qUIT`, said(Say, "qUIT")},
		{`\SEND_FILE x`, said(Say, "SEND_FILE x")}, {`\SEND_FILE<x>`, said(Say, "SEND_FILE<x>")}, {`\CLOSE_SESSION`, said(Say, "CLOSE_SESSION")},
		{`\@bob hi`, said(Say, "@bob hi")}, {`\@:hi`, said(Say, "@:hi")}, {`\/etc/passwd`, said(Say, "/etc/passwd")}, {`\ /help`, said(Say, " /help")},
		// but it is only taken off where it is needed
		{`\\server\share`, said(Say, `\\server\share`)}, {`\`, said(Say, `\`)}, {`\\`, said(Say, `\\`)}, {`\Quit now`, said(Say, `\Quit now`)},
		{`\alpha + \beta`, said(Say, `\alpha + \beta`)}, {`\SEND_FILES`, said(Say, `\SEND_FILES`)}, {`\#help`, said(Say, `\#help`)}, {`\\Quit`, said(Say, `\\Quit`)},
		{`\ bye`, said(Say, `\ bye`)}, {`\y`, said(Say, `\y`)}, {"/say \\Quit", said(Say, `\Quit`)},

		// what nobody would see is nothing
		{"@bob \u200b\x1b[A", wrong("Write @bob TEXT.")}, {"/msg bob \u200b", wrong("Write /msg NAME TEXT.")}, {"/say \u2060", wrong("Write /say TEXT.")},
		{"Quit", said(Reply, "Quit")}, {"1", said(Reply, "1")}, {"", said(Reply, "")}, {" /help", said(Reply, " /help")},
	} {
		got := Parse(c.line)
		if len(got.Args) == 0 {
			got.Args = nil
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("Parse(%q) = %+v, want %+v", c.line, got, c.want)
		}
	}
}

func TestEveryCommandIsCarriedOut(t *testing.T) {
	for _, g := range append(commands, oldWords...) {
		if g.verb == "" {
			t.Errorf("%s does nothing", g.word)
		}
	}
	for i, g := range commands {
		for _, h := range commands[:i] {
			if g.alias != "" && (g.alias == h.alias || g.alias == h.word) {
				t.Errorf("/%s means two things", g.alias)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"/msg bob hi", "@bob:hi", "@:", `\x`, "GET_CLIENT_INFO<x>", "SEND_FILE<", "/wait 1", "/", "", "#HELP x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		c := Parse(line)
		switch {
		case c.Verb == Reply && c.Text != line:
			t.Errorf("%q was changed to %q", line, c.Text)
		case c.Verb == Direct && (len(c.Args) != 1 || strings.TrimSpace(c.Text) == ""):
			t.Errorf("%q is a direct message of nothing: %+v", line, c)
		case (c.Verb == Chat || c.Verb == Time || c.Verb == Bell) && len(c.Args) != 1:
			t.Errorf("%q lacks its argument: %+v", line, c)
		}
	})
}

// The help names every command that there is and no other, and every topic of its own.
func TestHelpIsTrue(t *testing.T) {
	known, helped := map[string]bool{}, map[string]bool{}
	for _, g := range commands {
		known[g.word] = !absent[g.verb]
	}
	for topic, page := range helpPages {
		for _, m := range regexp.MustCompile("(^|[ \n])/([a-z]+)( [a-z]+)?").FindAllStringSubmatch(page, -1) {
			if word := m[2]; !known[word] {
				t.Errorf("/help %s names /%s, which is no command", topic, word)
			} else if helped[word] = true; word == "help" && m[3] != "" {
				if _, ok := helpPages[strings.TrimSpace(m[3])]; !ok {
					t.Errorf("there is no /help%s", m[3])
				}
			}
		}
	}
	for word, works := range known {
		if works && !helped[word] {
			t.Errorf("no help page names /%s", word)
		}
	}
	for topic := range helpPages {
		if topic != "" && !strings.Contains(helpPages[""], "/help "+topic) {
			t.Errorf("/help does not name /help %s", topic)
		}
	}
	for _, g := range oldWords {
		if !strings.Contains(helpPages["old"], g.word) {
			t.Errorf("/help old does not name %s", g.word)
		}
	}
	for _, kind := range waitKinds {
		if !strings.Contains(helpPages["scripts"], kind) {
			t.Errorf("/help scripts does not name the event %s", kind)
		}
	}
}
