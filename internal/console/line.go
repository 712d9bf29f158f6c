package console

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"natter/chat"
)

// entry is one thing to show. In text, head comes before every line of body.
type entry struct {
	at    time.Time
	kind  string // lower case: request, action, message, refused, file, server, error
	event string
	head  string  // clean already
	body  *string // of a message, as it was sent; nil for everything else

	audit   *chat.Audit // of an audit record, for JSON
	session string      // the six characters that people see
	from    chat.Name
	to      []chat.Name
	count   int  // of lines or messages that are missing, or that the line stands for
	outside bool // of somebody who is not a member
	dated   bool // in text, the day stands before the time

	key    string                   // lines of the same key are coalesced; "": none is
	tell   func(n, size int) string // the head of a line for n of size bytes together, if there is a key
	size   int                      // bytes
	direct *directKey               // of a direct message
}

// Lines for people

// colors are what a terminal shows a kind in; the words never depend on it.
var colors = map[string]string{
	"request": "\x1b[36m", // cyan
	"action":  "\x1b[32m", // green
	"refused": "\x1b[33m", // yellow
	"file":    "\x1b[34m", // blue
	"server":  "\x1b[2m",  // dim
	"error":   "\x1b[31m", // red
}

// appendText writes an entry as lines that all begin alike, so that no line of a
// message can be taken for a line of the console.
func appendText(buf []byte, e entry, where *time.Location, color bool) []byte {
	stamp := e.at.In(where).Format("15:04:05.000 ")
	if e.dated {
		stamp = e.at.In(where).Format(time.DateOnly) + " " + stamp
	}
	kind := strings.ToUpper(e.kind)
	pad := strings.Repeat(" ", max(0, 8-len(kind))+1)
	if c := colors[e.kind]; color && c != "" {
		kind = c + kind + "\x1b[0m"
	}
	body := ""
	if e.body != nil {
		body = chat.Clean(*e.body)
	}
	for line := range strings.SplitSeq(body, "\n") {
		buf = append(buf, stamp+kind+pad+e.head+line+"\n"...)
	}
	return buf
}

// AppendText appends a record of the audit trail as a line for people, with its day.
func AppendText(buf []byte, a chat.Audit, where *time.Location, color bool) []byte {
	e := recordOf(a)
	e.dated = true
	return appendText(buf, e, where, color)
}

// AppendJSON appends a record of the audit trail as a line for programs.
func AppendJSON(buf []byte, a chat.Audit) []byte { return appendJSON(buf, recordOf(a)) }

func recordOf(a chat.Audit) entry {
	return entry{at: a.Time, kind: chat.CleanLine(a.Kind), event: a.Event, head: chat.CleanLine(a.Text), audit: &a}
}

// Lines for programs

// phrases are the msg of each event that has come about; a request is a "request"
// and a refusal "refused", whatever their event. They never change: programs may
// look at them, though event is the better key.
var phrases = map[string]string{
	"server.ready":      "server ready",
	"server.stopping":   "server stopping",
	"server.stopped":    "server stopped",
	"user.registered":   "user registered",
	"user.removed":      "user removed",
	"user.lost":         "connection lost",
	"user.back":         "connection back",
	"user.takeover":     "user taken over",
	"presence.changed":  "presence changed",
	"status.changed":    "status changed",
	"list.sent":         "list sent",
	"invitation.new":    "invitation sent",
	"invitation.answer": "invitation answered",
	"invitation.end":    "invitation ended",
	"session.start":     "session established",
	"session.member":    "session member changed",
	"session.moved":     "session member changed terminal",
	"session.end":       "session ended",
	"message":           "message",
	"direct":            "direct message",
	"limit":             "limit reached",
	"admin":             "operator action",
	"error":             "error",

	"console.behind":         "lines not shown",
	"console.unread":         "messages not read",
	"console.gap":            "messages not seen",
	"console.unacknowledged": "direct message not acknowledged",
}

