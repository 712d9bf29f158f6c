package chattest_test

import (
	"fmt"
	"strings"
	"testing"

	"natter/chat"
	"natter/internal/chattest"
)

// TestABlockKeepsMessagesOffTheLine: with a renewed ticket, a user who blocks as many others
// as there may be, all with the longest names, receives nothing of theirs from the server;
// the tickets of those are as they were.
func TestABlockKeepsMessagesOffTheLine(t *testing.T) {
	in := chattest.Run(t, quiet)
	blocker, sender, friend := intrude(t, in, "blocker"), intrude(t, in, "sender"), in.User("friend")
	must(ask(blocker, chat.BlockUser, chat.BlockRequest{Name: "sender"}))(t)
	for i := range chat.MaxBlocks - 1 {
		name := fmt.Sprintf("a%03d", i) + strings.Repeat("x", chat.MaxName-4)
		must(ask(blocker, chat.BlockUser, chat.BlockRequest{Name: name}))(t)
	}
	ticket := must(ask(blocker, chat.Renew, chat.RenewRequest{}))(t)
	if len(ticket.Blocked) != chat.MaxBlocks {
		t.Errorf("the ticket keeps %d away", len(ticket.Blocked))
	}
	if theirs := must(ask(sender, chat.Renew, chat.RenewRequest{}))(t); len(theirs.Blocked) > 0 {
		t.Errorf("the ticket of who is blocked keeps %v away", theirs.Blocked)
	}
	if again, told := enterWith(t, in, blocker.key, chat.EnterRequest{Name: "blocker", Takeover: true, Hello: &chat.EnterHello{Terminal: theirs}}); told != nil || len(again.Blocked) > 0 || len(again.JWT) > 3000 {
		t.Errorf("the lobby's ticket, with which one gets in where lines are short, has %d bytes: %v", len(again.JWT), told)
	}
	c := holder(t, in, ticket, blocker.key, chat.Inbox("blocker"))
	heard := must(c.SubscribeSync(chat.Direct.Arrival(chat.Address{To: "blocker", User: "*"})))(t)
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := sender.Publish(chat.Direct.Subject(chat.Address{To: "blocker", User: "sender"}), []byte(`{"n":1,"text":"psst"}`)); err != nil {
		t.Fatal(err)
	}
	if err := sender.Flush(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = friend.Direct(t.Context(), "blocker", "hello") }() // nobody answers
	m := must(heard.NextMsg(timeout))(t)
	if !strings.HasSuffix(m.Subject, ".friend") {
		t.Errorf("heard: %s %s", m.Subject, m.Data)
	}
}
