package presence

import (
	"time"

	"natter/broker"
	"natter/chat"
	"natter/presence/account"
)

// mint makes a ticket for who is present; for others who hold the key of a name, one with
// which they may ask the coordinator only.
func (s *Service) mint(key string, u chat.User, acc account.Record, now time.Time) (chat.Ticket, error) {
	grant, blocked := chat.AskerGrant(u), []chat.User(nil)
	if row, _ := s.Users.Get(broker.Committed, string(u)); row.Record.Present() {
		blocked = blockedBy(acc, s.settled())
		grant = chat.UserGrant(u, blocked...).WithText(s.Rules.MaxText)
	}
	ticket, err := s.Minter.Mint(key, grant, acc.TicketTTL(now, s.settled(), s.NameTTL), now)
	ticket.Blocked = blocked
	return ticket, err
}

// blockedBy are the users whom an account's owner blocks at a time.
func blockedBy(acc account.Record, now time.Time) []chat.User {
	var all []chat.User
	for _, b := range account.Holding(acc.Blocks, now) {
		all = append(all, b.Name.User())
	}
	return all
}
