package server

import (
	"natter/broker/store"
	"natter/chat"
	"natter/presence"
	"natter/session"
)

// Redeliver acts on a change for other users, in case the replica that made it died before it could:
// it tells the members, and deletes what was stored. Repeating a notice does no harm, because it has
// the whole record.
func (s *Service) Redeliver(kind, key string, revision uint64) {
	if kind == presence.Kind {
		s.redeliverUser(key, revision)
		return
	}
	row, ok := s.Sessions.Get(store.Committed, key)
	if !ok || row.Revision != revision {
		return // a later change is handled by itself
	}
	if row.Record.State == chat.Closed { // what was kept for it, too
		s.dropStored(row.Record, row.Record)
		s.dropLater(key, others)
	}
	var members []chat.User
	for _, m := range row.Record.Members {
		members = append(members, m.User())
	}
	s.tell(members, row.Record, revision)
}

// redeliverUser tells the partners of a user that the user's connection is lost or back.
func (s *Service) redeliverUser(key string, revision uint64) {
	user, ok := s.Users.Get(store.Committed, key)
	if !ok || user.Revision != revision || user.Record.State == presence.Gone {
		return
	}
	for _, row := range s.Sessions.By(store.Committed, key) {
		if row.Record.State == chat.Open {
			s.tell(session.Audience(row.Record, row.Record), row.Record, revision)
		}
	}
}
