package chattest_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"natter/chat"
	"natter/internal/chattest"
	"natter/internal/coord"
	"natter/session"
)

// How one of a group spoils it for everybody.
var spoilers = map[chat.Reason]func(*testing.T, *chattest.User, string){
	chat.ByDeny: func(t *testing.T, u *chattest.User, id string) {
		if err := u.Answer(t.Context(), id, false); err != nil {
			t.Error(err)
		}
	},
	chat.ByGone:   func(_ *testing.T, u *chattest.User, _ string) { u.Close() },
	chat.ByExpiry: func(*testing.T, *chattest.User, string) {},
}

// One of eight denies, dies or does not answer after none, some or all others have
// accepted: everybody is told why, and nobody is left busy.
func TestGroupThatDoesNotBegin(t *testing.T) {
	for reason, spoil := range spoilers {
		for _, accepted := range []int{0, 3, 6} {
			t.Run(fmt.Sprint(reason, accepted), func(t *testing.T) {
				if reason == chat.ByExpiry {
					t.Parallel()
				}
				in := chattest.Run(t, quiet, func(c *coord.Config) {
					c.Rules.Grace = 100 * time.Millisecond
					if reason == chat.ByExpiry {
						c.Rules.InviteTimeout = 5 * time.Second // in which six accept, on a slow machine too
					}
				})
				all := eight(in)
				s := inviteAll(t, all)
				for _, u := range all[1 : 1+accepted] {
					if err := u.Answer(t.Context(), s.ID, true); err != nil {
						t.Fatal(err)
					}
				}
				last := all[7]
				spoil(t, last, s.ID)
				told := all
				if reason == chat.ByGone {
					told = all[:7]
				}
				for _, u := range told {
					e := chattest.Wait[session.InvitationEnded](u)
					if e.Session.Reason != reason || !slices.Contains(e.Session.By, "user7") {
						t.Errorf("%s is told %s by %v", u.Me(), e.Session.Reason, e.Session.By)
					}
				}
				nobodyBusy(t, told)
			})
		}
	}
}

// One of eight dies in the chat: the others go on, and the end is everybody's.
func TestGroupLosesAMember(t *testing.T) {
	in := chattest.Run(t, quiet, func(c *coord.Config) { c.Rules.Grace = 100 * time.Millisecond })
	all := eight(in)
	chattest.Chat(all[0], all[1:]...)
	all[7].Close()
	for _, u := range all[:7] {
		if e := chattest.Wait[session.MemberLeft](u); e.Reason != chat.ByLoss || e.Name != "user7" {
			t.Errorf("%s is told that %s left: %s", u.Me(), e.Name, e.Reason)
		}
	}
	if err := all[3].Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, u := range all[:7] {
		if e := chattest.Wait[session.Ended](u); e.Session.Reason != chat.ByQuit || e.Session.By[0] != "user3" {
			t.Errorf("%s is told %s by %v", u.Me(), e.Session.Reason, e.Session.By)
		}
	}
	nobodyBusy(t, all[:7])
}

func eight(in *chattest.Installation) []*chattest.User {
	var all []*chattest.User
	for n := range 8 {
		all = append(all, in.User(fmt.Sprint("user", n)))
	}
	return all
}

func inviteAll(t *testing.T, all []*chattest.User) chat.Session {
	t.Helper()
	var guests []string
	for _, u := range all[1:] {
		guests = append(guests, string(u.Me()))
	}
	s, err := all[0].Invite(t.Context(), guests...)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range all[1:] {
		chattest.Wait[session.Invited](u)
	}
	return s
}

// nobodyBusy: everybody sees all others available, and can chat at once.
func nobodyBusy(t *testing.T, all []*chattest.User) {
	t.Helper()
	for _, u := range all {
		users, err := u.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range users {
			if e.Busy {
				t.Errorf("%s sees %s busy", u.Me(), e.Name)
			}
		}
	}
	chattest.Chat(all[0], all[1])
}
