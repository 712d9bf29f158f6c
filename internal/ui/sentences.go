package ui

// The style: a fact begins with "* " and says what happened; an error begins with "! " and says what
// to do, or why there is nothing to do. Names are shown as their owners write them.
// "You" is the reader. No exclamation marks, no apologies, no codes.

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"natter/chat"
	"natter/client"
	"natter/session"
)

const (
	sessionEnded = "Chat session ended"
	nowHidden    = "* You are hidden: others do not see you, and you see no list. You can still invite by name. /show changes that."
	nowVisible   = "* You are visible: others see you in their lists. /hide changes that."
	hiddenNoList = "! You are hidden, so there is no list. /show to be listed and see the list."
	noFiles      = "! There are no files in this version; nothing was sent."
	noTransfers  = "! There are no files in this version, so there is no transfer."
	blankSlash   = `! Starts with a blank and a slash. Remove the blank for a command, or write \ first to send it.`
	sendAnyway   = ` To send the line as text, write \ first.`
	wrongChoice  = "! Enter 1, 2, 3 or 4, or /help."
	yesOrNo      = "! Enter yes or no, or /help."
	nameFirst    = "! Enter your username first. /exit leaves, /help shows more."
	emptyLine    = " An empty line goes back to the menu."
	noChatToEnd  = "! %s ends a chat, and you are in none. 3 leaves chatcli, /help shows more."
	leaveAfter   = "* The chat has ended, and 3 leaves chatcli. Leave it? (yes/no) [no]: "
	quitHint     = `* Sent as text. Quit alone on a line ends the chat; \Quit sends the word.`
	notKept      = "! Not connected; this line was not kept."
	inAChat      = "! You are in a chat. Quit ends it; /exit leaves at once."
	inNoChat     = "! You are not in a chat. /chat NAME invites somebody."
)

// isCode reports whether err is a chat.Error of that code.
func isCode(err error, code chat.Code) bool {
	return errors.Is(err, &chat.Error{Code: code})
}

// problem returns the sentence for an error; faults share one.
func problem(err error) string {
	var e *chat.Error
	if errors.As(err, &e) {
		return "! " + e.Text
	}
	return "! Internal error. Try it again; if it happens again, tell who runs the server."
}

// bringKey tells the owner of a taken name what to do, whether or not they are present.
const bringKey = " If it is yours, bring its key: chatcli --key FILE."

// invitationsHeld says how many invitations were held back from the user.
func invitationsHeld(n int) string {
	what := "1 more invitation was"
	if n != 1 {
		what = fmt.Sprintf("%d more invitations were", n)
	}
	return "* " + what + " held back: too many came at once. /block NAME stops those of one user, /hide all of them."
}

const (
	acceptIt   = " Accept? (y/n)"
	unanswered = " Nobody can answer here; --accept all, or names, does." // chatcli listen
)

// besideTerminal says what chatcli listen shows while the user is signed in elsewhere.
func besideTerminal(name chat.Name) string {
	return fmt.Sprintf("* %s is signed in on another terminal, which answers. Direct messages are shown here too.", name)
}

const hiddenList = "! You are hidden, so there is no list. Become visible first: /show in chatcli."

// refused says why the user does not get a name, and what to do.
func refused(name string, err error) string {
	var e *chat.Error
	if !errors.As(err, &e) {
		return problem(err)
	}
	switch e.Code {
	case chat.Taken:
		free := ""
		if n := len(e.Suggestions); n > 0 {
			free = " Free: " + chat.Names(e.Suggestions[:min(n, 3)]) + "."
		}
		return fmt.Sprintf("! The username %s is already taken.%s Enter another one.%s", name, free, bringKey)
	case chat.SignedIn:
		return "!" + strings.TrimPrefix(signedIn(name, err), "*") + " chatcli --takeover signs that one out."
	}
	return problem(err)
}

