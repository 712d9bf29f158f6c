package ui

import (
	"strings"

	"natter/chat"
)

// command carries out what is possible in every state after the beginning.
func (f *front) command(c Command) {
	switch c.Verb {
	case Reply:
		f.reply(c.Text)
	case Wrong:
		f.wrong(c.Text)
	case List:
		f.list(f.users)
	case ClientList:
		f.list(func(users []chat.Entry) {
			f.out.line(clientList(users))
			f.users(users)
		})
	case Chat:
		f.invite(c.Args)
	case Group:
		f.inviteGroup(c.Args)
	case Cancel:
		f.cancel()
	case Accept, Deny:
		f.answerNamed(c.Args, c.Verb == Accept)
	case Show, Hide:
		f.setPresence(c.Verb == Show)
	case Block, Mute:
		f.block(c.Args[0], c.Verb == Mute)
	case Unblock:
		f.unblock(c.Args[0])
	case Blocked:
		f.out.notice(blocked(f.c.Blocks()))
	case Wait:
		f.startWait(c.Text)
	case Exit:
		f.leave(f.code)
	case Disconnect:
		f.disconnect()
	case Direct, Respond:
		f.direct(c)
	default:
		f.talk(c)
	}
}

// wrong tells what is wrong with a command and, in a chat, how to send such a line as text.
func (f *front) wrong(sentence string) {
	if f.open != nil {
		sentence += sendAnyway
	}
	f.fail("! " + sentence)
}

// talk is command for the commands of a chat.
func (f *front) talk(c Command) {
	switch c.Verb {
	case Say, Quit, Leave:
		if f.open == nil {
			f.fail(inNoChat)
			return
		}
	}
	switch c.Verb {
	case Say:
		f.hinted = true // they know how
		f.say(c.Text)
	case Quit:
		f.quit()
	case Leave:
		f.leaveGroup()
	default:
		f.display(c)
	}
}

// display is command for commands that only concern the user's own screen, and for those that do not
// exist yet.
func (f *front) display(c Command) {
	switch c.Verb {
	case Help:
		f.help(c.Args)
	case Who:
		f.who()
	case More:
		f.showMore()
	case Time:
		f.toggle(&f.out.time, "time", c.Args[0])
	case Bell:
		f.toggle(&f.o.Bell, "bell", c.Args[0])
	case Send:
		f.fail(noFiles)
	case Files, Stop:
		f.fail(noTransfers)
	}
}

// disconnect is /exit in the words of the third seed, which leave only outside a chat.
func (f *front) disconnect() {
	if f.open != nil {
		f.fail(inAChat)
		return
	}
	f.leave(f.code)
}

func (f *front) toggle(what *bool, name, word string) {
	switch strings.ToLower(word) {
	case "on":
		*what = true
	case "off":
		*what = false
	default:
		f.fail("! Write /" + name + " on or /" + name + " off.")
	}
}

func (f *front) who() {
	presence := f.o.Presence
	if presence == chat.Undecided {
		presence = chat.HiddenAway
	}
	f.out.notice(who(f.name, presence, f.c.Server(), f.c.Online()))
	if f.open != nil {
		f.out.notice(whoChats(*f.open, f.me))
	}
}

func (f *front) showMore() {
	if len(f.more) == 0 {
		f.fail("! There is nothing more to show.")
		return
	}
	next := &f.more[0]
	if next.text = f.out.say(next.who, next.text); next.text == "" {
		f.more = f.more[1:]
	}
}

// help prints the page, or a topic of it.
func (f *front) help(args []string) {
	topic := ""
	if len(args) > 0 {
		topic = strings.ToLower(args[0])
	}
	page, ok := helpPages[topic]
	if !ok {
		f.fail("! There is no help on " + shorten(args[0]) + ". Topics: blocks, groups, keys, old, scripts.")
		return
	}
	for l := range strings.SplitSeq(page, "\n") {
		f.out.line(l)
	}
}
