package delivery

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"natter/chat"
	"natter/session"
)

// simJudge says what must not have happened. The rules:
//
//   - once: no life of a member is shown a message twice; a new life may be shown again what
//     its predecessor could not acknowledge;
//   - order: nor out of its sender's order;
//   - lost: what a member said and was not told to have failed was shown to every member to
//     the end, unless the sender's program died; what was told as delivered or stored was,
//     even then;
//   - stray: nothing is shown after the end, or by somebody who did not say it;
//   - claim: what was told as not delivered, and not as unknown, was not shown to all;
//   - rest: once everything has healed, everything arrives and nothing is left to do.
type simJudge struct {
	found  []string
	said   []simSaid
	index  map[string]int
	shown  map[chat.User]map[string]int // by listener and text: the life
	last   map[chat.User]map[chat.User]int
	lastIn map[chat.User]map[chat.User]int // the life that it was in
	dead   map[chat.User]map[int]bool
	end    map[chat.User]int // the life in which the session ended, or they left
	out    map[chat.User]bool
}

type simSaid struct {
	from            chat.User
	life            int
	text            string
	state           session.SentState
	failed, unknown bool
}

func newSimJudge() *simJudge {
	return &simJudge{index: map[string]int{}, shown: map[chat.User]map[string]int{}, last: map[chat.User]map[chat.User]int{}, lastIn: map[chat.User]map[chat.User]int{},
		dead: map[chat.User]map[int]bool{}, end: map[chat.User]int{}, out: map[chat.User]bool{}}
}

func (j *simJudge) wrong(rule, format string, args ...any) {
	j.found = append(j.found, rule+": "+fmt.Sprintf(format, args...))
}

func (j *simJudge) begun(u chat.User, _ int) {
	if j.shown[u] == nil {
		j.shown[u], j.last[u], j.lastIn[u], j.dead[u] = map[string]int{}, map[chat.User]int{}, map[chat.User]int{}, map[int]bool{}
	}
}

func (j *simJudge) died(l *simLife)    { j.dead[l.m.name.User()][l.n] = true }
func (j *simJudge) parted(u chat.User) { j.out[u] = true }
func (j *simJudge) says(l *simLife, text string) {
	j.index[text] = len(j.said)
	j.said = append(j.said, simSaid{from: l.m.name.User(), life: l.n, text: text})
}

func (j *simJudge) told(l *simLife, e session.Event) {
	me := l.m.name.User()
	switch e := e.(type) {
	case session.Texts:
		for _, m := range e.Messages {
			j.hears(me, l, e.From.User(), m.Text)
		}
	case session.Sent:
		s := &j.said[j.index[e.Text]]
		if s.state == session.Delivered || s.state == session.Stored && e.State == session.Sending {
			j.wrong("state", "%q goes from %s to %s", e.Text, s.state, e.State)
		}
		s.state = e.State
	}
}

func (j *simJudge) hears(me chat.User, l *simLife, from chat.User, text string) {
	if l.over && l.dead {
		j.wrong("stray", "%s is shown %q after the end", me, text)
	}
	who, digits, _ := strings.Cut(text, " ")
	n, err := strconv.Atoi(digits)
	if _, ok := j.index[text]; err != nil || !ok || chat.User(who) != from {
		j.wrong("stray", "%s is shown %q by %s", me, text, from)
		return
	}
	if life, again := j.shown[me][text]; again {
		if life == l.n {
			j.wrong("once", "%s is shown %q twice", me, text)
		}
	} else if n <= j.last[me][from] {
		j.wrong("order", "%s is shown %q after %d", me, text, j.last[me][from])
	}
	if j.lastIn[me][from] != l.n {
		j.lastIn[me][from] = l.n
	}
	j.shown[me][text] = l.n
	j.last[me][from] = max(j.last[me][from], n)
}

func (j *simJudge) ended(l *simLife, failed []session.NotDelivered) { j.fail(l, failed) }
func (j *simJudge) left(l *simLife, failed []session.NotDelivered)  { j.fail(l, failed) }

func (j *simJudge) fail(l *simLife, failed []session.NotDelivered) {
	for _, e := range failed {
		s := &j.said[j.index[e.Text]]
		s.failed, s.unknown = true, e.Unknown
	}
	j.end[l.m.name.User()] = l.n
}

// finish looks at what was said as a whole.
func (j *simJudge) finish(s *sim) {
	if len(j.found) > 0 {
		return
	}
	for _, said := range j.said {
		promised := said.state == session.Delivered || said.state == session.Stored
		if said.failed && !said.unknown {
			j.claim(s, said)
		}
		if said.failed || j.dead[said.from][said.life] && !promised {
			continue
		}
		for _, m := range s.members {
			u := m.name.User()
			if u == said.from || j.out[u] || j.away(s, m) || s.state.State == chat.Closed && said.state == session.Stored && !j.out[said.from] && j.dead[said.from][said.life] {
				continue
			}
			if _, ok := j.shown[u][said.text]; !ok {
				j.wrong("lost", "%q (%s) was not shown to %s, and %s was not told", said.text, said.state, u, said.from)
			}
		}
	}
}

// away reports whether a member's program had died at the end, and had not come back.
func (j *simJudge) away(s *sim, m *simMember) bool {
	return m.live == nil || m.live.dead && !slices.Contains([]int{j.end[m.name.User()]}, m.live.n)
}

// claim checks what was told as not delivered: somebody in the session did not get it.
func (j *simJudge) claim(s *sim, said simSaid) {
	for _, m := range s.members {
		if _, shown := j.shown[m.name.User()][said.text]; m.name.User() != said.from && !shown {
			return
		}
	}
	j.wrong("claim", "%q was told as not delivered to everybody, and was shown to all", said.text)
}
