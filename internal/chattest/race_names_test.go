package chattest_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"natter/broker/brokertest"
	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/presence/account"
	"natter/session"
)

// claim is one of many who ask for the same name at the same time.
type claim struct {
	*chattest.User
	err error
}

// claimAll has everybody ask for a name at once.
func claimAll(t *testing.T, claims []*claim, name string) {
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for _, c := range claims {
		wg.Go(func() {
			<-begin
			_, c.err = c.Enter(t.Context(), name)
		})
	}
	close(begin)
	wg.Wait()
}

// A name has one owner, and everybody else is told so, and of names that are free.
func TestManyClaimOneName(t *testing.T) {
	for _, replicas := range []int{1, 2, 3} {
		t.Run(fmt.Sprint(replicas), func(t *testing.T) {
			in := chattest.Run(t, quiet, beside)
			for range replicas - 1 {
				in.Start()
			}
			var waiting []*claim
			for n := range races(7) {
				for len(waiting) < 50 {
					waiting = append(waiting, &claim{User: in.Guest()})
				}
				name := fmt.Sprintf("Name%d", n)
				claimAll(t, waiting, name)
				waiting = losers(t, waiting, name)
			}
		})
	}
}

// losers checks that there is one winner, who leaves, and returns the others.
func losers(t *testing.T, claims []*claim, name string) []*claim {
	t.Helper()
	var lost []*claim
	for _, c := range claims {
		if c.err == nil {
			if err := c.Exit(t.Context()); err != nil {
				t.Errorf("%s exits: %v", name, err)
			}
			continue
		}
		lost = append(lost, c)
		chattest.Code(t, c.err, chat.Taken)
		if e := c.err.(*chat.Error); len(e.Suggestions) == 0 {
			t.Errorf("nothing is suggested: %v", e)
		}
	}
	if winners := len(claims) - len(lost); winners != 1 {
		t.Fatalf("%s has %d owners", name, winners)
	}
	return lost
}

// What a replica has let somebody do, they need not prove to another one.
func TestEveryReplicaKnowsAtOnce(t *testing.T) {
	in := chattest.Run(t, quiet, beside)
	in.Start()
	in.Start()
	for n := range races(20) {
		ann, ben := intrude(t, in, fmt.Sprint("ann", n)), intrude(t, in, fmt.Sprint("ben", n))
		asked := must(ask(ann, chat.Invite, chat.InviteRequest{Guests: []string{string(ben.user)}}))(t)
		must(ask(ben, chat.Answer, chat.AnswerRequest{Session: asked.Session.ID, Accept: true}))(t)
		for _, p := range []*intruder{ann, ben} {
			must(ask(p, chat.Join, chat.JoinRequest{Session: asked.Session.ID, Key: newLogin(t).public}))(t)
			if list := must(ask(p, chat.List, chat.ListRequest{}))(t); len(list.Users) == 0 {
				t.Errorf("%s sees nobody", p.user)
			}
		}
	}
}

// Whatever is said as the other one quits has arrived, or is told as not delivered;
// and nothing arrives after the end.
func TestMessagesRaceTheEnd(t *testing.T) {
	in := chattest.Run(t, quiet, beside)
	ann, ben := in.User("ann"), in.User("ben")
	for n := range races(20) {
		chattest.Chat(ann, ben)
		text := fmt.Sprint("message ", n)
		var said, ended error
		var wg sync.WaitGroup
		wg.Go(func() { said = ann.Say(text) })
		wg.Go(func() { ended = ben.Quit(t.Context()) })
		wg.Wait()
		_, missed := untilEnd(t, ann)
		heard, _ := untilEnd(t, ben)
		if ended != nil {
			t.Fatal(ended)
		}
		if said != nil {
			chattest.Code(t, said, chat.NotInChat)
		} else if !slices.Contains(heard, text) && !slices.Contains(missed, text) {
			t.Fatalf("%q has not arrived, and nobody was told", text)
		}
	}
}

// untilEnd reads what a user hears until the chat is over: what was said, and what
// was not delivered.
func untilEnd(t *testing.T, u *chattest.User) (heard, missed []string) {
	t.Helper()
	late := time.NewTimer(timeout)
	defer late.Stop()
	for {
		select {
		case e := <-u.Events():
			switch e := e.(type) {
			case chattest.Text:
				heard = append(heard, e.Text)
			case client.NotDelivered:
				missed = append(missed, e.Text)
			case session.Ended:
				return heard, missed
			}
		case <-late.C:
			t.Fatalf("%s does not hear of the end", u.Me())
		}
	}
}

// A request is repeated when its answer is late. What the first try has done is no reason to
// refuse the second one, whose answer may be the first to arrive.
func TestARepeatedRequestIsNotLate(t *testing.T) {
	in := chattest.Run(t, quiet, beside)
	ann := intrude(t, in, "ann")
	before := must(ask(ann, chat.SetPresence, chat.PresenceRequest{Presence: chat.HiddenAway}))(t)
	again := chat.PresenceRequest{Presence: chat.Visible, Revision: before.Revision}
	done := must(ask(ann, chat.SetPresence, again))(t)
	if second := must(ask(ann, chat.SetPresence, again))(t); second != done {
		t.Errorf("answered %+v, and then %+v", done, second)
	}
	_, err := ask(ann, chat.SetPresence, chat.PresenceRequest{Presence: chat.HiddenAway, Revision: before.Revision})
	chattest.Code(t, err, chat.Outdated)
}

// A hello is repeated when its answer is late, and the second one meets what the first has
// stored of who is here. The name is taken all the same when it is answered.
func TestARepeatedHelloTakesTheName(t *testing.T) {
	in := chattest.Run(t, quiet, beside)
	ann := intrude(t, in, "ann")
	store := must(account.OpenStore(t.Context(), brokertest.Dial(t, in.Server, chat.StoringGrant(), chat.StoreInbox).Conn))(t)
	reserved := func(r account.Record) (account.Record, error) {
		r.LastLogin, r.Reserved = time.Time{}, time.Now().Add(chat.Hold)
		return r, nil
	}
	must(store.Update(t.Context(), "ann", reserved))(t)
	must(ask(ann, chat.Hello, chat.HelloRequest{Proto: chat.Proto, Name: "ann"}))(t)
	if acc, _, err := store.Get(t.Context(), "ann"); err != nil || !acc.Taken() {
		t.Errorf("ann is welcome, and the name is %+v, %v", acc, err)
	}
}

// races is how many of usually n races are run: fewer with -short, which is for the race
// detector, because it makes each take several times as long.
func races(n int) int {
	if testing.Short() {
		n = max(1, n/3)
	}
	return n * *rounds
}
