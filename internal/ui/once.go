package ui

import (
	"bufio"
	"context"
	"time"

	"natter/chat"
	"natter/client"
)

// once is a run that does one thing: chatcli send, chatcli list.
type once struct {
	c    *client.Client
	out  *printer
	code int
}

// visit signs in beside the user's terminals, does the one thing, and signs out. With o.New it takes
// a name first that is not the user's yet.
func visit(ctx context.Context, c *client.Client, o Options, do func(context.Context, *once)) int {
	v := &once{c: c, out: &printer{w: o.Out, time: o.Time, now: time.Now}}
	defer c.Close()
	_, err := c.EnterBeside(ctx, o.Name, false)
	if o.New && isCode(err, chat.NotRegistered) {
		if _, err = c.Enter(ctx, o.Name); err == nil {
			err = c.SetPresence(ctx, o.Presence != chat.HiddenAway)
		}
	}
	if err != nil {
		v.out.notice(refused(o.Name, err))
		return nameCode(err)
	}
	do(ctx, v)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	_ = c.Exit(ctx) // otherwise the server notices the end of the connection
	return v.code
}

// SendOnce sends one direct message, or with text "-" every line of the input as one,
// until the receiver cannot be reached. It returns the exit code.
func SendOnce(ctx context.Context, c *client.Client, o Options, to, text string) int {
	return visit(ctx, c, o, func(ctx context.Context, v *once) {
		if text != "-" {
			v.send(ctx, to, text)
			return
		}
		in := bufio.NewReaderSize(o.In, MaxLine+2)
		for l := readLine(in, o.CutsAt); !l.end && ctx.Err() == nil && v.out.err == nil; l = readLine(in, o.CutsAt) {
			switch {
			case l.tooLong:
				v.fail("! Line too long.", ExitFailure)
			case l.cut:
				v.fail(lineCut(o.CutsAt), ExitFailure)
			default:
				v.send(ctx, to, l.text)
			}
			if v.code == ExitRefused { // nor would the other lines arrive
				return
			}
		}
	})
}

func (v *once) send(ctx context.Context, to, text string) {
	if chat.Blank(text) {
		return
	}
	err := v.c.Direct(ctx, to, text)
	switch {
	case isCode(err, chat.Unknown):
		v.fail(notReached(to, err), ExitUnknown)
		return
	case err != nil:
		v.fail(notReached(to, err), ExitRefused)
		return
	}
	v.out.say("to "+to+" (direct)", text)
}

// ListOnce prints the list of users. Users who have chosen to be hidden see none: listing
// does not make them visible.
func ListOnce(ctx context.Context, c *client.Client, o Options) int {
	return visit(ctx, c, o, func(ctx context.Context, v *once) {
		users, err := c.List(ctx)
		if isCode(err, chat.Hidden) {
			v.fail(hiddenList, ExitRefused)
			return
		}
		if err != nil {
			v.fail(problem(err), ExitFailure)
			return
		}
		v.out.users(users)
	})
}

func (v *once) fail(sentence string, code int) {
	v.out.notice(sentence)
	v.code = code
}
