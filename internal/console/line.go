package console

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"natter/chat"
)

// entry is one thing to show, or messages of one sender that came together. In text, head comes
// before every line of a message.
type entry struct {
	at    time.Time
	kind  string // lower case: request, action, message, refused, file, server, error
	event string
	head  string         // clean already
	said  []chat.Message // as they were sent; nil for everything else

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

// colors are the colors of kinds on a terminal; the text does not depend on them.
var colors = map[string]string{
	"request": "\x1b[36m", // cyan
	"action":  "\x1b[32m", // green
	"refused": "\x1b[33m", // yellow
	"file":    "\x1b[34m", // blue
	"server":  "\x1b[2m",  // dim
	"error":   "\x1b[31m", // red
}

// style says how entries are written.
type style struct {
	json  bool
	where *time.Location
	color bool
}

// add adds an entry to a page, one line for each message.
func (s style) add(p *page, e entry) {
	if s.json {
		p.addJSON(e)
	} else {
		p.addText(e, s.where, s.color)
	}
}

// appendText writes an entry as lines that all begin alike, so that no line of a
// message can be taken for a line of the console.
func appendText(buf []byte, e entry, where *time.Location, color bool) []byte {
	p := page{text: buf}
	p.addText(e, where, color)
	return p.text
}

func (p *page) addText(e entry, where *time.Location, color bool) {
	from := len(p.text)
	at := e.at.In(where)
	if e.dated {
		p.text = at.AppendFormat(p.text, time.DateOnly+" ")
	}
	p.text = at.AppendFormat(p.text, "15:04:05.000 ")
	p.text = append(appendKind(p.text, e.kind, color), e.head...)
	to := len(p.text) // of what every line begins with
	if e.said == nil {
		p.text = append(p.text, '\n')
		p.end()
	}
	for i, m := range e.said {
		first := i == 0
		for line := range strings.SplitSeq(chat.Clean(m.Text), "\n") {
			if !first {
				p.text = append(p.text, p.text[from:to]...)
			}
			p.text = append(append(p.text, line...), '\n')
			first = false
		}
		p.end()
	}
}

// appendKind writes a kind in capitals, eight characters and a blank wide.
func appendKind(buf []byte, kind string, color bool) []byte {
	const blanks = "         "
	word := strings.ToUpper(kind)
	if c := colors[kind]; color && c != "" {
		word = c + word + "\x1b[0m"
	}
	return append(append(buf, word...), blanks[min(len(kind), len(blanks)-1):]...)
}

// AppendText appends a record of the audit log as a line for people, with its day.
func AppendText(buf []byte, a chat.Audit, where *time.Location, color bool) []byte {
	e := recordOf(a)
	e.dated = true
	return appendText(buf, e, where, color)
}

// AppendJSON appends a record of the audit log as a line for programs.
func AppendJSON(buf []byte, a chat.Audit) []byte { return appendJSON(buf, recordOf(a)) }

func recordOf(a chat.Audit) entry {
	return entry{at: a.Time, kind: chat.CleanLine(a.Kind), event: a.Event, head: chat.CleanLine(a.Text), audit: &a}
}

// Lines for programs

// phrases are the msg of each event of an action; that of a request is "request" and that of a
// refusal "refused". They never change, so that programs may use them, though event is the better key.
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

// levels are the levels other than Info.
var levels = map[string]slog.Level{"refused": slog.LevelWarn, "error": slog.LevelError}

// appendJSON writes an entry as one line of JSON for each message, with the same keys
// everywhere. The sentence of an audit record is in "detail"; "text" is a user's message.
func appendJSON(buf []byte, e entry) []byte {
	p := page{text: buf}
	p.addJSON(e)
	return p.text
}

func (p *page) addJSON(e entry) {
	said, own := e.said, attrs(nil)
	if said == nil {
		said = []chat.Message{{}}
	}
	if e.audit != nil {
		own = auditAttrs(e)
	} else {
		own = ownAttrs(e)
	}
	var line bytes.Buffer
	own = append([]slog.Attr{slog.String("kind", e.kind), slog.String("event", e.event)}, own...)
	h := slog.NewJSONHandler(&line, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: utcMillis}).WithAttrs(own)
	for _, m := range said {
		r := slog.NewRecord(e.at, levels[e.kind], phrase(e), 0)
		if e.said != nil {
			r.AddAttrs(slog.Int("bytes", len(m.Text)), slog.String("text", m.Text))
		}
		line.Reset()
		_ = h.Handle(context.Background(), r) // a buffer never fails
		p.text = appendEscaped(p.text, line.Bytes())
		p.end()
	}
}

// JSONHandler writes a log with the keys, the times and the escapes of the console's lines.
func JSONHandler(w io.Writer, level slog.Level) slog.Handler {
	return slog.NewJSONHandler(escaping{w}, &slog.HandlerOptions{Level: level, ReplaceAttr: utcMillis})
}

// escaping escapes lines of JSON.
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
	l.text("asked", string(a.Asked))
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
	if e.said == nil {
		l.text("detail", e.head)
	}
	return l
}

func utcMillis(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
		return slog.String(a.Key, a.Value.Time().UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	return a
}

// appendEscaped escapes characters that are allowed in JSON but have an effect on a terminal: DEL, C1
// and characters that are invisible or change the direction of writing. Outside of strings JSON has
// none of them.
func appendEscaped(buf, line []byte) []byte {
	for len(line) > 0 {
		plain := slices.IndexFunc(line, func(c byte) bool { return c >= 0x7f })
		if plain < 0 {
			return append(buf, line...)
		}
		buf, line = append(buf, line[:plain]...), line[plain:]
		r, size := utf8.DecodeRune(line)
		switch {
		case !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Variation_Selector):
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
