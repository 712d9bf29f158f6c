package presence

import (
	"time"

	"natter/broker/store"
	"natter/chat"
	"natter/presence/account"
)

// mint makes a ticket. Users who are present get all rights; others who hold the key of a name may
// only ask the coordinator. A connection with the ticket does not receive direct messages of the
// users in blocked. Only a renewed ticket has any: with many of them it is so long that a server
// may refuse it, and then the user still has the former one.
func (s *Service) mint(key string, u chat.User, acc account.Record, blocked []chat.User, now time.Time) (chat.Ticket, error) {
	grant := chat.AskerGrant(u)
	if row, _ := s.Users.Get(store.Committed, string(u)); row.Record.Present() {
		grant = chat.UserGrant(u, blocked...).WithText(s.Rules.MaxText)
	}
	ticket, err := s.Minter.Mint(key, grant, acc.TicketTTL(now, s.settled(), s.NameTTL), now)
	ticket.Blocked = blocked
	return ticket, err
}

// blockedBy returns the users whom an account's owner blocks at a time.
func blockedBy(acc account.Record, now time.Time) []chat.User {
	var all []chat.User
	for _, b := range account.Holding(acc.Blocks, now) {
		all = append(all, b.Name.User())
	}
	return all
}
