package ui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"natter/chat"
)

// menuLine handles a choice, or the answer to the oldest open invitation.
func (f *front) menuLine(s string) {
	if len(f.invitations) > 0 {
		switch {
		case isYes(s), isAny(s, "accept"):
			f.answer(f.invitations[0], true)
			return
		case isNo(s), isAny(s, "deny"):
			f.answer(f.invitations[0], false)
			return
		}
	}
	switch choice(s) {
	case 1:
		f.list(f.users)
	case 2:
		f.pickUser()
	case 3:
		f.leave(f.code)
	case 4:
		f.pickGroup()
	default:
		f.wrongChoice(s)
	}
}

// choices are the numbers and words by which the items of the menu are chosen, in its order.
var choices = [][]string{{"1", "list users", "list"}, {"2", "chat"}, {"3", "exit"}, {"4", "group chat", "group"}}

// choice returns which item of the menu a line chooses; 0 is none.
func choice(s string) int {
	return 1 + slices.IndexFunc(choices, func(words []string) bool { return isAny(s, words...) })
}

func (f *front) wrongChoice(s string) {
	switch s = strings.TrimSpace(s); {
	case f.isRegistration(s):
		return
	case endsChat(s):
		f.fail(fmt.Sprintf(noChatToEnd, s))
	default:
		f.fail(wrongChoice)
	}
	f.enter(atMenu)
}

// isRegistration answers the second seed's #NAME, which no longer has a meaning.
func (f *front) isRegistration(s string) bool {
	rest, ok := strings.CutPrefix(strings.TrimSpace(s), "#")
	if ok = ok && looksLikeName(rest); ok {
		f.fail("! You are " + string(f.name) + " already.")
	}
	return ok
}

// pickUser shows who can be invited. A hidden user sees no list, but may type a name.
func (f *front) pickUser() {
	if f.o.Presence != chat.Visible {
		f.free = nil
		f.enter(atUser)
		return
	}
	f.list(func(users []chat.Entry) {
		f.free = available(users)
		if len(f.free) == 0 {
			f.nobody()
			return
		}
		f.out.line("Available users:")
		for _, n := range f.free {
			f.out.line(string(n))
		}
		f.enter(atUser)
	})
}

func (f *front) nobody() {
	f.out.line("No clients to chat")
	f.again()
}

// userLine handles the name of a user to invite.
func (f *front) userLine(s string) {
	switch {
	case strings.TrimSpace(s) == "":
		f.enter(atMenu)
	case f.isRegistration(s), f.answered(s):
	default:
		f.propose(f.pickUser, strings.TrimSpace(s))
	}
}

// answered handles yes and no to an invitation while another question is open.
func (f *front) answered(s string) bool {
	if len(f.invitations) == 0 || !isYes(s) && !isNo(s) {
		return false
	}
	f.answer(f.invitations[0], isYes(s))
	return true
}

// pickGroup shows the groups that can be invited.
func (f *front) pickGroup() {
	if f.o.Presence != chat.Visible {
		f.free = nil
		f.enter(atGroup)
		return
	}
	f.list(func(users []chat.Entry) {
		f.free = available(users)
		switch n := len(f.free); {
		case n == 0:
			f.nobody()
		case n == 1:
			f.fail(fmt.Sprintf("! Group chat needs two available users; only %s is available.", f.free[0]))
			f.again()
		default:
			f.printGroups()
			f.enter(atGroup)
		}
	})
}

func (f *front) printGroups() {
	if len(f.free) > numbered {
		f.out.line(fmt.Sprintf("%d users are available: %s", len(f.free), chat.Names(f.free)))
		return
	}
	for i, g := range groups(f.free) {
		f.out.line(fmt.Sprintf("%d. %s", i+1, chat.Names(g)))
	}
}

// groupPrompt asks for a number if there are any.
func groupPrompt(free []chat.Name) string {
	if len(free) >= 2 && len(free) <= numbered {
		return "Enter your choice: "
	}
	return "Enter usernames separated by blanks, or all: "
}

