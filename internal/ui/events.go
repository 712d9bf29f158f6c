package ui

import (
	"slices"
	"strings"

	"natter/chat"
	"natter/client"
	"natter/session"
)

// event handles an event of the client. While a question is under way, events that change the state,
// and all after them, wait for its answer: the answer to an invitation must be handled before the
// chat that it opens. Messages are shown at once.
func (f *front) event(e client.Event) {
	if f.ordered && (changesState(e) || len(f.deferred) > 0) {
		f.deferred = append(f.deferred, e)
		return
	}
	f.handle(e)
}

func changesState(e client.Event) bool {
	switch e.(type) {
	case session.Invited, session.InvitationEnded, session.Accepted, session.Opened, session.MemberLeft, session.Ended:
		return true
	}
	return false
}

// handle tells the user, and changes the state if the event requires it.
func (f *front) handle(e client.Event) {
	switch e := e.(type) {
	case session.Invited:
		f.onInvited(e.Session)
	case session.Accepted:
		if e.Session.Host == f.me || e.Session.ID == f.proposal.ID {
			f.out.notice(accepted(e))
		}
	case session.InvitationEnded:
		f.onInvitationEnded(e.Session)
	case session.Opened:
		f.onOpened(e.Session)
	case session.MemberLeft:
		f.onLeft(e)
	case session.MemberLost:
		f.out.notice("* " + string(e.Name) + " lost the connection. Waiting " + seconds(f.grace) + ".")
	case session.MemberBack:
		f.out.notice("* " + string(e.Name) + " is back.")
	case session.Ended:
		f.onEnded(e.Session)
	default:
		f.handleTalk(e)
	}
	f.checkWait()
}

// handleTalk is handle for messages and for the connection.
func (f *front) handleTalk(e client.Event) {
	switch e := e.(type) {
	case client.Texts:
		for _, m := range e.Messages {
			f.show(string(e.From), m.Text)
			f.tally.add(happening{kind: "message", text: m.Text})
		}
	case client.DirectText:
		f.show(string(e.From)+" (direct)", e.Text)
		f.lastDirect = e.From
		f.tally.add(happening{kind: "message", text: e.Text})
	case client.Bye:
		f.onBye(e)
	case client.StoredLost:
		f.out.notice(storedLost(e.From))
	case client.NotDelivered:
		f.onNotDelivered(e)
	case client.PresenceChanged:
		f.onPresence(e.PresenceNotice)
	case client.SignedOut:
		if e.Elsewhere {
			f.out.notice(signedOutHere)
		} else {
			f.out.notice(signedOut(e))
		}
		f.code, f.done, f.gone = ExitSignedOut, true, true
	default:
		f.handleConnection(e)
	}
}

func (f *front) handleConnection(e client.Event) {
	switch e := e.(type) {
	case client.Lost:
		f.out.notice("! Connection to " + e.Server + " lost. Trying again.")
	case client.Unsafe:
		f.out.notice(problem(e.Err))
	case client.Connected:
		f.out.notice(connected(e, f.me))
		if e.Chat != nil && e.Chat.State == chat.Closed {
			f.endedBefore = e.Chat.ID
		}
	case client.MessageWaits:
		f.out.notice(messageWaits(e))
	case client.MessageStored:
		f.out.notice(messageStored(e))
	case session.Slowed:
		f.out.notice(slowed(e.Rate))
	case session.TooFast:
		f.out.notice("* " + string(e.From) + " sends too fast; some of it comes later.")
	case client.InvitationsHeld:
		f.out.notice(invitationsHeld(e.N))
	case client.DirectTooFast:
		f.out.notice("* " + string(e.From) + " sends too fast; some of it was not taken.")
	case client.CoordinatorAway:
		f.out.notice("! The coordinator does not answer. You can go on chatting; lists and invitations wait.")
	case client.CoordinatorBack:
		f.out.notice("* The coordinator answers again.")
	case client.TranscriptFailed:
		f.out.notice(transcriptFailed(e.Err))
	case client.Stopping:
		f.out.notice("* The server stops. Chats go on if it is back in time and has kept them.")
	}
}

