package ui

import (
	"fmt"
	"slices"
	"strings"

	"natter/chat"
	"natter/internal/flags"
)

// Verb is what a command asks for.
type Verb string

// The verbs. Reply is a line that answers what the state expects; Wrong is an invalid line, with the
// error sentence in Text.
const (
	Reply      Verb = "reply"
	Wrong      Verb = "wrong"
	Say        Verb = "say"
	List       Verb = "list"
	ClientList Verb = "client list" // List, after the names in the form of the third seed
	Chat       Verb = "chat"
	Group      Verb = "group"
	Cancel     Verb = "cancel"
	Accept     Verb = "accept"
	Deny       Verb = "deny"
	Quit       Verb = "quit"
	Leave      Verb = "leave"
	Direct     Verb = "msg"
	Respond    Verb = "r"
	Send       Verb = "send"
	Files      Verb = "files"
	Stop       Verb = "stop"
	Show       Verb = "show"
	Hide       Verb = "hide"
	Block      Verb = "block"
	Mute       Verb = "mute"
	Unblock    Verb = "unblock"
	Blocked    Verb = "blocked"
	Who        Verb = "who"
	Time       Verb = "time"
	Bell       Verb = "bell"
	More       Verb = "more"
	Help       Verb = "help"
	Exit       Verb = "exit"
	Disconnect Verb = "disconnect" // Exit, but not in a chat
	Wait       Verb = "wait"
)

// Command is a line of input, parsed as far as is possible without the state.
type Command struct {
	Verb Verb
	Args []string // names, topics, on and off
	Text string   // what is to be said, or the whole Reply, or the sentence of Wrong
}

// shape is what may follow a command.
type shape int

const (
	nothing  shape = iota
	oneMaybe       // at most one word
	one            // exactly one word
	words          // one word or more
	text           // the rest of the line, as it is
	nameText       // a name and the rest of the line
	anything       // the rest of the line, maybe none
)

// grammar is one command: its name, what follows it, what it does.
type grammar struct {
	word  string
	alias string
	verb  Verb
	shape shape
	usage string // what follows, in words
}

// commands is the command language: after "/".
var commands = []grammar{
	{"list", "l", List, nothing, ""},
	{"chat", "c", Chat, one, " NAME"},
	{"group", "g", Group, words, " NAME NAME, or /group all"},
	{"cancel", "", Cancel, nothing, ""},
	{"accept", "y", Accept, oneMaybe, " or /accept NAME"},
	{"deny", "n", Deny, oneMaybe, " or /deny NAME"},
	{"quit", "q", Quit, nothing, ""},
	{"leave", "", Leave, nothing, ""},
	{"msg", "", Direct, nameText, " NAME TEXT"},
	{"r", "", Respond, text, " TEXT"},
	{"send", "f", Send, text, " PATH"},
	{"files", "", Files, nothing, ""},
	{"stop", "", Stop, one, " N"},
	{"show", "", Show, nothing, ""},
	{"hide", "", Hide, nothing, ""},
	{"block", "", Block, one, " NAME"},
	{"mute", "", Mute, one, " NAME"},
	{"unblock", "", Unblock, one, " NAME"},
	{"blocked", "", Blocked, nothing, ""},
	{"who", "", Who, nothing, ""},
	{"time", "", Time, one, " on or /time off"},
	{"bell", "", Bell, one, " on or /bell off"},
	{"more", "", More, nothing, ""},
	{"say", "", Say, text, " TEXT"},
	{"help", "h", Help, oneMaybe, " or /help TOPIC"},
	{"help", "?", Help, oneMaybe, " or /help TOPIC"},
	{"exit", "", Exit, nothing, ""},
	{"wait", "", Wait, anything, " EVENT SECONDS"},
}

// oldWords are the upper-case commands of the third seed.
var oldWords = []grammar{
	{"GET_CLIENT_LIST", "", ClientList, nothing, ""},
	{"GET_CLIENT_INFO", "", Chat, one, " NAME"},
	{"SEND_FILE", "", Send, text, " PATH"},
	{"CLOSE_SESSION", "", Quit, nothing, ""},
	{"DISCONNECT_CLIENT", "", Disconnect, nothing, ""},
	{"#HELP", "", Help, nothing, ""},
}

