package server

import (
	"natter/broker/store"
	"natter/chat"
	"natter/presence"
	"natter/session"
)

// TellAgain does what a change means for others, in case the replica that made it died
// before it could: the members are told, and what was kept is let go of. Whoever has heard it
// already hears nothing new: a notice carries the whole record.
func (s *Service) TellAgain(kind, key string, revision uint64) {
	if kind == presence.Kind {
		s.tellUserAgain(key, revision)
		return
	}
	row, ok := s.Sessions.Get(store.Committed, key)
	if !ok || row.Revision != revision {
		return // there is a later change, which comes by itself
	}
	if row.Record.State == chat.Closed { // what was kept for it, too
		s.letGo(row.Record, row.Record)
		s.letGoLater(key, others)
	}
	var members []chat.User
	for _, m := range row.Record.Members {
		members = append(members, m.User())
	}
	s.tell(members, row.Record, revision)
}

// tellUserAgain tells those who chat with a user that their connection is lost or back.
func (s *Service) tellUserAgain(key string, revision uint64) {
	user, ok := s.Users.Get(store.Committed, key)
	if !ok || user.Revision != revision || user.Record.State == presence.Gone {
		return
	}
	for _, row := range s.Sessions.By(store.Committed, key) {
		if row.Record.State == chat.Open {
			s.tell(session.Effects(row.Record, row.Record), row.Record, revision)
		}
	}
}
