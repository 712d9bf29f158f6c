package faults

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Judge reads the records of a run and says what must not have happened. The rules:
//
//   - no life of a user is shown a message twice, or out of its sender's order (once, order);
//     a new life may be shown again what the last one could no longer acknowledge;
//   - what a user said and was not told to have failed, everybody was shown who was in the
//     chat to its end, unless the sender's program died in between (lost);
//   - nothing is shown before the chat begins or after its end, and only what a member
//     said (stray);
//   - nobody is in two chats at once (two);
//   - a chat that began has the same members for all, and is over for each of them whose
//     program lived, or still open for all (half);
//   - of an invitation, all hear the same end (outcome);
//   - a name is never given to another key (name), and its owner is never sent away (out);
//   - lists do not show the asker (list).
//
// Messages are told apart by their text: SENDER NUMBER, the numbers of a sender growing.
func Judge(records []Record) []string {
	j := &judge{chats: map[string]*chatOf{}, open: map[string]string{}}
	for i, r := range records {
		j.take(i, r)
	}
	j.finish()
	return j.found
}

type judge struct {
	chats map[string]*chatOf
	open  map[string]string // by user, the chat that this life is in
	found []string
}

// chatOf is what the records say of one chat.
type chatOf struct {
	id      string
	members []string
	said    []saying
	heard   map[string][]hearing // by listener, in order
	failed  map[string]bool
	fate    map[string]*fate
	over    map[string]string // by user, how the invitation ended
}

type saying struct {
	from, text string
	life       int
}

type hearing struct {
	from, text string
	life       int
}

// fate is what became of a member.
type fate struct {
	begun bool         // was told that the chat has begun
	ended bool         // was told that it is over
	gone  bool         // the program died in the chat, and has not come back to it
	life  int          // that it began for last
	died  map[int]bool // lives that ended in the chat
	left  bool         // left, or was taken for lost
	still bool         // is in it at the end of the run
}

func (j *judge) wrong(rule, format string, args ...any) {
	j.found = append(j.found, rule+": "+fmt.Sprintf(format, args...))
}

func (j *judge) chat(id string) *chatOf {
	c := j.chats[id]
	if c == nil {
		c = &chatOf{id: id, heard: map[string][]hearing{}, failed: map[string]bool{}, fate: map[string]*fate{}, over: map[string]string{}}
		j.chats[id] = c
	}
	return c
}

func (c *chatOf) of(user string) *fate {
	f := c.fate[user]
	if f == nil {
		f = &fate{died: map[int]bool{}}
		c.fate[user] = f
	}
	return f
}

func (j *judge) take(i int, r Record) {
	switch r.What {
	case Dead:
		if id := j.open[r.Who]; id != "" {
			f := j.chat(id).of(r.Who)
			f.gone, f.died[r.Life] = true, true
			delete(j.open, r.Who)
		}
	case Opened:
		j.opened(r)
	case Ended:
		f := j.chat(r.Session).of(r.Who)
		f.ended = true
		if j.open[r.Who] == r.Session {
			delete(j.open, r.Who)
		}
	case Left:
		j.chat(r.Session).of(r.From).left = true
		if r.Who == r.From && j.open[r.Who] == r.Session {
			delete(j.open, r.Who)
		}
	case Over:
		j.chat(r.Session).over[r.Who] = r.Reason
	case Said:
		c := j.chat(r.Session)
		c.said = append(c.said, saying{r.Who, r.Text, r.Life})
	case Failed:
		j.chat(r.Session).failed[r.Text] = true
	case Heard:
		j.heard(i, r)
	case Open:
		j.chat(r.Session).of(r.Who).still = true
	case Robbed:
		j.wrong("name", "%s is given to another key (record %d)", r.Who, i)
	case Out:
		j.wrong("out", "%s is sent away: %s (record %d)", r.Who, r.Reason, i)
	case Listed:
		if slices.Contains(r.Members, r.Who) {
			j.wrong("list", "%s is in their own list (record %d)", r.Who, i)
		}
	}
}

func (j *judge) opened(r Record) {
	c := j.chat(r.Session)
	if other := j.open[r.Who]; other != "" && other != r.Session {
		j.wrong("two", "%s is in %s and in %s", r.Who, short(other), short(r.Session))
	}
	members := slices.Clone(r.Members)
	slices.Sort(members)
	switch {
	case c.members == nil:
		c.members = members
	case !subset(members, c.members) && !subset(c.members, members):
		j.wrong("half", "%s is %v for some, %v for %s", short(c.id), c.members, members, r.Who)
	}
	for _, m := range members {
		if !slices.Contains(c.members, m) {
			c.members = append(c.members, m)
		}
	}
	f := c.of(r.Who)
	if f.ended && r.Life > f.life {
		f.ended = false // it was left without a connection, and the program died before it could say so
	}
	f.begun, f.gone, f.life = true, false, r.Life
	if !f.ended {
		j.open[r.Who] = r.Session
	}
}

