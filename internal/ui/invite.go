package ui

import (
	"context"
	"strings"

	"natter/chat"
)

// invitingLine handles text while an answer is awaited, which only a terminal can send.
func (f *front) invitingLine(s string) {
	switch {
	case strings.TrimSpace(s) == "", f.answered(s), f.isRegistration(s):
	case f.proposal.Host == f.me:
		f.fail("! Your invitation to " + chat.Names(f.proposal.Guests()) + " is waiting. /cancel withdraws it.")
	default:
		f.fail("! The others have not answered yet; the chat begins when they accept.")
	}
}

// cancel withdraws the user's invitation, or goes back from a question to the menu.
func (f *front) cancel() {
	switch {
	case f.state == atUser || f.state == atGroup:
		f.enter(atMenu)
	case f.state != inviting:
		f.fail("! There is no invitation of yours to withdraw.")
	case f.proposal.Host != f.me:
		f.fail("! You have accepted; the chat begins when the others do.")
	default:
		f.withdraw(f.proposal.ID)
	}
}

func (f *front) withdraw(id string) {
	f.ask("the server", func(ctx context.Context) func() {
		err := f.c.Withdraw(ctx, id)
		return func() {
			if err != nil {
				f.failed(err)
				return
			}
			f.await = await{session: id, soon: true}
		}
	})
}

// answerNamed is /accept and /deny: of the oldest invitation, or of the named one. Numbers are
// files.
func (f *front) answerNamed(args []string, accept bool) {
	switch {
	case len(args) > 0 && isNumber(args[0]):
		f.fail(noTransfers)
	case len(f.invitations) == 0:
		f.fail("! There is no invitation to answer.")
	case len(args) == 0:
		f.answer(f.invitations[0], accept)
	default:
		for _, s := range f.invitations {
			if s.Host == chat.Name(args[0]).User() {
				f.answer(s, accept)
				return
			}
		}
		f.fail("! There is no invitation from " + shorten(args[0]) + ".")
	}
}

// answerByPolicy answers open invitations for which the policy decides. In a chat, or while the
// user's own invitation is open, it does so later.
func (f *front) answerByPolicy() {
	if f.asking != "" || f.open != nil || f.await.session != "" || f.leaving {
		return
	}
	for _, s := range f.invitations {
		if accept, decided := f.o.Accept.answer(s); decided {
			f.answer(s, accept)
			return
		}
	}
}

// answer accepts or denies. The next line waits for the events that follow, but not for the answers
// of the others of a group.
func (f *front) answer(s chat.Session, accept bool) {
	f.ask("the server", func(ctx context.Context) func() {
		err := f.c.Answer(ctx, s.ID, accept)
		return func() {
			if isCode(err, chat.NothingToDo) {
				f.forget(s.ID)
			}
			if err != nil {
				f.failed(err)
				f.again()
				return
			}
			f.forget(s.ID)
			f.await = await{session: s.ID, soon: !accept || !s.Group()}
			if accept && f.state != chatting {
				f.state, f.proposal = inviting, s
			}
		}
	})
}
