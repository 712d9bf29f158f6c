package faults_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"natter/internal/chattest/faults"
)

const chatID = "0123456789abcdef0123456789abcdef"

// good is a run in which nothing is wrong: a chat of two, bob's program dies and comes
// back, carol denies.
func good() []faults.Record {
	both := []string{"alice", "bob"}
	return []faults.Record{
		{Who: "alice", Life: 1, What: faults.Born},
		{Who: "bob", Life: 1, What: faults.Born},
		{Who: "bob", Life: 1, What: faults.Invited, Session: chatID, From: "alice"},
		{Who: "bob", Life: 1, What: faults.Opened, Session: chatID, Members: both},
		{Who: "alice", Life: 1, What: faults.Opened, Session: chatID, Members: both},
		{Who: "alice", Life: 1, What: faults.Said, Session: chatID, Text: "alice 1"},
		{Who: "bob", Life: 1, What: faults.Heard, Session: chatID, From: "alice", Text: "alice 1"},
		{Who: "bob", Life: 1, What: faults.Said, Session: chatID, Text: "bob 1"}, // lost with bob's program
		{Who: "bob", Life: 1, What: faults.Dead},
		{Who: "alice", Life: 1, What: faults.Said, Session: chatID, Text: "alice 2"},
		{Who: "bob", Life: 2, What: faults.Born},
		{Who: "bob", Life: 2, What: faults.Opened, Session: chatID, Members: both},
		{Who: "bob", Life: 2, What: faults.Heard, Session: chatID, From: "alice", Text: "alice 2"},
		{Who: "bob", Life: 2, What: faults.Said, Session: chatID, Text: "bob 2"},
		{Who: "alice", Life: 1, What: faults.Heard, Session: chatID, From: "bob", Text: "bob 2"},
		{Who: "alice", Life: 1, What: faults.Said, Session: chatID, Text: "alice 3"},
		{Who: "alice", Life: 1, What: faults.Failed, Session: chatID, Text: "alice 3"},
		{Who: "alice", Life: 1, What: faults.Ended, Session: chatID},
		{Who: "bob", Life: 2, What: faults.Ended, Session: chatID},
		{Who: "alice", Life: 1, What: faults.Over, Session: "ff", Reason: "denied"},
		{Who: "carol", Life: 1, What: faults.Over, Session: "ff", Reason: "denied"},
		{Who: "carol", Life: 1, What: faults.Listed, Members: both},
	}
}

func TestJudgeIsContentWithAGoodRun(t *testing.T) {
	var file bytes.Buffer
	if err := faults.Write(&file, good()); err != nil {
		t.Fatal(err)
	}
	records, err := faults.Read(&file)
	if err != nil || len(records) != len(good()) {
		t.Fatalf("%d records, %v", len(records), err)
	}
	if found := faults.Judge(records); len(found) > 0 {
		t.Errorf("found %q", found)
	}
}

// Every rule is broken once: a judge that was never seen to object is not trusted.
func TestJudgeFinds(t *testing.T) {
	drop := func(what, text string) func([]faults.Record) []faults.Record {
		return func(rs []faults.Record) []faults.Record {
			return slices.DeleteFunc(rs, func(r faults.Record) bool { return r.What == what && r.Text == text })
		}
	}
	add := func(more ...faults.Record) func([]faults.Record) []faults.Record {
		return func(rs []faults.Record) []faults.Record { return append(rs, more...) }
	}
	before := func(what string, r faults.Record) func([]faults.Record) []faults.Record {
		return func(rs []faults.Record) []faults.Record {
			i := slices.IndexFunc(rs, func(r faults.Record) bool { return r.What == what })
			return slices.Insert(rs, i, r)
		}
	}
	heard := func(text string) faults.Record {
		return faults.Record{Who: "bob", Life: 2, What: faults.Heard, Session: chatID, From: "alice", Text: text}
	}
	for _, c := range []struct {
		what, rule string
		change     func([]faults.Record) []faults.Record
	}{
		{"a message is not shown", "lost", drop(faults.Heard, "alice 2")},
		{"nobody is told that a message failed", "lost", drop(faults.Failed, "alice 3")},
		{"a message is shown twice", "once", before(faults.Ended, heard("alice 2"))},
		{"messages change places", "order", before(faults.Ended, heard("alice 0"))},
		{"a message is shown after the end", "stray", add(heard("alice 4"))},
		{"a message is shown as somebody else's", "stray", before(faults.Ended, heard("carol 1"))},
		{"somebody is not told of the end", "half", func(rs []faults.Record) []faults.Record {
			i := slices.IndexFunc(rs, func(r faults.Record) bool { return r.What == faults.Ended })
			return slices.Delete(rs, i, i+1)
		}},
		{"a chat is open for one and over for the other", "half", func(rs []faults.Record) []faults.Record {
			i := slices.IndexFunc(rs, func(r faults.Record) bool { return r.What == faults.Ended })
			rs[i].What = faults.Open
			return rs
		}},
		{"the members are others for others", "half", func(rs []faults.Record) []faults.Record {
			i := slices.IndexFunc(rs, func(r faults.Record) bool { return r.What == faults.Opened })
			rs[i].Members = []string{"bob", "carol"}
			return rs
		}},
		{"somebody is in two chats", "two", before(faults.Ended, faults.Record{Who: "bob", Life: 2, What: faults.Opened, Session: "aa", Members: []string{"bob", "carol"}})},
		{"an invitation ends in two ways", "outcome", add(faults.Record{Who: "dave", What: faults.Over, Session: "ff", Reason: "expired"})},
		{"an invitation is over and a chat", "outcome", add(faults.Record{Who: "bob", Life: 2, What: faults.Over, Session: chatID, Reason: "expired"})},
		{"a name changes hands", "name", add(faults.Record{Who: "bob", What: faults.Robbed})},
		{"somebody is sent away", "out", add(faults.Record{Who: "bob", What: faults.Out, Reason: "The username bob is already taken."})},
		{"somebody is in their own list", "list", add(faults.Record{Who: "bob", What: faults.Listed, Members: []string{"bob"}})},
	} {
		found := faults.Judge(c.change(good()))
		if !slices.ContainsFunc(found, func(s string) bool { return strings.HasPrefix(s, c.rule+": ") }) {
			t.Errorf("%s: found %q, want a case of %q", c.what, found, c.rule)
		}
	}
}
