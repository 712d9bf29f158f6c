package account

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"time"

	"natter/chat"
)

// Ban is a ban as it is stored. A ban by name covers the name for everybody, and the user who had
// it then under every name.
type Ban struct {
	chat.Ban
	Key  string `json:"key,omitempty"`  // of the user who had the banned name
	Gone bool   `json:"gone,omitempty"` // a tombstone: taken back, or over
}

// MaxReason is the greatest length of an operator's reason, in characters.
const MaxReason = 200

// Reason returns an operator's reason without control characters.
func Reason(s string) string {
	r := []rune(strings.TrimRight(strings.TrimSpace(chat.CleanLine(s)), "."))
	return strings.TrimSpace(string(r[:min(len(r), MaxReason)]))
}

var errTarget = chat.Errorf(chat.Arguments, "Say whom you mean: a username, a public key (U...) or an address or network such as 10.1.0.0/16.")

// ReadTarget parses what an operator types: an address has a dot or a colon, a name has neither
// and is shorter than a key.
func ReadTarget(s string) (chat.Target, error) {
	s = strings.TrimSpace(s)
	switch {
	case strings.ContainsAny(s, ".:"):
		return CheckTarget(chat.Target{Network: s})
	case len(s) > chat.MaxName:
		return CheckTarget(chat.Target{Key: s})
	}
	return CheckTarget(chat.Target{Name: s})
}

// CheckTarget returns a target in its normal form. Code Arguments, or that of an invalid name.
func CheckTarget(t chat.Target) (chat.Target, error) {
	switch {
	case t.Name != "" && t.Key == "" && t.Network == "":
		name, err := chat.ParseName(t.Name)
		return chat.Target{Name: string(name)}, err
	case t.Key != "" && t.Name == "" && t.Network == "":
		if !keyLike(t.Key) {
			return t, errTarget
		}
		return t, nil
	case t.Network != "" && t.Name == "" && t.Key == "":
		p, ok := network(t.Network)
		if !ok {
			return t, errTarget
		}
		return chat.Target{Network: shown(p)}, nil
	}
	return t, errTarget
}

// keyLike reports whether a text looks like a public user key.
func keyLike(s string) bool {
	const length, letters = 56, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	return len(s) == length && s[0] == 'U' && strings.Trim(s, letters) == ""
}

// network reads an address or a prefix. IPv4 written as IPv6 is IPv4.
func network(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, false
	}
	const mapped = 96 // the bits of IPv6 before an IPv4 address in it
	if p.Addr().Is4In6() {
		if p.Bits() < mapped {
			return p, false
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
	}
	return p.Masked(), true
}

// shown returns a network, if it has one address only, as that address.
func shown(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// Networks returns the networks that contain an address, as bans name them: one of each size.
func Networks(address string) []string {
	a, known := IP(address)
	if !known {
		return nil
	}
	all := make([]string, 0, a.BitLen()+1)
	for bits := range a.BitLen() + 1 {
		p, _ := a.Prefix(bits) // cannot fail
		all = append(all, shown(p))
	}
	return all
}

// Word returns the target as operators write it.
func Word(t chat.Target) string { return t.Name + t.Key + t.Network }

// BanKey returns the key of a target's ban: one token of a subject.
func BanKey(t chat.Target) string {
	switch {
	case t.Name != "":
		return "name-" + string(chat.Name(t.Name).User())
	case t.Key != "":
		return "key-" + t.Key
	}
	return "net-" + hex.EncodeToString([]byte(t.Network))
}

// Impose bans a target, and replaces an earlier ban of it. key is the public key of the user who
// has the name, for a ban by name. now and settled are Clock.Latest and Clock.Settled.
func Impose(before Ban, t chat.Target, key, reason string, d time.Duration, now, settled time.Time) (Ban, error) {
	if d < 0 {
		return before, chat.Errorf(chat.Arguments, "A ban cannot last less than no time.")
	}
	after := Ban{Ban: chat.Ban{Target: t, Reason: Reason(reason), At: now.UTC().Truncate(time.Second)}, Key: key}
	if key == "" && before.Standing(settled) {
		after.Key = before.Key
	}
	if d > 0 {
		after.Until = after.At.Add(d)
	}
	return after, nil
}

// Lift takes a ban back. Code NothingToDo if there is none.
func Lift(before Ban, t chat.Target, now time.Time) (Ban, error) {
	if !before.Standing(now) {
		return before, chat.Errorf(chat.NothingToDo, "%s is not banned.", Word(t))
	}
	before.Gone = true
	return before, nil
}

// End ends a ban whose time is over.
func End(before Ban, now time.Time) (Ban, error) {
	if before.Gone || before.Standing(now) {
		return before, chat.ErrUnchanged
	}
	before.Gone = true
	return before, nil
}

// Standing reports whether the ban exists and is not over.
func (b Ban) Standing(now time.Time) bool {
	return !b.Gone && !b.At.IsZero() && (b.Until.IsZero() || now.Before(b.Until))
}

// Covers reports whether the ban covers a user by the name, by the login key or by the address (IP,
// with or without a port). Unknown values are empty.
func (b Ban) Covers(u chat.User, key, address string) bool {
	return u != "" && u == chat.Name(b.Target.Name).User() || b.Person(key, address)
}

// Person is Covers without the name.
func (b Ban) Person(key, address string) bool {
	switch {
	case key != "" && (key == b.Key || key == b.Target.Key):
		return true
	case b.Target.Network == "":
		return false
	}
	p, ok := network(b.Target.Network)
	a, known := IP(address)
	return ok && known && p.Contains(a)
}

// IP reads the address of a connection, with or without a port.
func IP(address string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(address); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	a, err := netip.ParseAddr(address)
	return a.Unmap().WithZone(""), err == nil
}

// Refuse returns an error if one of some bans covers a user with a key at an address who asks for a
// name. Code Banned; Reserved if only the name is banned.
func Refuse(bans []Ban, name chat.Name, key, address string, now time.Time) error {
	var longest *Ban
	reserved := false
	for i, b := range bans {
		switch {
		case !b.Standing(now):
		case b.Person(key, address):
			if longest == nil || !longest.Until.IsZero() && (b.Until.IsZero() || b.Until.After(longest.Until)) {
				longest = &bans[i]
			}
		case b.Covers(name.User(), key, address):
			reserved = true
		}
	}
	switch {
	case longest != nil:
		return chat.Errorf(chat.Banned, "%s", longest.sentence())
	case reserved:
		return chat.Errorf(chat.Reserved, "The username %s cannot be taken.", name)
	}
	return nil
}

func (b Ban) sentence() string {
	s := "You are banned"
	if !b.Until.IsZero() {
		s += " until " + Moment(b.Until)
	}
	if b.Reason != "" {
		s += ": " + b.Reason
	}
	return s + "."
}

// Moment writes a time so that it means the same everywhere.
func Moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
