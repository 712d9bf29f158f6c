package ui

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"natter/chat"
)

// waitDefault is how long /wait waits if no time is given.
const waitDefault = 30 * time.Second

// happening is an event that a script can wait for: a kind of the list below and, of a message, its
// text.
type happening struct {
	kind string
	text string
}

// want is what a /wait waits for. Kind "" is a pause, kind "user" is that a user is available; the
// others are happenings.
type want struct {
	kind    string
	pattern *regexp.Regexp
	user    chat.User
	most    time.Duration
}

// waitKinds are the happenings, and "user".
var waitKinds = []string{"invitation", "message", "chat", "end", "user"}

// parseWait parses the arguments of /wait. Its error is a sentence.
func parseWait(s string) (want, error) {
	words := strings.Fields(s)
	if len(words) == 0 {
		return want{}, chat.Errorf(chat.Arguments, "Write /wait EVENT SECONDS: %s NAME, or only seconds.", strings.Join(waitKinds, ", "))
	}
	w := want{most: waitDefault}
	if d, ok := parseSeconds(words[len(words)-1]); ok && (len(words) > 1 || words[0] != "user") {
		w.most = d
		words = words[:len(words)-1]
	}
	if len(words) == 0 {
		return w, nil
	}
	w.kind = words[0]
	if !slices.Contains(waitKinds, w.kind) {
		return want{}, chat.Errorf(chat.Arguments, "Nothing can be waited for as %q: %s NAME, or only seconds.", shorten(w.kind), strings.Join(waitKinds, ", "))
	}
	return w, w.arguments(words[1:])
}

// arguments parses what follows the kind: a regular expression, a name, or nothing.
func (w *want) arguments(words []string) error {
	var err error
	switch {
	case w.kind == "message" && len(words) > 0:
		if w.pattern, err = regexp.Compile(strings.Join(words, " ")); err != nil {
			return chat.Errorf(chat.Arguments, "%q is not a regular expression.", strings.Join(words, " "))
		}
	case w.kind == "user" && len(words) == 1:
		w.user = chat.Name(words[0]).User()
	case w.kind == "user" || w.kind != "message" && len(words) > 0:
		return chat.Errorf(chat.Arguments, "Write /wait invitation, message REGEXP, chat, end or user NAME, and then maybe seconds.")
	}
	return nil
}

// parseSeconds parses a number such as "2.5", between 0 and a day.
func parseSeconds(s string) (time.Duration, bool) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= 0 && f <= 86400) || s[0] == '+' {
		return 0, false
	}
	return time.Duration(f * float64(time.Second)), true
}

// String returns the want as it was written.
func (w want) String() string {
	if w.kind == "user" {
		return "user " + string(w.user)
	}
	return w.kind
}

// meets reports whether the happening is what is waited for.
func (w want) meets(h happening) bool {
	return w.kind == h.kind && (w.pattern == nil || w.pattern.MatchString(h.text))
}

// tally are the happenings that no /wait has taken yet. A /wait takes the one that it finds and
// everything before it, so that nothing is found twice and nothing is missed between two of them.
type tally struct{ seen []happening }

// tallied is how many happenings are kept: scripts look at the latest ones.
const tallied = 10000

func (t *tally) add(h happening) {
	if len(t.seen) == tallied {
		t.seen = slices.Delete(t.seen, 0, tallied/2)
	}
	t.seen = append(t.seen, h)
}

// take reports whether it has happened already, and removes it.
func (t *tally) take(w want) bool {
	i := slices.IndexFunc(t.seen, w.meets)
	if i < 0 {
		return false
	}
	t.seen = slices.Delete(t.seen, 0, i+1)
	return true
}
