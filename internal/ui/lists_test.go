package ui

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"natter/chat"
)

func TestGroups(t *testing.T) {
	var got []string
	for _, g := range groups([]chat.Name{"bob", "carol", "dave"}) {
		got = append(got, chat.Names(g))
	}
	want := []string{"bob, carol", "bob, dave", "carol, dave", "bob, carol, dave"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for n := range 11 {
		var names []chat.Name
		for i := range n {
			names = append(names, chat.Name(fmt.Sprint("user", i)))
		}
		all := groups(names)
		if want := 1<<n - n - 1; len(all) != want {
			t.Errorf("%d users make %d groups, want %d", n, len(all), want)
		}
		for i := 1; i < len(all); i++ {
			if !ordered(all[i-1], all[i]) {
				t.Errorf("%v stands before %v", all[i-1], all[i])
			}
		}
	}
}

func ordered(a, b []chat.Name) bool {
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return slices.Compare(a, b) < 0
}

func TestChooseGroup(t *testing.T) {
	three := []chat.Name{"bob", "carol", "dave"}
	six := []chat.Name{"bob", "carol", "dave", "erin", "frank", "gina"}
	for _, c := range []struct {
		s    string
		free []chat.Name
		want string // or the sentence of the error
	}{
		{"1", three, "bob carol"}, {"4", three, "bob carol dave"}, {" 2 ", three, "bob dave"}, {"3.", three, "carol dave"},
		{"0", three, "Enter a number from 1 to 4, or usernames."}, {"5", three, "Enter a number from 1 to 4, or usernames."},
		{"-1", three, "Enter a number from 1 to 4, or usernames."},
		{"99999999999999999999", three, "Enter a number from 1 to 4, or usernames."},
		{"bob dave", three, "bob dave"}, {"bob,dave", three, "bob dave"}, {"all", three, "bob carol dave"},
		{"bob gina", six, "bob gina"}, {"ALL", six, "bob carol dave erin frank gina"}, {"1", six, "Enter usernames, or all."},
		{"bob", six, "A group chat needs two usernames or more; 2 chats with one."},
		{"bob carol", nil, "bob carol"}, {"all", nil, "You see no list, so name the users."},
	} {
		guests, err := chooseGroup(c.s, c.free)
		got := strings.Join(guests, " ")
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q among %d: got %q, want %q", c.s, len(c.free), got, c.want)
		}
	}
}

func TestStatus(t *testing.T) {
	for _, c := range []struct {
		entry chat.Entry
		want  string
	}{
		{chat.Entry{}, "Available"},
		{chat.Entry{Busy: true, With: []chat.Name{"carol"}}, "Chatting with carol"},
		{chat.Entry{Busy: true, Someone: true}, "Chatting with someone"},
		{chat.Entry{Busy: true, With: []chat.Name{"carol"}, Someone: true}, "Chatting with carol, someone"},
		{chat.Entry{Busy: true, With: []chat.Name{"a", "b", "c"}}, "Chatting with a, b, c"},
		{chat.Entry{Busy: true, With: []chat.Name{"frank", "gina", "x", "y"}}, "Chatting with frank, gina and 2 more"},
	} {
		if got := status(c.entry); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestAvailable(t *testing.T) {
	users := []chat.Entry{{Name: "dave"}, {Name: "Bob"}, {Name: "carol", Busy: true}}
	if got := chat.Names(available(users)); got != "Bob, dave" {
		t.Errorf("got %q", got)
	}
}
