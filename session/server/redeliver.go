package server

import (
	"natter/broker/store"
	"natter/chat"
	"natter/presence"
	"natter/session"
)

// Redeliver does what a change means for others, in case the replica that made it died
// before it could: the members are told, and what was stored is deleted. Whoever has heard it
// already hears nothing new: a notice carries the whole record.
func (s *Service) Redeliver(kind, key string, revision uint64) {
	if kind == presence.Kind {
		s.redeliverUser(key, revision)
		return
	}
	row, ok := s.Sessions.Get(store.Committed, key)
	if !ok || row.Revision != revision {
		return // there is a later change, which comes by itself
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

// redeliverUser tells those who chat with a user that their connection is lost or back.
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