// welcome is the greeting; the home directory is written as ~.
func welcome(w client.Welcome, home string) string {
	switch {
	case w.Returning && w.LastSeen.IsZero():
		return fmt.Sprintf("* Welcome back, %s.", w.Name)
	case w.Returning:
		return fmt.Sprintf("* Welcome back, %s. Last here %s.", w.Name, ago(w.Now.Sub(w.LastSeen)))
	case w.Unkept != nil:
		return fmt.Sprintf("* Welcome, %s. The name is yours until you leave; its key cannot be kept. %v", w.Name, w.Unkept)
	case w.KeyFile == "":
		return fmt.Sprintf("* Welcome, %s. The name is yours until you leave; its key is not kept.", w.Name)
	}
	file := w.KeyFile
	if rest, ok := strings.CutPrefix(file, home+string(filepath.Separator)); ok && home != "" {
		file = filepath.Join("~", rest)
	}
	return fmt.Sprintf("* Welcome, %s. The name is yours on this computer (key: %s).", w.Name, file)
}

// missed tells that a chat has ended while the user was away.
func missed(s chat.Session, me chat.User) string {
	if s.AwayTooLong(me) {
		return fmt.Sprintf("* Your chat with %s has ended: you were away for too long.", chat.Names(s.Others(me)))
	}
	return fmt.Sprintf("* Your chat with %s has ended while you were away.", chat.Names(s.Others(me)))
}

// ago says how long ago something was, in the largest unit that fits.
func ago(d time.Duration) string {
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if n := int(d / unit.of); n > 0 {
			return count(n, unit.name) + " ago"
		}
	}
	return "a moment ago"
}

// count is "1 message", "2 messages".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// seconds writes a duration as people say it: "30 s", "2.5 s".
func seconds(d time.Duration) string {
	s := fmt.Sprintf("%.1f", d.Seconds())
	return strings.TrimSuffix(s, ".0") + " s"
}

// names joins the names of users of a session.
func names(s chat.Session, users []chat.User) string {
	list := make([]chat.Name, len(users))
	for i, u := range users {
		list[i] = s.NameOf(u)
	}
	return chat.Names(list)
}

// sent tells the host that the invitation is under way.
func sent(s chat.Session) string {
	all := ""
	if s.Group() {
		all = " All must accept."
	}
	return fmt.Sprintf("* Invitation sent to %s.%s Waiting, %s. /cancel withdraws it.", chat.Names(s.Guests()), all, seconds(s.Timeout))
}

// invited asks the user to answer an invitation.
func invited(s chat.Session, me chat.User) string {
	to := ""
	if s.Group() {
		others := slices.DeleteFunc(s.Guests(), func(n chat.Name) bool { return n.User() == me })
		to = " to a group chat with " + chat.Names(others)
	} else {
		to = " to chat"
	}
	shown := ""
	if s.Class == chat.Transparent {
		shown = " It is shown on the server console."
	}
	return fmt.Sprintf("* %s invites you%s.%s"+acceptIt, s.NameOf(s.Host), to, shown)
}

// accepted tells the host, and guests who wait for the others.
func accepted(e session.Accepted) string {
	if e.Session.Group() {
		return fmt.Sprintf("* %s accepted (%d of %d).", e.By, e.Count, e.Of)
	}
	return fmt.Sprintf("* %s accepted your invitation.", e.By)
}

// opened tells that the chat begins, and who can read it.
func opened(s chat.Session, me chat.User) []string {
	first := fmt.Sprintf("* You are now chatting with %s. Enter Quit to end the chat.", chat.Names(s.Others(me)))
	if s.Group() {
		first = fmt.Sprintf("* You are now in a group chat with %s. Enter Quit to end it, /leave to leave it.", chat.Names(s.Others(me)))
	}
	if s.Class == chat.SealedClass {
		return []string{first, "* Messages are end-to-end encrypted."}
	}
	return []string{first, "* This chat is shown on the server console."}
}

