package ui

import (
	"context"
	"strings"
	"time"

	"natter/client"
	"natter/session"
)

// goodbye is how long leaving may take when the program is told to stop, and parting
// how long when the user asked to.
const (
	goodbye = time.Second
	parting = 20 * time.Second
)

// leave ends the program as choice 3 does: what was said arrives first, the others
// see a normal end, the name is given free.
func (f *front) leave(code int) {
	f.eof, f.timers.linger = true, nil
	f.code = code
	if f.leaving {
		return
	}
	f.leaving = true
	f.leaveNow()
}

// meantForTheChat asks before a 3 ends the program that the user may have typed while
// others ended the chat. A script knows what it writes.
func (f *front) meantForTheChat(s string) bool {
	cutShort := f.cutShort
	f.cutShort = false
	if !cutShort || !f.o.Terminal || f.state != atMenu || strings.TrimSpace(s) != "3" {
		return false
	}
	f.enter(atLeave)
	return true
}

// leaveLine handles the answer: only yes leaves.
func (f *front) leaveLine(c Command) {
	switch {
	case c.Verb == Reply && isYes(c.Text):
		f.leave(f.code)
	case c.Verb == Reply && (isNo(c.Text) || strings.TrimSpace(c.Text) == ""):
		f.enter(atMenu)
	case c.Verb == Reply:
		f.fail(yesOrNo)
	default:
		f.enter(atMenu)
		f.command(c)
	}
}

// leaveNow begins as soon as nothing else is under way.
func (f *front) leaveNow() {
	if !f.leaving || f.done || f.asking != "" || len(f.directs) > 0 {
		return
	}
	what := "the server"
	open, in := f.c.Open()
	if in && open.Waiting() > 0 {
		what = "your last messages to arrive"
	}
	f.ask(what, func(ctx context.Context) func() {
		last, cancel := graced(ctx)
		defer cancel()
		flushing, done := context.WithTimeout(ctx, parting)
		defer done()
		if in {
			_ = open.Flush(flushing) // what did not arrive is told by an event
		}
		_ = f.c.Exit(last) // whether the server hears of it or not, this is the end
		f.exited.Store(true)
		return func() { f.gone, f.done = true, true }
	})
}

// graced outlives ctx by a goodbye: who is told to stop while they leave, as by the end
// of input and the signal of a terminal that is closed, does not stop halfway.
func graced(ctx context.Context) (context.Context, context.CancelFunc) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), parting)
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(goodbye, cancel) })
	return last, func() { stop(); cancel() }
}

// part says goodbye in a second, if that was not done in peace. What is still under way
// has been told to stop, and gets as long for it.
func (f *front) part(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, goodbye)
	defer cancel()
	if !f.gone {
		f.settle(ctx)
		if !f.exited.Load() {
			_ = f.c.Exit(ctx)
		}
	}
	f.c.Close()
	f.lastWords()
	f.out.finish()
}

// lastWords tells what had arrived before the client was closed: the end of the chat, too.
func (f *front) lastWords() {
	f.leaving = true
	events := f.deferred
	for e := range f.c.Events() {
		events = append(events, e)
	}
	for _, e := range events {
		switch e.(type) {
		case client.Texts, client.DirectText, client.NotDelivered, client.StoredLost, client.TranscriptFailed, session.MemberLeft, session.Ended:
			f.handle(e)
		}
	}
}

// settle waits for the questions under way.
func (f *front) settle(ctx context.Context) {
	settled := make(chan struct{})
	go func() {
		f.pending.Wait() // Run waits for it as well
		close(settled)
	}()
	select {
	case <-settled:
	case <-ctx.Done():
	}
}
