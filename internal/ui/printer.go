package ui

import (
	"fmt"
	"io"
	"strings"
	"time"

	"natter/chat"
)

// printer writes whole lines, each with one write, and is the only way to the user's screen: what
// it writes has no control character but the LF that it adds itself.
type printer struct {
	w        io.Writer
	terminal bool // prompts end without LF, and the bell is used
	time     bool // messages and notices have the time
	now      func() time.Time

	prompting bool   // the cursor stands behind a prompt
	day       string // of the last line with a time
	err       error  // of the first write that failed: nobody is there to read on
}

// line writes one of the seeds' own lines.
func (p *printer) line(s string) {
	p.write(oneLine(s) + "\n")
}

// row writes one row of a table, with tabs between the columns.
func (p *printer) row(a, b string) {
	p.write(oneLine(a) + "\t" + oneLine(b) + "\n")
}

// users writes the list: who is there, and with whom they chat.
func (p *printer) users(users []chat.Entry) {
	if len(users) == 0 {
		p.line("No other client.")
		return
	}
	p.row("User", "Available/busy")
	for _, e := range users {
		p.row(string(e.Name), status(e))
	}
}

// notice writes a fact ("* ...") or an error ("! ...").
func (p *printer) notice(s string) {
	p.timed(s)
}

// say writes a message, line by line, each with the sender's name. It returns what was too long to
// be shown.
func (p *printer) say(who, text string) (rest string) {
	shown, rest := chat.Excerpt(chat.CleanAll(text))
	for l := range strings.SplitSeq(shown, "\n") {
		p.timed(who + ": " + l)
	}
	if rest != "" {
		p.timed(fmt.Sprintf("* ... %d more characters, /more", chat.Characters(rest)))
	}
	return rest
}

// prompt writes a prompt. On a pipe a prompt is a line like any other.
func (p *printer) prompt(s string) {
	if !p.terminal {
		p.write(s + "\n")
		return
	}
	p.write(s)
	p.prompting = true
}

// entered notes that the user has ended the prompt's line.
func (p *printer) entered() { p.prompting = false }

// finish leaves the cursor at the beginning of a line.
func (p *printer) finish() {
	if p.prompting {
		p.write("")
	}
}

func (p *printer) bell() {
	if p.terminal {
		p.raw("\a")
	}
}

func (p *printer) timed(s string) {
	if !p.time {
		p.line(s)
		return
	}
	now := p.now()
	if day := now.Format("2006-01-02"); day != p.day {
		if p.day != "" {
			p.line("* " + day)
		}
		p.day = day
	}
	p.line(now.Format("15:04 ") + s)
}

func (p *printer) write(s string) {
	if p.prompting {
		s = "\n" + s
		p.prompting = false
	}
	p.raw(s)
}

func (p *printer) raw(s string) {
	if _, err := io.WriteString(p.w, s); err != nil && p.err == nil {
		p.err = err
	}
}

func oneLine(s string) string {
	return strings.ReplaceAll(chat.CleanAll(s), "\n", " ")
}