// invitationEnded tells the host or a guest why no chat begins.
func invitationEnded(s chat.Session, me chat.User) string {
	mine, own := s.Host == me, slices.Contains(s.By, me)
	host, guests, by := string(s.NameOf(s.Host)), chat.Names(s.Guests()), names(s, s.By)
	if by == "" { // nobody remembers
		by = guests
	}
	switch {
	case s.Reason == chat.ByWithdraw && mine:
		return fmt.Sprintf("* You withdrew the invitation to %s.", guests)
	case s.Reason == chat.ByWithdraw:
		return fmt.Sprintf("* %s withdrew the invitation.", host)
	case s.Reason == chat.ByDeny && own:
		return fmt.Sprintf("* You denied the invitation from %s.", host)
	case s.Reason == chat.ByDeny && s.Group():
		return fmt.Sprintf("* %s denied. The group chat was not established.", by)
	case s.Reason == chat.ByDeny:
		return fmt.Sprintf("* %s denied your invitation.", by)
	case s.Reason == chat.ByExpiry && mine:
		return fmt.Sprintf("* %s did not answer; the invitation has expired.", by)
	case s.Reason == chat.ByExpiry:
		return fmt.Sprintf("* The invitation from %s has expired.", host)
	case own, s.Reason == chat.ByUnknown:
		return gaveUp(s, me)
	case s.Group() && !slices.Contains(s.By, s.Host):
		return fmt.Sprintf("* %s is no longer available. The group chat was not established.", by)
	}
	return fmt.Sprintf("* %s is no longer available.", by)
}

// gaveUp says that an invitation has ended because another chat began, or for an unknown reason.
func gaveUp(s chat.Session, me chat.User) string {
	if s.Host == me {
		return fmt.Sprintf("* The invitation to %s has ended.", chat.Names(s.Guests()))
	}
	return fmt.Sprintf("* The invitation from %s has ended.", s.NameOf(s.Host))
}

// memberLeft tells that another member has left. What happens to the user is told elsewhere.
func memberLeft(e session.MemberLeft) string {
	switch e.Reason {
	case chat.ByLoss:
		return fmt.Sprintf("* %s did not come back.", e.Name)
	case chat.ByOperator:
		return fmt.Sprintf("* %s was signed out by the operator.", e.Name)
	}
	return fmt.Sprintf("* %s left the group chat.", e.Name)
}

// ended tells why the chat is over; "" if the user knows already.
func ended(s chat.Session, me chat.User) string {
	if s.Reason == chat.ByQuit && !slices.Contains(s.By, me) && len(s.By) > 0 {
		return fmt.Sprintf("* %s ended the chat.", names(s, s.By))
	}
	return ""
}

// bye tells that somebody would like to end the chat, or has taken that back.
func bye(e client.Bye) string {
	if e.Back {
		return fmt.Sprintf("* %s goes on chatting.", e.From)
	}
	return fmt.Sprintf("* %s is logging off. Reply bye to end the chat.", e.From)
}

// connected tells that the connection is back, and what became of the chat.
func connected(e client.Connected, me chat.User) string {
	s := fmt.Sprintf("* Connected again after %s.", seconds(e.After.Round(time.Second)))
	if e.Forgotten {
		s = "* The server had lost track of you; you are signed in again."
	}
	if e.Moved {
		s += " It has other data than before."
	}
	switch {
	case e.Chat == nil:
	case e.Chat.State == chat.Closed:
		return s + fmt.Sprintf(" Your chat with %s has ended.", chat.Names(e.Chat.Others(me)))
	default:
		s += fmt.Sprintf(" Your chat with %s goes on", chat.Names(e.Chat.Others(me)))
		if e.Sent > 0 {
			verb := "go"
			if e.Sent == 1 {
				verb = "goes"
			}
			return s + fmt.Sprintf("; %s %s out now.", count(e.Sent, "message"), verb)
		}
		s += "."
	}
	return s
}

