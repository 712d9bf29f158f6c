package ui

import (
	"errors"
	"strings"
	"testing"
	"time"

	"natter/chat"
	"natter/client"
	"natter/session"
)

// proposal is a session of these members, the host first.
func proposal(names ...chat.Name) chat.Session {
	s := chat.Session{ID: "7f3a9c", State: chat.Proposed, Host: names[0].User(), Class: chat.Transparent, Timeout: time.Minute}
	for _, n := range names {
		s.Members = append(s.Members, chat.Member{Name: n})
	}
	return s
}

// closed is the session after it ended.
func closed(s chat.Session, why chat.Reason, by ...chat.User) chat.Session {
	s.State, s.Reason, s.By = chat.Closed, why, by
	return s
}

func TestInvitationSentences(t *testing.T) {
	two, three := proposal("Alice", "Dave"), proposal("alice", "carol", "dave")
	sealed := two
	sealed.Class = chat.SealedClass
	for _, c := range []struct{ got, want string }{
		{sent(two), "* Invitation sent to Dave. Waiting, 60 s. /cancel withdraws it."},
		{sent(three), "* Invitation sent to carol, dave. All must accept. Waiting, 60 s. /cancel withdraws it."},
		{invited(two, "dave"), "* Alice invites you to chat. It is shown on the server console. Accept? (y/n)"},
		{invited(sealed, "dave"), "* Alice invites you to chat. Accept? (y/n)"},
		{invited(three, "dave"), "* alice invites you to a group chat with carol. It is shown on the server console. Accept? (y/n)"},
		{accepted(session.Accepted{Session: two, By: "Dave", Count: 1, Of: 1}), "* Dave accepted your invitation."},
		{accepted(session.Accepted{Session: three, By: "dave", Count: 1, Of: 2}), "* dave accepted (1 of 2)."},

		{invitationEnded(closed(two, chat.ByDeny, "dave"), "alice"), "* Dave denied your invitation."},
		{invitationEnded(closed(two, chat.ByDeny, "dave"), "dave"), "* You denied the invitation from Alice."},
		{invitationEnded(closed(two, chat.ByExpiry, "dave"), "alice"), "* Dave did not answer; the invitation has expired."},
		{invitationEnded(closed(two, chat.ByExpiry, "dave"), "dave"), "* The invitation from Alice has expired."},
		{invitationEnded(closed(two, chat.ByExpiry), "alice"), "* Dave did not answer; the invitation has expired."},
		{invitationEnded(closed(two, chat.ByWithdraw, "alice"), "alice"), "* You withdrew the invitation to Dave."},
		{invitationEnded(closed(two, chat.ByWithdraw, "alice"), "dave"), "* Alice withdrew the invitation."},
		{invitationEnded(closed(two, chat.ByGone, "dave"), "alice"), "* Dave is no longer available."},
		{invitationEnded(closed(two, chat.ByGone, "alice"), "dave"), "* Alice is no longer available."},
		{invitationEnded(closed(two, chat.ByGone, "dave"), "dave"), "* The invitation from Alice has ended."},

		{invitationEnded(closed(three, chat.ByDeny, "carol"), "alice"), "* carol denied. The group chat was not established."},
		{invitationEnded(closed(three, chat.ByDeny, "carol"), "dave"), "* carol denied. The group chat was not established."},
		{invitationEnded(closed(three, chat.ByDeny, "carol"), "carol"), "* You denied the invitation from alice."},
		{invitationEnded(closed(three, chat.ByExpiry, "carol", "dave"), "alice"), "* carol, dave did not answer; the invitation has expired."},
		{invitationEnded(closed(three, chat.ByExpiry, "carol", "dave"), "dave"), "* The invitation from alice has expired."},
		{invitationEnded(closed(three, chat.ByGone, "dave"), "alice"), "* dave is no longer available. The group chat was not established."},
		{invitationEnded(closed(three, chat.ByGone, "dave"), "carol"), "* dave is no longer available. The group chat was not established."},
		{invitationEnded(closed(three, chat.ByGone, "alice"), "carol"), "* alice is no longer available."},
		{invitationEnded(closed(three, chat.ByWithdraw, "alice"), "alice"), "* You withdrew the invitation to carol, dave."},
	} {
		if c.got != c.want {
			t.Errorf("got  %s\nwant %s", c.got, c.want)
		}
	}
}