func phrase(e entry) string {
	if e.kind == "request" || e.kind == "refused" {
		return e.kind
	}
	if p, ok := phrases[e.event]; ok {
		return p
	}
	return chat.CleanLine(strings.ReplaceAll(e.event, ".", " "))
}

// levels are those that are not Info.
var levels = map[string]slog.Level{"refused": slog.LevelWarn, "error": slog.LevelError}

// appendJSON writes an entry as one line of JSON with the same keys everywhere.
// What an audit record says in words is in "detail"; "text" is what a user said.
func appendJSON(buf []byte, e entry) []byte {
	r := slog.NewRecord(e.at, levels[e.kind], phrase(e), 0)
	r.AddAttrs(slog.String("kind", e.kind), slog.String("event", e.event))
	if e.audit != nil {
		r.AddAttrs(auditAttrs(e)...)
	} else {
		r.AddAttrs(ownAttrs(e)...)
	}
	var line bytes.Buffer
	h := slog.NewJSONHandler(&line, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: utcMillis})
	_ = h.Handle(context.Background(), r) // a buffer takes everything
	return appendEscaped(buf, line.Bytes())
}

// JSONHandler writes a log with the keys, the times and the escapes of the console's lines.
func JSONHandler(w io.Writer, level slog.Level) slog.Handler {
	return slog.NewJSONHandler(escaping{w}, &slog.HandlerOptions{Level: level, ReplaceAttr: utcMillis})
}

// escaping escapes what is written, a line of JSON at a time.
type escaping struct{ io.Writer }

// Write implements io.Writer.
func (e escaping) Write(line []byte) (int, error) {
	if _, err := e.Writer.Write(appendEscaped(nil, line)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// attrs collects attributes, without the empty ones.
type attrs []slog.Attr

func (l *attrs) text(key, value string) {
	if value != "" {
		*l = append(*l, slog.String(key, value))
	}
}

func auditAttrs(e entry) []slog.Attr {
	var l attrs
	a := e.audit
	l.text("session", chat.Session{ID: a.Session}.Short())
	l.text("user", string(a.User))
	if len(a.Users) > 0 {
		l = append(l, slog.Any("users", a.Users))
	}
	l.text("class", string(a.Class))
	if a.Event == "session.start" {
		l.text("invitation", chat.Session{ID: a.Session}.Short()) // one id for both
	}
	l.text("address", a.Address)
	l.text("code", string(a.Code))
	if a.Count > 0 {
		l = append(l, slog.Int("count", a.Count))
	}
	l.text("detail", e.head)
	return l
}

func ownAttrs(e entry) []slog.Attr {
	var l attrs
	l.text("session", e.session)
	l.text("from", string(e.from))
	if len(e.to) > 0 {
		l = append(l, slog.Any("to", e.to))
	}
	if e.count > 0 {
		l = append(l, slog.Int("count", e.count))
	}
	if e.outside {
		l = append(l, slog.Bool("member", false))
	}
	if e.body == nil {
		l.text("detail", e.head)
		return l
	}
	return append(l, slog.Int("bytes", len(*e.body)), slog.String("text", *e.body))
}

func utcMillis(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
		return slog.String(a.Key, a.Value.Time().UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	return a
}

// appendEscaped escapes what JSON leaves alone but a terminal does not: DEL, C1
// and characters that are invisible or turn the direction of writing. Outside of
// its strings JSON has none of them.
func appendEscaped(buf, line []byte) []byte {
	for len(line) > 0 {
		r, size := utf8.DecodeRune(line)
		switch {
		case r == '\n' || r != 0x7f && r < 0x80 || !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Variation_Selector):
			buf = append(buf, line[:size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			buf = appendUnicode(appendUnicode(buf, high), low)
		default:
			buf = appendUnicode(buf, r)
		}
		line = line[size:]
	}
	return buf
}

func appendUnicode(buf []byte, r rune) []byte {
	buf = append(buf, `\u`...)
	return append(buf, strconv.FormatInt(0x10000+int64(r), 16)[1:]...)
}
