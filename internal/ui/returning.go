package ui

import (
	"errors"
	"fmt"
	"strings"

	"natter/chat"
	"natter/client"
)

// takeover asks whether to sign in here although the user is signed in elsewhere.
func takeover(name string, err error) string {
	return signedIn(name, err) + " Sign in here and sign out there? (yes/no) [no]: "
}

// takeoverLine handles the answer: anything but yes leaves the other terminal signed in.
func (f *front) takeoverLine(c Command) {
	switch {
	case c.Verb == Help:
		f.help(c.Args)
	case c.Verb == Exit, c.Verb == Disconnect:
		f.leave(f.code)
	case c.Verb == Reply && isYes(c.Text):
		f.tryName(f.over, f.c.EnterOver)
	case c.Verb == Reply && (isNo(c.Text) || strings.TrimSpace(c.Text) == ""):
		f.enter(atName)
	default:
		f.fail(yesOrNo)
	}
}

// remembers is what the greeting says of the presence that the user chose before; "" if they did
// not, or have chosen by a flag.
func (f *front) remembers(w client.Welcome) string {
	switch {
	case f.o.Presence != chat.Undecided || !w.Returning:
		return ""
	case w.Presence == chat.Visible:
		return " You are visible; /hide changes that."
	case w.Presence == chat.HiddenAway:
		return " You are hidden; /show changes that."
	}
	return ""
}

// recall goes on as if the user had given the remembered answer.
func (f *front) recall(p chat.Presence) {
	f.known = !f.o.Terminal
	if p == chat.Visible {
		f.choosePresence(true)
		return
	}
	f.o.Presence = p
	f.settled()
}

// scripted takes the answer to a question that was not asked, if a script gives it: so the same
// lines work the first time and later.
func (f *front) scripted(c Command) bool {
	first := f.known
	f.known = false
	if !first || len(f.invitations) > 0 || c.Verb != Reply || !isYes(c.Text) && !isNo(c.Text) {
		return false // or it answers an invitation
	}
	if visible := isYes(c.Text); visible != (f.o.Presence == chat.Visible) {
		f.choosePresence(visible)
	}
	return true
}

// signedOutHere tells the user that another terminal has signed this one out.
const signedOutHere = "! Signed in on another terminal; this one is signed out."

// signedIn tells that the user is signed in already, and since when.
func signedIn(name string, err error) string {
	var e *chat.Error
	if !errors.As(err, &e) {
		return problem(err)
	}
	return fmt.Sprintf("* %s is signed in on another terminal since %s.", name, e.Since.Local().Format("15:04"))
}
