package ui

import (
	"context"

	"natter/chat"
)

// start tries the given name, or asks for one.
func (f *front) start() {
	f.out.line("chatcli " + chat.Release + ", server " + f.c.Server())
	if f.o.Name != "" {
		f.tryName(f.o.Name, f.c.Enter)
	}
	if f.eof && f.o.Name == "" {
		f.leave(ExitName)
	}
}

// prompt asks for the next line, once.
func (f *front) prompt() {
	if f.asked && (f.out.prompting || !f.o.Terminal) {
		return
	}
	f.asked = true
	switch f.state {
	case atName:
		f.out.prompt("Enter your username: ")
	case atPassphrase:
		f.promptSecret()
	case atTakeover:
		f.out.prompt(takeover(f.over, f.refused))
	case atPresence:
		f.out.prompt("Show your presence to other users? (yes/no) [yes]: ")
	case atMenu:
		f.menu()
	case atLeave:
		f.out.prompt(leaveAfter)
	case atUser:
		f.out.prompt("Enter username: ")
	case atGroup:
		f.out.prompt(groupPrompt(f.free))
	}
}

func (f *front) menu() {
	if f.showMenu {
		f.showMenu = false
		f.out.line("1. List users")
		f.out.line("2. Chat")
		f.out.line("3. Exit")
		f.out.line("4. Group chat")
	}
	f.out.prompt("Enter your choice: ")
}

// enter changes the state and shows its menu.
func (f *front) enter(s state) {
	f.state, f.asked = s, false
	f.showMenu = s == atMenu
}

// home goes to the menu, unless the question before it has not been answered yet.
func (f *front) home() {
	f.open, f.proposal, f.await = nil, chat.Session{}, await{}
	if f.o.Presence == chat.Undecided {
		f.enter(atPresence)
		return
	}
	f.enter(atMenu)
	f.answerByPolicy()
}

// input handles a line.
func (f *front) input(l input) {
	f.asked = false
	hidden := f.reveal()
	switch {
	case l.end:
		f.endOfInput()
		return
	case l.tooLong:
		f.out.entered()
		f.fail("! Line too long.")
		return
	case l.cut:
		f.out.entered()
		f.fail(lineCut(f.o.CutsAt))
		return
	}
	if !hidden { // else not even its end was shown
		f.out.entered()
	}
	if l.notUTF8 {
		if f.o.Strict {
			f.fail("! That line is not UTF-8; it was not used. Write it in UTF-8.")
			return
		}
		f.out.notice("* That line is not UTF-8; what could not be read was replaced.")
	}
	f.line(l.text)
}

// line handles the text of a line.
func (f *front) line(s string) {
	c := Parse(s)
	if f.scripted(c) || f.meantForTheChat(s) {
		return
	}
	switch f.state {
	case atName:
		f.nameLine(c, s)
	case atPassphrase:
		f.passphraseLine(s)
	case atTakeover:
		f.takeoverLine(c)
	case atPresence:
		f.presenceLine(c)
	case atLeave:
		f.leaveLine(c)
	default:
		f.command(c)
	}
}

// reply handles a line that is an answer to what the state expects.
func (f *front) reply(s string) {
	switch f.state {
	case chatting:
		f.chatLine(s)
	case inviting:
		f.invitingLine(s)
	case atUser:
		f.userLine(s)
	case atGroup:
		f.groupLine(s)
	default:
		f.menuLine(s)
	}
}

// endOfInput leaves at once, after a while, or never.
func (f *front) endOfInput() {
	f.eof = true
	code := f.code
	if (f.state == atName || f.state == atTakeover) && f.refused != nil {
		code = nameCode(f.refused)
	}
	switch {
	case f.state == atPassphrase:
		f.fail("! No passphrase came, so the key stays locked.")
		f.leave(ExitDenied)
	case f.o.Linger == Forever:
	case f.o.Linger > 0 && f.state != atName && f.state != atTakeover:
		f.timers.linger = f.after(f.o.Linger)
	default:
		f.leave(code)
	}
}

// list asks for the users and passes them on. A hidden user gets none.
func (f *front) list(then func([]chat.Entry)) {
	f.ask("the list of users", func(ctx context.Context) func() {
		users, err := f.c.List(ctx)
		return func() {
			switch {
			case isCode(err, chat.Hidden):
				f.fail(hiddenNoList)
				f.again()
			case err != nil:
				f.failed(err)
				f.again()
			default:
				then(users)
			}
		}
	})
}

// again goes back to the menu after something failed, unless a chat is open.
func (f *front) again() {
	switch f.state {
	case chatting, inviting, atPresence:
	default:
		f.enter(atMenu)
	}
}

// users prints the list and, if it was asked for in the menu, the menu.
func (f *front) users(users []chat.Entry) {
	f.out.users(users)
	if f.state == atMenu {
		f.enter(atMenu)
	}
}
