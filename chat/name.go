package chat

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Name is a user's name as it was typed: ^[A-Za-z][A-Za-z0-9_-]{0,23}$. Two
// names that differ only in case are the same user.
type Name string

// User is a name in lower case: the token that stands for its owner in subjects,
// in records and wherever names are compared.
type User string

// MaxName is the greatest length of a name, in bytes.
const MaxName = 24

// reserved are words that commands, screens and subjects use, also where a name may
// stand; as names they would make a line ambiguous, or their owner look official.
var reserved = map[User]bool{
	"admin": true, "all": true, "anybody": true, "anyone": true, "ask": true, "bye": true, "chatcli": true, "chatcoord": true,
	"console": true, "coord": true, "coordinator": true, "direct": true, "everybody": true, "everyone": true, "exit": true, "here": true, "lobby": true,
	"me": true, "moderator": true, "n": true, "natter": true, "no": true, "nobody": true, "none": true, "observer": true, "operator": true, "others": true,
	"quit": true, "root": true, "server": true, "somebody": true, "someone": true, "support": true, "system": true, "y": true, "yes": true,
	"you": true,
}

// ParseName checks s against the grammar and the reserved words. Its error is an
// *Error with code Invalid or Reserved whose sentence names the rule and, for a
// character that cannot be told by looking at it, its code point.
func ParseName(s string) (Name, error) {
	const rule = "start with a letter, then letters, digits, - or _, at most 24."
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		other := r >= '0' && r <= '9' || r == '-' || r == '_'
		if letter || other && i > 0 {
			continue
		}
		if r > '~' || r < ' ' {
			what := fmt.Sprintf("%U", r)
			if _, size := utf8.DecodeRuneInString(s[i:]); r == utf8.RuneError && size == 1 {
				what = "a byte that is not UTF-8"
			}
			return "", Errorf(Invalid, "%s is not a username (%s): %s", shorten(s), what, rule)
		}
		return "", Errorf(Invalid, "%s is not a username: %s", shorten(s), rule)
	}
	if s == "" || len(s) > MaxName {
		return "", Errorf(Invalid, "%s is not a username: %s", shorten(s), rule)
	}
	if reserved[Name(s).User()] {
		return "", Errorf(Reserved, "%q is a reserved word. Choose another username.", s)
	}
	return Name(s), nil
}

// User returns the token that stands for the name.
func (n Name) User() User { return User(strings.ToLower(string(n))) }

// Skeleton returns what a name looks like: names that many fonts show alike have the
// same. On the name as it was typed, I, l and 1 are l, O, o and 0 are o, rn is m and vv
// is w; then it is in lower case, without - and _.
func Skeleton(n Name) string {
	return strings.ToLower(lookAlikes.Replace(alikeChars.Replace(string(n))))
}

// LooksReserved reports whether a name looks like a reserved word. ParseName does not ask:
// users who have such a name already keep it.
func LooksReserved(n Name) bool { return reservedAlike[Skeleton(n)] }

var reservedAlike = func() map[string]bool {
	all := make(map[string]bool, len(reserved))
	for word := range reserved {
		all[Skeleton(Name(word))] = true
	}
	return all
}()

var (
	alikeChars = strings.NewReplacer("I", "l", "1", "l", "O", "o", "0", "o")
	lookAlikes = strings.NewReplacer("rn", "m", "vv", "w", "-", "", "_", "")
)

// shorten quotes what somebody typed so that it can be shown: escaped, in ASCII,
// and not longer than a line.
func shorten(s string) string {
	if len(s) > 40 {
		return fmt.Sprintf("%+q...", s[:40])
	}
	return fmt.Sprintf("%+q", s)
}

// validUser reports whether a subject's token can be a user.
func validUser(s string) bool {
	n, err := ParseName(s)
	return err == nil && string(n.User()) == s
}

// Names joins names for a sentence: "bob", "bob, carol".
func Names(names []Name) string {
	parts := make([]string, len(names))
	for i, n := range names {
		parts[i] = string(n)
	}
	return strings.Join(parts, ", ")
}