// notReached says that a direct message was not sent, or that it is not known whether it has
// arrived. The sentence is the same for hidden, absent, unknown and blocking users.
func notReached(name string, err error) string {
	for _, code := range []chat.Code{chat.Unavailable, chat.Invalid, chat.Reserved} {
		if isCode(err, code) {
			return fmt.Sprintf("! %s cannot be reached.", name)
		}
	}
	return problem(err)
}

// slowed tells that the user writes faster than the server allows.
func slowed(rate int) string {
	n := fmt.Sprintf("%d messages", rate)
	if rate == 1 {
		n = "1 message"
	}
	return "* You write faster than " + n + " a second; they go out more slowly."
}

// signedOut says that the user was signed out by the operator or is not let in by the server, and
// why.
func signedOut(e client.SignedOut) string {
	if !e.Operator {
		return "! Signed out. " + oneLine(e.Reason)
	}
	reason := e.Reason
	if reason = strings.TrimRight(oneLine(reason), ". "); reason == "" {
		return "! Signed out by the operator."
	}
	return "! Signed out by the operator: " + reason + "."
}

// beginning returns the part of a text that a sentence quotes, and whether that is all of it.
func beginning(text string) (quoted string, whole bool) {
	const most = 200
	line := oneLine(text)
	if r := []rune(line); len(r) > most {
		return string(r[:most]) + "...", false
	}
	return line, true
}

// notDelivered quotes the beginning of a text that did not arrive or was not confirmed.
func notDelivered(e client.NotDelivered) string {
	line, _ := beginning(e.Text)
	switch {
	case e.Kept:
		return fmt.Sprintf("! Not confirmed so far: \"%s\". It is sent again until the chat ends.", line)
	case e.Unknown:
		return fmt.Sprintf("! It is not known whether this has arrived: \"%s\"", line)
	}
	return fmt.Sprintf("! Not delivered: \"%s\"", line)
}

// storedLost says whose messages are lost. What they were, and how many, is not known.
func storedLost(from chat.Name) string {
	return fmt.Sprintf("! Something that %s said while you were away is lost: the server's data were damaged. Ask %s to say it again.", from, from)
}

// messageWaits tells that messages of the user have not arrived so far, and why.
func messageWaits(e client.MessageWaits) string {
	if e.Offline {
		return "* Your message waits for the connection."
	}
	return fmt.Sprintf("* Waiting for %s to get your message.", chat.Names(e.For))
}

// messageStored tells that the server has stored messages of the user. It does not promise that
// their receiver comes back before the chat ends.
func messageStored(e client.MessageStored) string {
	return fmt.Sprintf("* Stored on the server for %s.", chat.Names(e.For))
}

// lineCut tells that the terminal may have dropped the end of a long line.
func lineCut(at int) string {
	return fmt.Sprintf("! Your terminal cuts lines after %d bytes, so nothing of this one was sent. Send it in parts, or start chatcli with a file as its input.", at)
}

// transcriptFailed tells that the transcript is not written.
func transcriptFailed(err error) string {
	return fmt.Sprintf("! The transcript cannot be written (%v); the chat goes on without it.", err)
}

// who tells the user their name, presence and chat.
func who(me chat.Name, presence chat.Presence, server string, online bool) string {
	shown := "visible"
	if presence != chat.Visible {
		shown = "hidden"
	}
	if !online {
		return fmt.Sprintf("* You are %s, %s; the connection to %s is lost.", me, shown, server)
	}
	return fmt.Sprintf("* You are %s, %s, at %s.", me, shown, server)
}

// whoChats says with whom the user chats.
func whoChats(s chat.Session, me chat.User) string {
	what := "this chat is shown on the server console"
	if s.Class == chat.SealedClass {
		what = "messages are end-to-end encrypted"
	}
	return fmt.Sprintf("* You are chatting with %s; %s.", chat.Names(s.Others(me)), what)
}