// onNotDelivered tells what did not arrive. A text that may still arrive is no failure.
func (f *front) onNotDelivered(e client.NotDelivered) {
	sentence := notDelivered(e)
	if _, whole := beginning(e.Text); !whole {
		f.keepUnsent(e.Text)
		sentence = strings.TrimSuffix(sentence, ".") + ". /more shows all of it."
	}
	if e.Kept {
		f.out.notice(sentence)
		return
	}
	f.fail(sentence)
}

// keepUnsent keeps a text of the user for /more, once: the event may be repeated.
func (f *front) keepUnsent(text string) {
	f.more = slices.DeleteFunc(f.more, func(x excerpted) bool { return !x.unsent })
	if x := (excerpted{string(f.name), text, true}); !slices.Contains(f.more, x) {
		f.more = append(f.more, x)
	}
}

// show prints a message and keeps what was too long for /more.
func (f *front) show(who, text string) {
	if rest := f.out.say(who, text); rest != "" {
		f.more = slices.DeleteFunc(f.more, func(x excerpted) bool { return !x.unsent })
		f.more = slices.Insert(f.more, 0, excerpted{who: who, text: rest})
	}
}

func (f *front) onInvited(s chat.Session) {
	f.invitations = append(f.invitations, s)
	if _, decided := f.o.Accept.answer(s); f.o.Listen && !decided {
		f.out.notice(strings.TrimSuffix(invited(s, f.me), acceptIt) + unanswered)
	} else {
		f.out.notice(invited(s, f.me))
	}
	if f.o.Bell {
		f.out.bell()
	}
	f.tally.add(happening{kind: "invitation"})
	f.answerByPolicy()
}

func (f *front) onInvitationEnded(s chat.Session) {
	f.forget(s.ID)
	f.out.notice(invitationEnded(s, f.me))
	switch {
	case s.ID == f.await.session, s.ID == f.proposal.ID:
		f.home()
	case f.state == atMenu:
		f.enter(atMenu)
	}
}

func (f *front) onOpened(s chat.Session) {
	f.forget(s.ID)
	for _, l := range opened(s, f.me) {
		f.out.notice(l)
	}
	f.open, f.proposal, f.await = &s, chat.Session{}, await{}
	f.byes = map[chat.User]bool{}
	f.enter(chatting)
	f.tally.add(happening{kind: "chat"})
}

// onBye tells that somebody would like to end the chat. If the user said so first, the
// chat ends when the last one has.
func (f *front) onBye(e client.Bye) {
	if f.open == nil {
		return
	}
	f.byes[e.From.User()] = !e.Back
	if e.Back || !f.byes[f.me] {
		f.out.notice(bye(e))
	}
}

// onLeft tells that a member left. If the user left, the chat is over for them; if that ended the
// chat for all, Ended follows.
func (f *front) onLeft(e session.MemberLeft) {
	_, in := e.Session.Member(f.me)
	switch {
	case e.Name.User() != f.me:
		f.open = &e.Session
		f.out.notice(memberLeft(e))
		return
	case e.Reason == chat.ByOperator: // SignedOut says it
	case e.Reason == chat.ByLoss:
		f.out.notice("* You did not come back in time.")
		f.cutShort = true
	default:
		f.out.notice("* You left the group chat.")
	}
	if !in || e.Session.State != chat.Closed {
		f.tally.add(happening{kind: "end"})
		f.home()
	}
}

func (f *front) onEnded(s chat.Session) {
	if why := ended(s, f.me); why != "" && f.endedBefore != s.ID {
		f.out.notice(why)
	}
	f.out.line(sessionEnded)
	f.cutShort = f.ending != s.ID && !f.byes[f.me]
	f.tally.add(happening{kind: "end"})
	f.home()
	if s.Reason == chat.ByBye && f.o.ByeExits {
		f.leave(f.code)
	}
}

// forget removes an invitation that is answered or over.
func (f *front) forget(id string) {
	f.invitations = slices.DeleteFunc(f.invitations, func(s chat.Session) bool { return s.ID == id })
}

// onPresence updates the roster for /wait user.
func (f *front) onPresence(n chat.PresenceNotice) {
	if f.roster == nil {
		return
	}
	for _, e := range n.Changed {
		f.roster[e.Name.User()] = e
	}
	for _, gone := range n.Gone {
		delete(f.roster, gone.User())
	}
}
