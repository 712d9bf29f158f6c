package server

import (
	"context"
	"slices"
	"sync"
	"time"

	"natter/broker"
	"natter/broker/rpc"
	"natter/broker/store"
	"natter/chat"
)

// How many invitations one user receives: so many at once, and one more after each pause. From one
// network they are fewer, so that users there do not use up the limit for others.
const (
	inviteAtOnce  = 20
	invitePause   = 3 * time.Second
	nearAtOnce    = 10
	nearPause     = 12 * time.Second
	inviteAgain   = 15 * time.Second // the host is told to try again after so long at least
	inviteToldFor = 10 * time.Second // the receiver is told so long after the first one that was held back
	mostMet       = 1 << 16          // pairs of users who are remembered to have chatted
)

// inviteLimiter limits the rate of the invitations that each user receives, except from users with
// whom they have chatted. A nil limiter has no limit.
type inviteLimiter struct {
	all, near *rpc.Buckets

	mu   sync.Mutex
	held map[chat.User]int // invitations that were held back, since the user was told
	met  *broker.Recent[[2]chat.User]
}

func newInviteLimiter() *inviteLimiter {
	return &inviteLimiter{
		all:  rpc.NewBucketsOf(1/invitePause.Seconds(), inviteAtOnce),
		near: rpc.NewBucketsOf(1/nearPause.Seconds(), nearAtOnce),
		held: map[chat.User]int{},
		met:  broker.NewRecent[[2]chat.User](mostMet),
	}
}

func (c *inviteLimiter) keys(guest chat.User, address string) (all, near string) {
	return string(guest), string(guest) + " " + rpc.Network(address)
}

// admit notes that guests receive an invitation from an address now, or returns which of them
// cannot, and why: then nothing is noted. Code Rate. It checks and notes under one lock,
// because many may invite a user at the same moment.
func (c *inviteLimiter) admit(guests []chat.Name, address string, now time.Time) (chat.User, error) {
	if c == nil {
		return "", nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, guest := range guests {
		all, near := c.keys(guest.User(), address)
		if wait := max(c.all.Wait(all, now), c.near.Wait(near, now)); wait > 0 {
			e := rpc.TooFast("invitations", max(wait, inviteAgain))
			e.Text = string(guest) + " gets too many invitations at the moment; try again in a minute."
			return guest.User(), e
		}
	}
	for _, guest := range guests {
		all, near := c.keys(guest.User(), address)
		c.all.Take(all, now)
		c.near.Take(near, now)
	}
	return "", nil
}

// meet notes that the members of a session chat.
func (c *inviteLimiter) meet(members []chat.Member) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range members {
		for _, b := range members {
			if a.User() != b.User() {
				c.met.Add([2]chat.User{a.User(), b.User()})
			}
		}
	}
}

// friends reports whether two users have chatted.
func (c *inviteLimiter) friends(a, b chat.User) bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.met.Has([2]chat.User{a, b})
}

// hold counts an invitation that is held back, and reports whether it is the first since the
// guest was told.
func (c *inviteLimiter) hold(guest chat.User) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held[guest]++
	return c.held[guest] == 1
}

// release returns how many were held back since the guest was told.
func (c *inviteLimiter) release(guest chat.User) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.held[guest]
	delete(c.held, guest)
	return n
}

// crowded returns an error if a new invitation must be held back, and for whom; otherwise it counts
// the invitation for each guest. It is called only if the rules allow the invitation, so its answer
// tells nothing else about a guest.
func (s *Service) crowded(proposal chat.Session, now time.Time) (chat.User, error) {
	strangers := slices.DeleteFunc(proposal.Guests(), func(g chat.Name) bool { return s.invites.friends(g.User(), proposal.Host) })
	return s.invites.admit(strangers, s.addressOf(proposal.Host), now)
}

func (s *Service) addressOf(u chat.User) string {
	row, _ := s.Users.Get(store.Committed, string(u))
	return row.Record.Connection.Address
}

// heldBack tells a guest, once for many, that invitations were held back.
func (s *Service) heldBack(guest chat.User) {
	if !s.invites.hold(guest) {
		return
	}
	s.jobs.After(string(guest)+" held", inviteToldFor, "tell of invitations", func(context.Context) error {
		n := chat.HeldNotice{Invitations: s.invites.release(guest)}
		return rpc.Tell(s.Notices, chat.UserHeld, chat.Address{User: guest}, n)
	})
}
