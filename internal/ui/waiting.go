package ui

import (
	"context"
	"fmt"

	"natter/chat"
)

// startWait is /wait: it goes on at once if what is waited for has happened.
func (f *front) startWait(s string) {
	w, err := parseWait(s)
	switch {
	case err != nil:
		f.failed(err)
		return
	case w.kind == "user" && f.roster == nil:
		f.watch(func() { f.waitFor(w) })
		return
	}
	f.waitFor(w)
}

func (f *front) waitFor(w want) {
	f.wait = &waiting{want: w}
	f.timers.wait = f.after(w.most)
	f.checkWait()
}

// watch begins to follow the roster.
func (f *front) watch(then func()) {
	f.ask("the list of users", func(ctx context.Context) func() {
		users, err := f.c.Watch(ctx)
		return func() {
			switch {
			case isCode(err, chat.Hidden):
				f.fail(hiddenNoList)
			case err != nil:
				f.failed(err)
			default:
				f.roster = map[chat.User]chat.Entry{}
				f.onPresence(chat.PresenceNotice{Changed: users})
				then()
			}
		}
	})
}

// checkWait ends the /wait if what it waits for has happened.
func (f *front) checkWait() {
	if f.wait == nil {
		return
	}
	met := f.tally.take(f.wait.want)
	if f.wait.want.kind == "user" {
		e, here := f.roster[f.wait.want.user]
		met = here && !e.Busy
	}
	if met {
		f.wait, f.timers.wait = nil, nil
	}
}

// waitTimedOut ends the program, unless it is to keep going. The end of a pause is no error.
func (f *front) waitTimedOut() {
	w := f.wait.want
	f.wait, f.timers.wait = nil, nil
	if w.kind == "" {
		return
	}
	f.fail(fmt.Sprintf("! Waited %s for %s.", seconds(w.most), w))
	if !f.o.KeepGoing {
		f.leave(ExitRefused)
	}
}
