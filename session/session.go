package session

import (
	"errors"
	"slices"
	"time"

	"natter/chat"
)

// World is what the rules must know about all users and sessions.
type World interface {
	// User finds a present user; one whose connection is lost is present until
	// the grace time is over.
	User(u chat.User) (name chat.Name, visible bool, ok bool)
	// Blocks reports whether a user who is present blocks another one.
	Blocks(u, other chat.User) bool
	// Removed reports whether the operator has signed a user out, who is therefore absent.
	Removed(u chat.User) bool
	// Of returns the proposed and open sessions that u is in and has not left.
	Of(u chat.User) []chat.Session
}

// ErrUnchanged means that the step was done already, which is no error for the asker.
var ErrUnchanged = chat.ErrUnchanged

// The answers that do not depend on whom they are about.
var (
	errNotRegistered = chat.Errorf(chat.NotRegistered, "You are not signed in.")
	errInChat        = chat.Errorf(chat.InChat, "You are in a chat. Quit ends it.")
	ErrNotInChat     = chat.Errorf(chat.NotInChat, "You are not in a chat.")
	errEnded         = chat.Errorf(chat.NothingToDo, "That invitation has ended.")
)

// Propose invites the guests, named in any case, to a session with the host. If
// the only guest has invited the host alone, that invitation is accepted instead,
// and the session returned has its id, not this one. Asking the same guests again
// returns the proposal that waits for them, or the chat that asking has begun, with
// ErrUnchanged.
func Propose(w World, host chat.User, id string, guests []string, class chat.Class, rules chat.Rules, now time.Time) (chat.Session, error) {
	if s, ok := Busy(w, host); ok && crossed(s, guests) {
		return s, ErrUnchanged
	}
	if err := canChat(w, host); err != nil {
		return chat.Session{}, err
	}
	typed, err := parseGuests(host, guests, rules.MaxGroup)
	if err != nil {
		return chat.Session{}, err
	}
	if s, ok := crossing(w, host, typed); ok {
		return Answer(w, s, host, true, now)
	}
	if s, ok := waiting(w, host); ok {
		if sameGuests(s, typed) {
			return s, ErrUnchanged
		}
		return chat.Session{}, chat.Errorf(chat.Busy, "Your invitation to %s is still waiting; /cancel withdraws it.", chat.Names(s.Guests()))
	}
	members, err := gather(w, host, typed)
	if err != nil {
		return chat.Session{}, err
	}
	return chat.Session{
		ID: id, State: chat.Proposed, Host: host, Members: members,
		Class: class, Timeout: rules.InviteTimeout, At: now,
	}, nil
}

// Answer accepts or denies an invitation. The last guest to accept opens the
// session. If a member has gone meanwhile, the invitation is closed instead: that
// is a step, not an error. An accept may still become a deny before the chat begins.
func Answer(w World, s chat.Session, by chat.User, accept bool, now time.Time) (chat.Session, error) {
	m, in := s.Member(by)
	switch {
	case s.State == chat.Open && in && accept:
		return s, ErrUnchanged
	case s.State == chat.Closed && s.Reason == chat.ByDeny && slices.Contains(s.By, by) && !accept:
		return s, ErrUnchanged
	case s.State != chat.Proposed || !in || by == s.Host:
		return chat.Session{}, errEnded
	case !accept:
		return closed(setAccepted(s, by, false), chat.ByDeny, by), nil
	}
	if err := canChat(w, by); err != nil {
		return chat.Session{}, err
	}
	if m.Accepted {
		return s, ErrUnchanged
	}
	if gone := goneFrom(w, s); len(gone) > 0 {
		return closed(s, chat.ByGone, gone...), nil
	}
	s = setAccepted(s, by, true)
	if len(unanswered(s)) == 0 {
		s.State, s.At = chat.Open, now
	}
	return s, nil
}

// Withdraw ends the host's invitation.
func Withdraw(s chat.Session, by chat.User) (chat.Session, error) {
	switch {
	case by != s.Host:
		return chat.Session{}, errEnded
	case s.State == chat.Closed && s.Reason == chat.ByWithdraw:
		return s, ErrUnchanged
	case s.State != chat.Proposed:
		return chat.Session{}, errEnded
	}
	return closed(s, chat.ByWithdraw, by), nil
}

// Expire closes an invitation whose time is over.
func Expire(s chat.Session) (chat.Session, error) {
	if s.State != chat.Proposed {
		return s, ErrUnchanged
	}
	return closed(s, chat.ByExpiry, unanswered(s)...), nil
}

// End ends an open session for all of its members. The reason is ByQuit or ByBye.
func End(s chat.Session, by chat.User, reason chat.Reason) (chat.Session, error) {
	if reason != chat.ByQuit && reason != chat.ByBye {
		// The reason comes from the asker, who must not be able to claim a loss.
		return chat.Session{}, chat.Errorf(chat.Arguments, "A chat is ended by quit or bye.")
	}
	if err := inChat(s, by); err != nil {
		return unchanged(s, err)
	}
	return closed(s, reason, by), nil
}