func (j *judge) heard(i int, r Record) {
	c := j.chat(r.Session)
	f := c.of(r.Who)
	if !f.begun || f.ended {
		j.wrong("stray", "%s is shown %q of %s outside of the chat (record %d)", r.Who, r.Text, short(r.Session), i)
	}
	if c.members != nil && !slices.Contains(c.members, r.From) {
		j.wrong("stray", "%s is shown %q by %s, who is not in %s", r.Who, r.Text, r.From, short(r.Session))
	}
	if from, _, ok := number(r.Text); !ok || from != r.From {
		j.wrong("stray", "%s is shown %q as said by %s", r.Who, r.Text, r.From)
	}
	c.heard[r.Who] = append(c.heard[r.Who], hearing{r.From, r.Text, r.Life})
}

// finish looks at the chats as wholes.
func (j *judge) finish() {
	ids := make([]string, 0, len(j.chats))
	for id := range j.chats {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		c := j.chats[id]
		j.order(c)
		j.lost(c)
		j.half(c)
		j.outcome(c)
	}
}

func (j *judge) order(c *chatOf) {
	for who, heard := range c.heard {
		last, seen := map[string]int{}, map[string]int{} // by sender, the number; by text, the life
		for _, h := range heard {
			_, n, _ := number(h.text)
			life, again := seen[h.text]
			switch {
			case again && life == h.life:
				j.wrong("once", "%s is shown %q twice in %s", who, h.text, short(c.id))
			case n <= last[h.from] && !again:
				j.wrong("order", "%s is shown %q after %d in %s", who, h.text, last[h.from], short(c.id))
			}
			seen[h.text] = h.life
			last[h.from] = max(last[h.from], n)
		}
	}
}

// lost finds what was said and neither shown nor said to have failed. A sender whose
// program died may have lost what was on its way.
func (j *judge) lost(c *chatOf) {
	for _, s := range c.said {
		if c.of(s.from).died[s.life] {
			continue
		}
		missing := c.missing(s)
		if len(missing) > 0 && !c.failed[s.text] {
			j.wrong("lost", "%q in %s was not shown to %s, and %s was not told", s.text, short(c.id), strings.Join(missing, ", "), s.from)
		}
	}
}

// missing are the members to the end who were not shown something.
func (c *chatOf) missing(s saying) []string {
	var who []string
	for _, m := range c.members {
		f := c.of(m)
		if m != s.from && f.begun && !f.left && !f.gone && !c.shown(m, s.text) {
			who = append(who, m)
		}
	}
	return who
}

func (c *chatOf) shown(who, text string) bool {
	return slices.ContainsFunc(c.heard[who], func(h hearing) bool { return h.text == text })
}

func (j *judge) half(c *chatOf) {
	open, over := []string{}, []string{}
	for _, m := range c.members {
		switch f := c.of(m); {
		case f.still && f.ended:
			j.wrong("half", "%s is in %s, which is over for them", m, short(c.id))
		case f.still:
			open = append(open, m)
		case f.ended:
			over = append(over, m)
		case f.begun && !f.gone && !f.left:
			j.wrong("half", "%s was never told that %s is over", m, short(c.id))
		}
	}
	stayed := slices.DeleteFunc(over, func(m string) bool { return c.of(m).left })
	if len(open) > 0 && len(stayed) > 0 {
		j.wrong("half", "%s is open for %v and over for %v", short(c.id), open, stayed)
	}
	if len(open) == 1 {
		j.wrong("half", "%s is alone in %s", open[0], short(c.id))
	}
}

func (j *judge) outcome(c *chatOf) {
	reasons := map[string]bool{}
	for who, reason := range c.over {
		reasons[reason] = true
		if c.of(who).begun {
			j.wrong("outcome", "invitation %s was over for %s (%s) and a chat as well", short(c.id), who, reason)
		}
	}
	if len(reasons) > 1 {
		j.wrong("outcome", "invitation %s ended in several ways: %v", short(c.id), c.over)
	}
	if len(reasons) > 0 && c.members != nil {
		j.wrong("outcome", "invitation %s is over for %v and a chat for %v", short(c.id), c.over, c.members)
	}
}

// number reads SENDER NUMBER.
func number(text string) (from string, n int, ok bool) {
	from, digits, ok := strings.Cut(text, " ")
	n, err := strconv.Atoi(digits)
	return from, n, ok && err == nil
}

func subset(a, b []string) bool {
	return !slices.ContainsFunc(a, func(m string) bool { return !slices.Contains(b, m) })
}

func short(id string) string { return id[:min(6, len(id))] }
