package ui

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"natter/chat"
	"natter/client"
)

// chatLine handles a line in a chat: Quit, bye, or text.
func (f *front) chatLine(s string) {
	switch {
	case chat.Blank(s):
	case strings.EqualFold(s, "quit"):
		f.quit()
	case strings.EqualFold(s, "bye"):
		f.bye()
	case strings.HasPrefix(strings.TrimLeft(s, " \t"), "/"):
		f.fail(blankSlash)
	default:
		f.say(s)
	}
}

// hintQuit explains once what ends a chat, after a line that looks like it.
func (f *front) hintQuit(s string) {
	word, _, _ := strings.Cut(strings.Trim(strings.ToLower(s), ` "'.!`), " ")
	if word == "quit" && !f.hinted {
		f.hinted = true
		f.out.notice(quitHint)
	}
}

func (f *front) say(s string) {
	if chat.Blank(s) {
		return
	}
	id := f.open.ID
	f.askFreely("room for your message", func(context.Context) func() {
		in, err := f.c.Session(id)
		if err == nil {
			err = in.Say(s)
		}
		return func() { f.said(s, err) }
	})
}

func (f *front) said(s string, err error) {
	switch {
	case isCode(err, chat.NotConnected):
		f.fail(notKept)
	case err != nil:
		f.failed(err)
	case f.o.Echo:
		f.show(string(f.name), s)
	}
	if err == nil {
		delete(f.byes, f.me) // a message takes it back
		f.hintQuit(s)
	}
}

func (f *front) bye() {
	in, err := f.c.Session(f.open.ID)
	if err == nil {
		err = in.Bye()
	}
	if err != nil {
		f.failed(err)
		return
	}
	f.byes[f.me] = true
	silent := slices.DeleteFunc(f.open.Others(f.me), func(n chat.Name) bool { return f.byes[n.User()] })
	if len(silent) > 0 {
		f.out.notice(fmt.Sprintf("* Waiting for %s to reply bye. Quit ends it now.", chat.Names(silent)))
	}
}

// quit ends the chat for all. An event tells of the end, also if another member was faster.
func (f *front) quit() {
	f.end((*client.Session).Quit)
}

func (f *front) leaveGroup() {
	if !f.open.Group() {
		f.fail("! This is not a group chat. Quit ends it.")
		return
	}
	f.end((*client.Session).Leave)
}

func (f *front) end(how func(*client.Session, context.Context) error) {
	id := f.open.ID
	f.ending = id
	f.ask("the end of the chat", func(ctx context.Context) func() {
		in, err := f.c.Session(id)
		if err == nil {
			err = how(in, ctx)
		}
		return func() {
			if err != nil && !isCode(err, chat.NotInChat) {
				f.failed(err)
				return
			}
			f.await = await{session: id, soon: true}
		}
	})
}

// direct queues a direct message: each is sent when the one before it has arrived, so that they stay
// in order.
func (f *front) direct(c Command) {
	if c.Verb == Respond {
		if f.lastDirect == "" {
			f.fail("! There is nobody to answer yet. @NAME TEXT writes to somebody.")
			return
		}
		c.Args = []string{string(f.lastDirect)}
	}
	f.directs = append(f.directs, c)
	if len(f.directs) == 1 {
		f.nextDirect()
	}
}

func (f *front) nextDirect() {
	name, said := f.directs[0].Args[0], f.directs[0].Text
	f.beside(func(ctx context.Context) func() {
		err := f.c.Direct(ctx, name, said)
		return func() { f.directDone(name, said, err) }
	}, func() {})
}

func (f *front) directDone(name, said string, err error) {
	switch {
	case err != nil:
		f.fail(notReached(name, err))
	default:
		f.lastDirect = chat.Name(name)
		f.show("to "+name+" (direct)", said)
	}
	f.directs = f.directs[1:]
	if len(f.directs) > 0 {
		f.nextDirect()
	}
}