// Parse parses a line. In this order: a backslash (text, see literal), a slash (a
// command), "@NAME" and a blank or a colon (a direct message), an upper-case word of
// the seeds, and otherwise whatever the state expects (Reply).
func Parse(line string) Command {
	switch {
	case strings.HasPrefix(line, `\`):
		return Command{Verb: Say, Text: literal(line)}
	case strings.HasPrefix(line, "/"):
		return parseSlash(line[1:])
	case strings.HasPrefix(line, "@"):
		if c, ok := parseAt(line[1:]); ok {
			return c
		}
	}
	if c, ok := parseOld(line); ok {
		return c
	}
	return Command{Verb: Reply, Text: line}
}

// literal returns the text of a line that begins with a backslash. It removes the backslash only
// where the rest would not be sent as text without it: a command, a direct message, an old word,
// Quit, bye, or a slash after blanks. Other lines, such as \\server\share, stay as they are.
func literal(line string) string {
	rest := line[1:]
	_, old := parseOld(rest)
	if old || strings.HasPrefix(strings.TrimLeft(rest, " \t"), "/") || strings.HasPrefix(rest, "@") || endsChat(rest) {
		return rest
	}
	return line
}

// endsChat reports whether a line is one of the two words that end a chat.
func endsChat(line string) bool {
	return strings.EqualFold(line, "quit") || strings.EqualFold(line, "bye")
}

func parseSlash(line string) Command {
	word, rest, _ := strings.Cut(line, " ")
	lower := strings.ToLower(word)
	for _, g := range commands {
		if lower == g.word || lower == g.alias && lower != "" {
			return g.fill("/"+g.word, rest)
		}
	}
	hint := ""
	if near := flags.Nearest(lower, slashWords()); near != "" {
		hint = fmt.Sprintf(" Did you mean /%s?", near)
	}
	return wrong("Unknown command /%s.%s /help shows all.", shorten(word), hint)
}

// absent are the commands of the seeds for files, which only say that there are none. They are
// neither suggested nor in the help.
var absent = map[Verb]bool{Send: true, Files: true, Stop: true}

func slashWords() []string {
	var all []string
	for _, g := range commands {
		if !absent[g.verb] {
			all = append(all, g.word)
		}
	}
	return slices.Compact(all)
}

// parseAt parses "NAME:text" and "NAME text". Without a valid name it is no direct message; the
// seeds' "@:hi" is one with an error.
func parseAt(line string) (Command, bool) {
	i := strings.IndexAny(line, ": ")
	switch {
	case i < 0:
		return Command{}, false
	case i == 0:
		return wrong("Write @NAME TEXT."), true
	case !looksLikeName(line[:i]):
		return Command{}, false
	}
	name, said := line[:i], line[i+1:]
	if line[i] == ':' {
		said = strings.TrimPrefix(said, " ")
	}
	if chat.Blank(said) {
		return wrong("Write @%s TEXT.", name), true
	}
	return Command{Verb: Direct, Args: []string{name}, Text: said}, true
}

// parseOld parses a seed's word, alone or followed by "<...>" or a blank.
func parseOld(line string) (Command, bool) {
	for _, g := range oldWords {
		rest, ok := strings.CutPrefix(line, g.word)
		switch {
		case !ok:
		case rest == "", rest[0] == ' ':
			return g.fill(g.word, unbracket(rest)), true
		case rest[0] == '<' && strings.HasSuffix(strings.TrimSpace(rest), ">"):
			return g.fill(g.word, unbracket(rest)), true
		}
	}
	return Command{}, false
}

// unbracket removes blanks and the "<" and ">" around an argument.
func unbracket(s string) string {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "<") && strings.HasSuffix(s, ">") {
		s = strings.TrimSpace(s[1 : len(s)-1])
	}
	return s
}

// fill makes a command from its arguments, by the grammar's shape.
func (g grammar) fill(written, rest string) Command {
	args := strings.Fields(rest)
	ok := true
	c := Command{Verb: g.verb}
	switch g.shape {
	case nothing:
		ok = len(args) == 0
	case oneMaybe:
		ok, c.Args = len(args) <= 1, args
	case one:
		ok, c.Args = len(args) == 1, args
	case words:
		c.Args = splitNames(rest)
		ok = len(c.Args) > 0
	case text:
		ok, c.Text = !chat.Blank(rest), rest
	case anything:
		c.Text = strings.TrimSpace(rest)
	case nameText:
		name, said, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
		ok = !chat.Blank(said)
		c.Args, c.Text = []string{name}, said
	}
	if !ok {
		return wrong("Write %s%s.", written, g.usage)
	}
	return c
}

func wrong(format string, args ...any) Command {
	return Command{Verb: Wrong, Text: fmt.Sprintf(format, args...)}
}

// splitNames splits names at blanks and commas.
func splitNames(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' })
}

// looksLikeName reports whether s is a name or a reserved name.
func looksLikeName(s string) bool {
	_, err := chat.ParseName(s)
	return err == nil || isCode(err, chat.Reserved)
}

// isYes and isNo parse the answer to a question.
func isYes(s string) bool { return isAny(s, "y", "yes") }
func isNo(s string) bool  { return isAny(s, "n", "no") }

func isAny(s string, words ...string) bool {
	return slices.Contains(words, strings.ToLower(strings.TrimSpace(s)))
}

// shorten shortens an unknown word for an error sentence.
func shorten(s string) string {
	const most = 40
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "..."
	}
	return s
}
