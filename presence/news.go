package presence

import (
	"context"
	"time"

	"natter/broker"
	"natter/chat"
)

// newsEvery is how often a viewer hears of changes at most.
const newsEvery = 250 * time.Millisecond

// news collects whose presence has changed and tells the viewers who asked, all at
// once: a login is never broadcast by itself.
type news struct {
	s     *Service
	users map[chat.User]bool
}

func newNews(s *Service) *news { return &news{s: s, users: map[chat.User]bool{}} }

// Touch says that what others see of these users has changed.
func (s *Service) Touch(users ...chat.User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := len(s.news.users) == 0
	for _, u := range users {
		s.news.users[u] = true
	}
	if first && len(users) > 0 && !s.closed {
		time.AfterFunc(newsEvery, func() { s.background(s.tellNews) })
	}
}

// tellNews sends what has been collected.
func (s *Service) tellNews(context.Context) {
	s.mu.Lock()
	changed := s.news.users
	s.news.users = map[chat.User]bool{}
	s.mu.Unlock()

	notice := chat.PresenceNotice{Revision: s.log.Revision()}
	for u := range changed {
		row, _ := s.Users.Get(broker.Committed, string(u))
		switch r := row.Record; {
		case r.Visible():
			notice.Changed = append(notice.Changed, EntryOf(r, s.partners(u)))
		case r.Name != "":
			notice.Gone = append(notice.Gone, r.Name)
		}
	}
	for r := range s.everybody() {
		if !r.Watch || MaySee(r) != nil {
			continue
		}
		if err := broker.Tell(s.Notices, chat.UserPresence, chat.Address{User: r.User()}, notice); err != nil {
			s.Log.Warn("tell presence", "user", r.User(), "err", err)
			continue
		}
		s.Told.Add(1)
	}
}