// Leave takes one member out of an open session, by their own will (ByLeave), because
// they did not come back (ByLoss) or by the operator's (ByOperator). Two or more others go on under a new
// epoch, whose channel the leaver's ticket cannot read; one alone does not.
func Leave(s chat.Session, by chat.User, reason chat.Reason) (chat.Session, error) {
	if !leaves(reason) {
		return chat.Session{}, chat.Errorf(chat.Arguments, "A chat is left by leaving or by losing the connection.")
	}
	if hasParted(s, by, reason) {
		return s, ErrUnchanged
	}
	if err := inChat(s, by); err != nil {
		return unchanged(s, err)
	}
	if len(s.Present()) <= 2 {
		return closed(s, reason, by), nil
	}
	s = change(s, by, func(m *chat.Member) { m.Left = reason })
	s.Epoch++
	return s, nil
}

// Move takes an open session to another terminal of a member: it goes on under a new epoch,
// whose channel the older terminal's ticket can neither read nor write.
func Move(s chat.Session, by chat.User) (chat.Session, error) {
	if err := inChat(s, by); err != nil {
		return unchanged(s, err)
	}
	s.Epoch++
	return s, nil
}

// Restart begins another incarnation of a member whose program has been started again.
func Restart(s chat.Session, by chat.User) (chat.Session, error) {
	m, in := s.Member(by)
	switch {
	case !in || s.State != chat.Open:
		return chat.Session{}, ErrNotInChat
	case m.Incarnation == chat.MaxIncarnation:
		return chat.Session{}, chat.Errorf(chat.Denied, "You have come back into this chat too often. Quit ends it.")
	}
	return change(s, by, func(m *chat.Member) { m.Incarnation++ }), nil
}

// Repair makes the next step that a change elsewhere has made necessary: it closes
// an invitation when a member is absent or has begun another chat, and takes a
// member who is absent out of an open session. False means that nothing is to be
// done. A step may leave another one to do.
func Repair(w World, s chat.Session) (chat.Session, bool) {
	switch s.State {
	case chat.Proposed:
		if gone := goneFrom(w, s); len(gone) > 0 {
			return closed(s, chat.ByGone, gone...), true
		}
	case chat.Open:
		for _, m := range s.Present() {
			if _, _, here := w.User(m.User()); !here {
				reason := chat.ByLoss
				if w.Removed(m.User()) {
					reason = chat.ByOperator
				}
				after, err := Leave(s, m.User(), reason)
				return after, err == nil
			}
		}
	}
	return s, false
}

// Busy finds the open session that u is in.
func Busy(w World, u chat.User) (chat.Session, bool) {
	for _, s := range w.Of(u) {
		if s.State == chat.Open {
			return s, true
		}
	}
	return chat.Session{}, false
}

// canChat returns an error if u cannot begin a chat now.
func canChat(w World, u chat.User) error {
	if _, _, ok := w.User(u); !ok {
		return errNotRegistered
	}
	if _, busy := Busy(w, u); busy {
		return errInChat
	}
	return nil
}

// inChat returns an error if u is not a member of the open session.
func inChat(s chat.Session, by chat.User) error {
	_, in := s.Member(by)
	switch {
	case in && s.State == chat.Open:
		return nil
	case in && s.State == chat.Closed && Begun(s):
		return ErrUnchanged
	}
	return ErrNotInChat
}

// hasParted reports whether a member is out of a session already, for a reason.
func hasParted(s chat.Session, u chat.User, reason chat.Reason) bool {
	return slices.ContainsFunc(s.Members, func(m chat.Member) bool { return m.User() == u && m.Left == reason })
}

// unchanged is the result of a rule that makes no step.
func unchanged(s chat.Session, err error) (chat.Session, error) {
	if errors.Is(err, ErrUnchanged) {
		return s, err
	}
	return chat.Session{}, err
}

// Begun reports whether the chat has ever begun.
func Begun(s chat.Session) bool {
	return s.State == chat.Open || s.Reason == chat.ByQuit || s.Reason == chat.ByBye || leaves(s.Reason)
}

// leaves reports whether a reason is one for which a single member is out.
func leaves(r chat.Reason) bool {
	return r == chat.ByLeave || r == chat.ByLoss || r == chat.ByOperator
}

// goneFrom returns the members of a proposal who can no longer begin it.
func goneFrom(w World, s chat.Session) []chat.User {
	var gone []chat.User
	for _, m := range s.Members {
		if canChat(w, m.User()) != nil {
			gone = append(gone, m.User())
		}
	}
	return gone
}

// unanswered returns the guests who have not accepted.
func unanswered(s chat.Session) []chat.User {
	var guests []chat.User
	for _, m := range s.Members {
		if !m.Accepted {
			guests = append(guests, m.User())
		}
	}
	return guests
}

// closed returns s, closed.
func closed(s chat.Session, reason chat.Reason, by ...chat.User) chat.Session {
	s.State, s.Reason, s.By = chat.Closed, reason, by
	return s
}

// setAccepted returns s with the guest's answer.
func setAccepted(s chat.Session, by chat.User, accepted bool) chat.Session {
	return change(s, by, func(m *chat.Member) { m.Accepted = accepted })
}

// change returns s with one member changed; the members of s stay as they are.
func change(s chat.Session, u chat.User, step func(*chat.Member)) chat.Session {
	s.Members = slices.Clone(s.Members)
	for i := range s.Members {
		if s.Members[i].User() == u {
			step(&s.Members[i])
		}
	}
	return s
}