// groupLine handles the choice of a group: a number, names, or all.
func (f *front) groupLine(s string) {
	switch {
	case strings.TrimSpace(s) == "":
		f.enter(atMenu)
		return
	case f.isRegistration(s), f.answered(s):
		return
	}
	guests, err := chooseGroup(s, f.free)
	if err != nil {
		f.failed(err)
		f.pickGroup()
		return
	}
	f.propose(f.pickGroup, guests...)
}

// chooseGroup parses a number of the list, names with blanks or commas between them, or all.
func chooseGroup(s string, free []chat.Name) ([]string, error) {
	options := [][]chat.Name(nil)
	if len(free) <= numbered {
		options = groups(free)
	}
	chosen := splitNames(s)
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(s), "."))
	switch {
	case err == nil && n >= 1 && n <= len(options):
		return asStrings(options[n-1]), nil
	case isNumber(s) && len(options) > 0:
		return nil, chat.Errorf(chat.Arguments, "Enter a number from 1 to %d, or usernames.", len(options))
	case isNumber(s):
		return nil, chat.Errorf(chat.Arguments, "Enter usernames, or all.")
	case len(chosen) == 1 && isAny(s, "all"):
		return everybody(free)
	case len(chosen) == 1:
		return nil, chat.Errorf(chat.GroupSmall, "A group chat needs two usernames or more; 2 chats with one.")
	}
	return chosen, nil
}

// isNumber reports whether somebody meant a number; no name begins with a digit.
func isNumber(s string) bool {
	s = strings.TrimSpace(s)
	return s != "" && strings.Trim(s, "-.0123456789") == ""
}

func everybody(free []chat.Name) ([]string, error) {
	if len(free) < 2 {
		return nil, chat.Errorf(chat.GroupSmall, "You see no list, so name the users.")
	}
	return asStrings(free), nil
}

func asStrings(names []chat.Name) []string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = string(n)
	}
	return all
}

// invite is /chat NAME, and inviteGroup /group.
func (f *front) invite(names []string) {
	if f.mayInvite() {
		f.propose(f.again, names...)
	}
}

func (f *front) inviteGroup(names []string) {
	switch {
	case !f.mayInvite():
	case len(names) == 1 && isAny(names[0], "all"):
		f.list(func(users []chat.Entry) {
			guests, err := everybody(available(users))
			if err != nil {
				f.fail("! Group chat needs two available users.")
				f.again()
				return
			}
			f.propose(f.again, guests...)
		})
	case len(names) == 1:
		f.fail("! A group chat needs two usernames or more; /chat NAME invites one.")
	default:
		f.propose(f.again, names...)
	}
}

func (f *front) mayInvite() bool {
	switch f.state {
	case chatting:
		f.fail(inAChat)
	case inviting:
		f.fail("! An invitation is open already. /cancel withdraws it.")
	default:
		return true
	}
	return false
}

// propose invites. If one of the guests cannot be invited, again asks for others.
func (f *front) propose(again func(), guests ...string) {
	f.ask("the server", func(ctx context.Context) func() {
		s, err := f.c.Invite(ctx, guests...)
		return func() {
			if err != nil {
				f.proposeFailed(err, again)
				return
			}
			f.proposed(s)
		}
	})
}

func (f *front) proposeFailed(err error, again func()) {
	if (f.state == atUser || f.state == atGroup) && isCode(err, chat.Invalid) {
		f.fail(problem(err) + emptyLine)
	} else {
		f.failed(err)
	}
	var e *chat.Error
	if errors.As(err, &e) {
		switch e.Code {
		case chat.Unavailable, chat.Busy, chat.Self, chat.Invalid, chat.Reserved, chat.Arguments, chat.GroupLarge, chat.GroupSmall:
			again()
			return
		}
	}
	f.again()
}

// proposed waits for the answer: or for the chat, if a guest had invited the user.
func (f *front) proposed(s chat.Session) {
	f.state, f.proposal = inviting, s
	f.await = await{session: s.ID, soon: s.State != chat.Proposed}
	if s.State == chat.Proposed {
		f.out.notice(sent(s))
	}
}