func TestChatSentences(t *testing.T) {
	two, three := proposal("alice", "dave"), proposal("alice", "bob", "carol")
	open, over := two, closed(two, chat.ByQuit, "dave")
	open.State = chat.Open
	sealed := open
	sealed.Class = chat.SealedClass
	lines := func(l []string) string { return strings.Join(l, "\n") }
	for _, c := range []struct{ got, want string }{
		{lines(opened(two, "alice")), "* You are now chatting with dave. Enter Quit to end the chat.\n* This chat is shown on the server console."},
		{lines(opened(sealed, "dave")), "* You are now chatting with alice. Enter Quit to end the chat.\n* Messages are end-to-end encrypted."},
		{opened(three, "alice")[0], "* You are now in a group chat with bob, carol. Enter Quit to end it, /leave to leave it."},
		{ended(closed(two, chat.ByQuit, "alice"), "dave"), "* alice ended the chat."},
		{ended(closed(two, chat.ByQuit, "alice"), "alice"), ""},
		{ended(closed(two, chat.ByBye, "alice", "dave"), "alice"), ""},
		{ended(closed(two, chat.ByLoss, "dave"), "alice"), ""},
		{memberLeft(session.MemberLeft{Name: "dave", Reason: chat.ByLoss}), "* dave did not come back."},
		{memberLeft(session.MemberLeft{Name: "bob", Reason: chat.ByOperator}), "* bob was signed out by the operator."},
		{memberLeft(session.MemberLeft{Name: "alice", Reason: chat.ByLeave}), "* alice left the group chat."},
		{bye(client.Bye{From: "alice"}), "* alice is logging off. Reply bye to end the chat."},
		{bye(client.Bye{From: "alice", Back: true}), "* alice goes on chatting."},
		{connected(client.Connected{After: 16 * time.Second, Sent: 2, Chat: &open}, "alice"), "* Connected again after 16 s. Your chat with dave goes on; 2 messages go out now."},
		{connected(client.Connected{After: 15600 * time.Millisecond, Sent: 1, Chat: &open}, "alice"), "* Connected again after 16 s. Your chat with dave goes on; 1 message goes out now."},
		{connected(client.Connected{After: time.Second, Chat: &open}, "alice"), "* Connected again after 1 s. Your chat with dave goes on."},
		{connected(client.Connected{After: 95 * time.Second, Chat: &over}, "alice"), "* Connected again after 95 s. Your chat with dave has ended."},
		{connected(client.Connected{After: 95 * time.Second}, "alice"), "* Connected again after 95 s."},
		{notDelivered(client.NotDelivered{Text: "hello\x1b[2J\nworld"}), `! Not delivered: "hello world"`},
		{messageWaits(client.MessageWaits{For: []chat.Name{"dave", "erin"}}), "* Waiting for dave, erin to get your message."},
		{messageWaits(client.MessageWaits{For: []chat.Name{"dave"}, Offline: true}), "* Your message waits for the connection."},
		{messageStored(client.MessageStored{For: []chat.Name{"dave"}}), "* Stored on the server for dave."},
		{messageStored(client.MessageStored{For: []chat.Name{"dave", "erin"}}), "* Stored on the server for dave, erin."},
		{notDelivered(client.NotDelivered{Text: "hello", Kept: true}), `! Not confirmed so far: "hello". It is sent again until the chat ends.`},
		{notDelivered(client.NotDelivered{Text: "hello", Unknown: true}), `! It is not known whether this has arrived: "hello"`},
		{signedOut(client.SignedOut{Reason: "too loud.", Operator: true}), "! Signed out by the operator: too loud."},
		{signedOut(client.SignedOut{Operator: true}), "! Signed out by the operator."},
		{signedOut(client.SignedOut{Reason: "You are\nbanned."}), "! Signed out. You are banned."},
		{who("alice", chat.Visible, "nats://h:1", true), "* You are alice, visible, at nats://h:1."},
		{whoChats(open, "alice"), "* You are chatting with dave; this chat is shown on the server console."},
	} {
		if c.got != c.want {
			t.Errorf("got  %s\nwant %s", c.got, c.want)
		}
	}
}

func TestWelcomeSentences(t *testing.T) {
	now := time.Date(2026, 1, 3, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		w    client.Welcome
		want string
	}{
		{client.Welcome{Name: "alice", KeyFile: "/home/a/.local/share/chatcli/alice.key"},
			"* Welcome, alice. The name is yours on this computer (key: ~/.local/share/chatcli/alice.key)."},
		{client.Welcome{Name: "alice", KeyFile: "/srv/alice.key"}, "* Welcome, alice. The name is yours on this computer (key: /srv/alice.key)."},
		{client.Welcome{Name: "alice"}, "* Welcome, alice. The name is yours until you leave; its key is not kept."},
		{client.Welcome{Name: "alice", Unkept: chat.Errorf(chat.Arguments, "Cannot write /x: read-only file system.")},
			"* Welcome, alice. The name is yours until you leave; its key cannot be kept. Cannot write /x: read-only file system."},
		{client.Welcome{Name: "alice", Returning: true, Now: now, LastSeen: now.Add(-50 * time.Hour)}, "* Welcome back, alice. Last here 2 days ago."},
		{client.Welcome{Name: "alice", Returning: true, Now: now, LastSeen: now.Add(-90 * time.Minute)}, "* Welcome back, alice. Last here 1 hour ago."},
		{client.Welcome{Name: "alice", Returning: true, Now: now, LastSeen: now.Add(-time.Second)}, "* Welcome back, alice. Last here a moment ago."},
		{client.Welcome{Name: "alice", Returning: true}, "* Welcome back, alice."},
	} {
		if got := welcome(c.w, "/home/a"); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestRefusals(t *testing.T) {
	_, invalid := chat.ParseName("a b")
	taken := chat.Errorf(chat.Taken, "Taken.")
	free := chat.Errorf(chat.Taken, "Taken.")
	free.Suggestions = []chat.Name{"bob2", "bob-2", "bobby", "bob3"}
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"bob", free, "! The username bob is already taken. Free: bob2, bob-2, bobby. Enter another one. If it is yours, bring its key: chatcli --key FILE."},
		{"bob", taken, "! The username bob is already taken. Enter another one. If it is yours, bring its key: chatcli --key FILE."},
		{"a b", invalid, `! "a b" is not a username: start with a letter, then letters, digits, - or _, at most 24.`},
		{"alice", chat.Errorf(chat.ForeignKey, "The username alice is no longer yours."), "! The username alice is no longer yours."},
		{"x", chat.Errorf(chat.Full, "The server is full (5 of 5 users)."), "! The server is full (5 of 5 users)."},
		{"x", errors.New("read tcp: reset"), "! Internal error. Try it again; if it happens again, tell who runs the server."},
	} {
		if got := refused(c.name, c.err); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
