package ui

import (
	"fmt"
	"io"
	"strings"
	"time"

	"natter/chat"
	"natter/client"
	"natter/session"
	"natter/session/transcript"
)

// Replay shows a transcript as the screen showed the chat, with the original times. Texts go through
// the same printer.
type Replay struct {
	p  printer
	at time.Time
	s  chat.Session // the chat, as far as the first line says
	me chat.Name
	of transcript.Line // the first line
}

// NewReplay shows one transcript on out.
func NewReplay(out io.Writer) *Replay {
	r := &Replay{}
	r.p = printer{w: out, time: true, now: func() time.Time { return r.at }}
	return r
}

// Line shows the next line. Its error is that of out.
func (r *Replay) Line(l transcript.Line) error {
	r.at = l.At.Local()
	switch l.Kind {
	case transcript.Chat, transcript.Direct:
		r.head(l)
	case transcript.Said:
		r.said(l)
	default:
		if sentence := r.sentence(l); sentence != "" {
			r.p.notice(sentence)
		}
	}
	return r.p.err
}

// Heading returns the title of a transcript.
func Heading(head transcript.Line) string {
	with := chat.Names(head.Members)
	switch head.Kind {
	case "":
		return "A transcript whose beginning is damaged"
	case transcript.Direct:
		return fmt.Sprintf("Direct messages with %s, at %s", with, head.Server)
	}
	seen := "shown on the server console"
	if head.Class == chat.SealedClass {
		seen = "end-to-end encrypted"
	}
	return fmt.Sprintf("Chat with %s, at %s, %s", with, head.Server, seen)
}

// head shows the beginning of the transcript; two programs that wrote at the same time have both
// begun it.
func (r *Replay) head(l transcript.Line) {
	if r.of.Kind != "" {
		return
	}
	r.of, r.me = l, l.Me
	for _, n := range append([]chat.Name{l.Me}, l.Members...) {
		r.s.Members = append(r.s.Members, chat.Member{Name: n})
	}
	r.p.day = r.at.Format("2006-01-02")
	r.p.line("* " + r.p.day)
	r.p.notice("* " + Heading(l) + ".")
}

func (r *Replay) said(l transcript.Line) {
	who := speaker(r.of, l)
	for row := range strings.SplitSeq(chat.CleanAll(l.Text), "\n") {
		r.p.timed(who + ": " + row)
	}
}

// speaker returns the sender of a line, as the screen shows it.
func speaker(head, l transcript.Line) string {
	switch {
	case head.Kind != transcript.Direct:
		return string(l.From)
	case l.From.User() == head.Me.User():
		return "to " + chat.Names(head.Members) + " (direct)"
	}
	return string(l.From) + " (direct)"
}

// sentence returns what happened, in the past tense; "" if nothing is shown.
func (r *Replay) sentence(l transcript.Line) string {
	own := l.From.User() == r.me.User()
	switch l.Kind {
	case transcript.Resumed:
		return "* chatcli was started again."
	case transcript.Failed:
		return notDelivered(client.NotDelivered{Text: l.Text})
	case transcript.Unknown:
		return notDelivered(client.NotDelivered{Text: l.Text, Unknown: true})
	case transcript.Bye:
		if own {
			return "* You said bye."
		}
		return bye(client.Bye{From: l.From})
	case transcript.NoBye:
		return bye(client.Bye{From: l.From, Back: true})
	case transcript.Left:
		if own {
			return "* You left the group chat."
		}
		return memberLeft(session.MemberLeft{Name: l.From, Reason: l.Reason})
	case transcript.Lost:
		return fmt.Sprintf("* %s lost the connection.", l.From)
	case transcript.Back:
		return fmt.Sprintf("* %s is back.", l.From)
	case transcript.Missing:
		return fmt.Sprintf("! The transcript could not be written; missing here: %s.", count(l.Count, "line"))
	case transcript.Ended:
		return r.ended(l)
	}
	return ""
}

// ended shows the end, on a line of its own after who ended the chat.
func (r *Replay) ended(l transcript.Line) string {
	s := r.s
	s.Reason = l.Reason
	for _, n := range l.By {
		s.By = append(s.By, n.User())
	}
	if why := ended(s, r.me.User()); why != "" {
		r.p.notice(why)
	}
	return sessionEnded
}
