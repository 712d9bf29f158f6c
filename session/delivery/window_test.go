package delivery

import (
	"fmt"
	"testing"

	"natter/chat"
)

// crowd is a core of ann's in a group of so many, whose others are there.
func crowd(members int) (c *Core, others []chat.User) {
	s := chat.Session{ID: chat.NewSessionID(), State: chat.Open, Members: []chat.Member{{Name: "ann"}}}
	for i := range members - 1 {
		n := chat.Name(fmt.Sprintf("other%d", i))
		s.Members, others = append(s.Members, chat.Member{Name: n}), append(others, n.User())
	}
	c = NewCore(Config{Me: "ann", Rules: chat.Rules{MaxText: chat.MaxText}, Session: s})
	c.Step(Input{Kind: Joined}, second, nil)
	for _, u := range others {
		c.Step(Input{Kind: Announced, From: u, Announce: Announcement{First: 1}}, second, nil)
	}
	return c, others
}

// sayAll says as much as is let out, and returns how much that was and after how many
// messages receipts were asked for.
func sayAll(c *Core, now Time) (said int, asked []int) {
	for c.Admit() == Admitted {
		said++
		for _, e := range append(c.Step(Input{Kind: Say, Text: "x"}, now, nil), c.Step(Input{Kind: Published}, now, nil)...) {
			if e.Kind == AskReceipts {
				asked = append(asked, said)
			}
		}
	}
	return said, asked
}

func acknowledge(c *Core, others []chat.User, now Time) {
	for _, u := range others {
		c.Step(Input{Kind: Receipt, From: u, N: c.last()}, now, nil)
	}
}

// TestWindowGrows: one who speaks alone in a group gets the whole window as others
// acknowledge, and asks for receipts before it is used up; with others who speak it is shared.
func TestWindowGrows(t *testing.T) {
	for _, members := range []int{2, 10, 60} {
		c, others := crowd(members)
		now := 2 * second
		share := window / len(others)
		want := share
		for range 8 {
			said, asked := sayAll(c, now)
			if said != want || len(asked) == 0 || asked[0] > said/2+1 || len(asked) > 4 {
				t.Fatalf("%d members: %d messages are let out, want %d; receipts are asked for after %v", members, said, want, asked)
			}
			now += second / 100
			acknowledge(c, others, now)
			want = min(2*want, window)
		}
		if want != window {
			t.Errorf("%d members: the window grows to %d", members, want)
		}

		// All others speak.
		for _, u := range others {
			c.Step(Input{Kind: FrameIn, From: u, Frame: Frame{Messages: []chat.Message{{N: 1, Text: "x"}}}}, now, nil)
		}
		if said, _ := sayAll(c, now); said > share {
			t.Errorf("%d members: %d messages are let out while all speak; the share is %d", members, said, share)
		}
		acknowledge(c, others, now)

		// Nobody has for a while.
		now += second
		if said, _ := sayAll(c, now); said != share {
			t.Errorf("%d members: %d messages are let out after a pause; the share is %d", members, said, share)
		}
	}
}

// TestWindowShrinks: who has more on the way than is let be when others begin to speak asks
// for receipts at once.
func TestWindowShrinks(t *testing.T) {
	c, others := crowd(4)
	for range 3 {
		sayAll(c, 2*second)
		acknowledge(c, others, 2*second)
	}
	for range window / 3 { // less than half of the window
		c.Step(Input{Kind: Say, Text: "x"}, 2*second, nil)
		c.Step(Input{Kind: Published}, 2*second, nil)
	}
	for _, e := range c.Step(Input{Kind: FrameIn, From: others[0], Frame: Frame{Messages: []chat.Message{{N: 1, Text: "x"}}}}, 2*second, nil) {
		if e.Kind == AskReceipts {
			return
		}
	}
	t.Error("nobody is asked for a receipt")
}

// TestReceiptsOfAStream: a lone message has its receipt after 20 ms; while somebody goes on
// speaking there is one in 200 ms, and one for 1,024 messages.
func TestReceiptsOfAStream(t *testing.T) {
	c, others := crowd(2)
	now, n := 2*second, uint64(0)
	heard := func(messages int) (receipts int) {
		f := Frame{}
		for range messages {
			n++
			f.Messages = append(f.Messages, chat.Message{N: n, Text: "x"})
		}
		return len(c.Step(Input{Kind: FrameIn, From: others[0], Frame: f}, now, nil)) - 1 // but for the event
	}
	heard(1)
	if at := c.Next(); at != now+receiptAfter {
		t.Errorf("a receipt for a lone message after %v", at-now)
	}
	receipts := 0
	for range 100 { // a second
		for _, e := range c.Step(Input{Kind: Tick}, now, nil) {
			if e.Kind == SendReceipt {
				receipts++
			}
		}
		heard(1)
		now += 10 * 1e6
	}
	if receipts < 4 || receipts > 6 {
		t.Errorf("%d receipts in a second", receipts)
	}
	receipts = 0
	for range 4 * receiptEach / 64 {
		receipts += heard(64)
	}
	if receipts < 3 || receipts > 4 {
		t.Errorf("%d receipts for %d messages", receipts, 4*receiptEach)
	}
}
