package ui

import (
	"context"
	"strings"
	"time"

	"natter/chat"
	"natter/client"
	"natter/internal/flags"
)

// nameLine handles a line at the name prompt, where only help and exit are commands.
func (f *front) nameLine(c Command, s string) {
	switch {
	case c.Verb == Help:
		f.help(c.Args)
	case c.Verb == Exit, c.Verb == Disconnect:
		f.leave(f.code)
	case c.Verb != Reply && !strings.ContainsAny(s[:1], `@\`), nearlyCommand(s):
		f.fail(nameFirst)
	default:
		f.tryName(s, f.c.Enter)
	}
}

// nearlyCommand reports whether a line at the name prompt looks like a call for help or exit rather
// than a name: a name that is taken by accident is taken for good. --name accepts these names.
func nearlyCommand(s string) bool {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "help", "quit", "exit", "bye":
		return true
	}
	return strings.HasPrefix(s, "/")
}

// tryName asks for a name. The second seed has a # in front of it.
func (f *front) tryName(s string, enter func(context.Context, string) (client.Welcome, error)) {
	s = strings.TrimPrefix(strings.TrimSpace(s), "#")
	f.ask("the username "+shorten(s), func(ctx context.Context) func() {
		if _, err := chat.ParseName(s); err != nil {
			return func() { f.nameRefused(s, err) }
		}
		w, err := enter(ctx, s)
		if f.o.Listen && isCode(err, chat.SignedIn) {
			if w, err = f.c.EnterBeside(ctx, s, true); err == nil {
				return func() { f.listenBeside(w) }
			}
		}
		if err != nil {
			return func() { f.nameRefused(s, err) }
		}
		return func() {
			f.refused = nil
			f.name, f.me, f.grace = w.Name, w.Name.User(), w.Rules.Grace
			remembered := f.remembers(w)
			f.out.notice(welcome(w, f.o.Home) + remembered)
			for _, s := range w.Missed {
				f.out.notice(missed(s, f.me))
			}
			f.presence(remembered != "", w.Presence)
		}
	})
}

// listenBeside goes on beside a terminal of the user: this program only shows direct messages.
func (f *front) listenBeside(w client.Welcome) {
	f.name, f.me, f.grace = w.Name, w.Name.User(), w.Rules.Grace
	f.out.notice(besideTerminal(w.Name))
	f.settled()
}

// nameRefused asks for another name, if another one can help and there is somebody to ask.
func (f *front) nameRefused(s string, err error) {
	f.refused = err
	if isCode(err, chat.Auth) && !f.eof {
		f.unlock(s)
		return
	}
	if isCode(err, chat.SignedIn) && !f.eof {
		f.over = s
		f.enter(atTakeover)
		return
	}
	f.fail(refused(s, err))
	if code := nameCode(err); code != ExitName || f.eof {
		f.leave(code)
		return
	}
	f.enter(atName)
}

// nameCode is the exit code of a program that did not get a name.
func nameCode(err error) int { return flags.ChatcliExit(err) }

// presence asks whether others may see the user, unless a flag says so or the choice is remembered.
func (f *front) presence(remembered bool, p chat.Presence) {
	switch {
	case remembered:
		f.recall(p)
	case f.o.Presence == chat.Undecided:
		f.enter(atPresence)
	default:
		f.choosePresence(f.o.Presence == chat.Visible)
	}
}

// presenceLine handles a line while the question is open: commands that concern others have to wait.
func (f *front) presenceLine(c Command) {
	switch c.Verb {
	case Show, Hide:
		f.choosePresence(c.Verb == Show)
	case Reply:
		f.presenceReply(c.Text)
	case Chat, Group:
		f.fail("! Answer yes or no first.")
	default:
		f.command(c)
	}
}

func (f *front) presenceReply(s string) {
	switch {
	case isYes(s), strings.TrimSpace(s) == "":
		f.choosePresence(true)
	case isNo(s):
		f.choosePresence(false)
	default:
		f.fail(yesOrNo)
	}
}

// choosePresence answers the first question: after yes comes the list, after no what it means.
func (f *front) choosePresence(visible bool) {
	f.ask("the server", func(ctx context.Context) func() {
		if err := f.c.SetPresence(ctx, visible); err != nil {
			return func() { f.presenceFailed(err) }
		}
		if !visible {
			return func() {
				f.o.Presence = chat.HiddenAway
				f.out.notice(nowHidden)
				f.settled()
			}
		}
		users, err := f.c.List(ctx)
		return func() {
			f.o.Presence = chat.Visible
			if err != nil {
				f.failed(err)
			} else {
				f.out.users(users)
			}
			f.settled()
		}
	})
}

func (f *front) presenceFailed(err error) {
	f.failed(err)
	if f.eof {
		f.leave(ExitFailure)
		return
	}
	f.o.Presence = chat.Undecided
	f.settled()
}

// settled goes to the menu, unless a chat that was open before has come back meanwhile.
func (f *front) settled() {
	if f.open == nil && f.await.session == "" {
		f.home()
	}
}

// setPresence is /show and /hide.
func (f *front) setPresence(visible bool) {
	f.ask("the server", func(ctx context.Context) func() {
		err := f.c.SetPresence(ctx, visible)
		return func() {
			switch {
			case err != nil:
				f.failed(err)
			case visible:
				f.o.Presence = chat.Visible
				f.out.notice(nowVisible)
			default:
				f.o.Presence = chat.HiddenAway
				f.out.notice(nowHidden)
			}
		}
	})
}

// after returns the channel of a new timer.
func (f *front) after(d time.Duration) <-chan time.Time { return time.After(d) }
