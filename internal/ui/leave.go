package ui

import (
	"context"
	"strings"
	"time"

	"natter/client"
	"natter/session"
)

// goodbye is how long signing out may take when the program is told to stop, and parting how long
// when the user asked for it.
const (
	goodbye = time.Second
	parting = 20 * time.Second
)

// leave ends the program as choice 3 does: messages are delivered first, the others see a normal
// end, and the user is signed out.
func (f *front) leave(code int) {
	f.eof, f.timers.linger = true, nil
	f.code = code
	if f.leaving {
		return
	}
	f.leaving = true
	f.leaveNow()
}

// meantForTheChat asks before a 3, or exit, ends the program that the user may have typed as a message while
// others ended the chat. A script is not asked.
func (f *front) meantForTheChat(s string) bool {
	cutShort := f.cutShort
	f.cutShort = false
	if !cutShort || !f.o.Terminal || f.state != atMenu || choice(s) != 3 {
		return false
	}
	f.enter(atLeave)
	return true
}

// leaveLine handles the answer: only yes ends the program.
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

// leaveNow leaves as soon as no question is under way.
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
			_ = open.Flush(flushing) // events tell what did not arrive
		}
		_ = f.c.Exit(last) // whether the server hears of it or not, this is the end
		f.exited.Store(true)
		return func() { f.gone, f.done = true, true }
	})
}

// graced returns a context that ends later than ctx by goodbye: a program that is told to stop while
// it leaves, as when a terminal is closed, leaves properly.
func graced(ctx context.Context) (context.Context, context.CancelFunc) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), parting)
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(goodbye, cancel) })
	return last, func() { stop(); cancel() }
}

// part signs out within a second, if that was not done before. Questions that are still under way
// were canceled, and get as long to end.
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

// lastWords shows the events from before the client was closed, also the end of the chat.
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
