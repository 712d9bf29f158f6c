package session_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"natter/chat"
	"natter/session"
)

// dealt makes a record: the host and the guests, by name.
func dealt(state chat.State, names ...chat.Name) chat.Session {
	s := chat.Session{ID: "1", State: state, Host: names[0].User(), Class: chat.Transparent}
	for i, n := range names {
		s.Members = append(s.Members, chat.Member{Name: n, Accepted: i == 0 || state == chat.Open})
	}
	return s
}

func shut(s chat.Session, reason chat.Reason, by ...chat.User) chat.Session {
	s.State, s.Reason, s.By = chat.Closed, reason, by
	return s
}

// edit returns s with one member changed.
func edit(s chat.Session, i int, step func(*chat.Member)) chat.Session {
	s.Members = append([]chat.Member(nil), s.Members...)
	step(&s.Members[i])
	return s
}

func present(names ...chat.Name) *stage {
	st := newStage()
	for _, n := range names {
		st.people[n.User()] = &person{name: n, visible: true, present: true}
	}
	return st
}

func TestProposeMakesTheRecord(t *testing.T) {
	w := present("Alice", "Bob", "carol")
	now := time.Unix(1000, 0)
	rules := chat.Rules{MaxGroup: 3, InviteTimeout: time.Minute}
	got, err := session.Propose(w, "alice", "cafe", []string{"CAROL", "bob"}, chat.SealedClass, rules, now)
	want := chat.Session{
		ID: "cafe", State: chat.Proposed, Host: "alice", Class: chat.SealedClass, Timeout: time.Minute, At: now,
		Members: []chat.Member{{Name: "Alice", Accepted: true}, {Name: "carol"}, {Name: "Bob"}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
}

func TestOpeningSetsTheTime(t *testing.T) {
	now := time.Unix(2000, 0)
	s, err := session.Answer(present("alice", "bob"), dealt(chat.Proposed, "alice", "bob"), "bob", true, now)
	if err != nil || s.State != chat.Open || !s.At.Equal(now) {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestRefusals(t *testing.T) {
	w := present("alice", "bob", "carol")
	proposed, open := dealt(chat.Proposed, "alice", "bob"), dealt(chat.Open, "alice", "bob")
	group := dealt(chat.Open, "alice", "bob", "carol")
	var sixteen []string
	for i := range 16 {
		sixteen = append(sixteen, fmt.Sprintf("guest%d", i))
	}
	propose := func(host chat.User, guests ...string) func() (chat.Session, error) {
		return func() (chat.Session, error) {
			return session.Propose(w, host, "2", guests, chat.Transparent, chat.Rules{MaxGroup: chat.MaxGroup}, time.Time{})
		}
	}
	tests := []struct {
		name string
		step func() (chat.Session, error)
		code chat.Code // "" is ErrUnchanged
		text string
	}{
		{"many", propose("alice", sixteen...), chat.GroupLarge, "A group chat has at most 16 members."},
		{"fifty, and oneself", propose("alice", append(sixteen, "alice")...), chat.Self, "That is you."},
		{"empty name", propose("alice", ""), chat.Invalid, ""},
		{"two names in one", propose("alice", "bob carol"), chat.Invalid, ""},
		{"subject", propose("alice", "bob.>"), chat.Invalid, ""},
		{"escape", propose("alice", "\x1b[31mred"), chat.Invalid, ""},
		{"absent asker", propose("zed", "bob"), chat.NotRegistered, ""},
		{"absent guest accepts", func() (chat.Session, error) {
			return session.Answer(present("alice"), proposed, "bob", true, time.Time{})
		}, chat.NotRegistered, ""},
		{"no such session", func() (chat.Session, error) {
			return session.Answer(w, chat.Session{}, "bob", true, time.Time{})
		}, chat.NothingToDo, "That invitation has ended."},
		{"no user", func() (chat.Session, error) { return session.Withdraw(chat.Session{}, "alice") }, chat.NothingToDo, ""},
		{"end without a chat", func() (chat.Session, error) { return session.End(proposed, "alice", chat.ByQuit) }, chat.NotInChat, "You are not in a chat."},
		{"end what was withdrawn", func() (chat.Session, error) {
			return session.End(shut(proposed, chat.ByWithdraw, "alice"), "alice", chat.ByQuit)
		}, chat.NotInChat, ""},
		{"end with a made-up loss", func() (chat.Session, error) { return session.End(open, "alice", chat.ByLoss) }, chat.Arguments, ""},
		{"end with an invitation's reason", func() (chat.Session, error) { return session.End(open, "alice", chat.ByDeny) }, chat.Arguments, ""},
		{"leave by quitting", func() (chat.Session, error) { return session.Leave(group, "alice", chat.ByQuit) }, chat.Arguments, ""},
		{"leave after a loss", func() (chat.Session, error) {
			return session.Leave(edit(group, 1, func(m *chat.Member) { m.Left = chat.ByLoss }), "bob", chat.ByLeave)
		}, chat.NotInChat, ""},
		{"leave what has ended", func() (chat.Session, error) {
			return session.Leave(shut(open, chat.ByQuit, "bob"), "alice", chat.ByLeave)
		}, "", ""},
		{"expire an open one", func() (chat.Session, error) { return session.Expire(open) }, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := tt.step()
			if tt.code == "" {
				if !errors.Is(err, session.ErrUnchanged) || s.ID == "" {
					t.Errorf("got %+v, %v", s, err)
				}
				return
			}
			if !errors.Is(err, &chat.Error{Code: tt.code}) || tt.text != "" && err.Error() != tt.text || s.ID != "" {
				t.Errorf("got %+v, %v, want %s %s", s, err, tt.code, tt.text)
			}
		})
	}
}

// TestStoryOfOldAndOddStates: what must tell nothing, whatever a notice brings.
func TestStoryOfOldAndOddStates(t *testing.T) {
	proposed, open := dealt(chat.Proposed, "alice", "bob"), dealt(chat.Open, "alice", "bob")
	ended := shut(open, chat.ByQuit, "bob")
	group := dealt(chat.Open, "alice", "bob", "carol")
	without := edit(group, 1, func(m *chat.Member) { m.Left = chat.ByLeave })
	without.Epoch = 1
	lost := edit(open, 1, func(m *chat.Member) { m.Lost = true })
	for _, tt := range []struct {
		name          string
		me            chat.User
		before, after chat.Session
	}{
		{"the same", "alice", open, open},
		{"closed, open", "alice", ended, open},
		{"open, proposed", "bob", open, proposed},
		{"closed twice", "bob", ended, shut(open, chat.ByBye, "alice")},
		{"an older epoch", "alice", without, group},
		{"nothing known, over", "alice", chat.Session{}, ended},
		{"somebody else's", "mallory", chat.Session{}, open},
		{"left before", "bob", without, shut(without, chat.ByQuit, "alice")},
		{"left, and nothing known", "bob", chat.Session{}, without},
		{"about myself", "bob", open, lost},
		{"lost while asked", "alice", proposed, edit(proposed, 1, func(m *chat.Member) { m.Lost = true })},
		{"nothing at all", "alice", chat.Session{}, chat.Session{}},
		{"no members", "alice", open, chat.Session{State: chat.Open}},
	} {
		if events := session.Diff(tt.me, tt.before, tt.after); len(events) > 0 {
			t.Errorf("%s: %s", tt.name, showStory(events))
		}
	}
}

func TestEffectsIncludeWhoHasLeft(t *testing.T) {
	group := dealt(chat.Open, "Carol", "bob", "Alice", "dave")
	after, err := session.Leave(group, "bob", chat.ByLeave)
	if err != nil {
		t.Fatal(err)
	}
	if got := session.Audience(group, after); !reflect.DeepEqual(got, []chat.User{"alice", "bob", "carol", "dave"}) {
		t.Errorf("leaving tells %v", got)
	}
	ended, _ := session.End(after, "carol", chat.ByQuit)
	if got := session.Audience(after, ended); !reflect.DeepEqual(got, []chat.User{"alice", "carol", "dave"}) {
		t.Errorf("the end tells %v", got)
	}
}
