package presence

import (
	"context"
	"slices"
	"sync"
	"time"

	"natter/broker/rpc"
	"natter/broker/store"
	"natter/chat"
	"natter/presence/account"
)

// newsEvery is how often a viewer is sent changes at most.
const newsEvery = 250 * time.Millisecond

// news collects whose presence has changed, to tell the viewers who asked all at once: a
// login is never broadcast by itself.
type news struct {
	mu    sync.Mutex
	users map[chat.User]bool
}

// Touch notes that what others see of these users has changed.
func (s *Service) Touch(users ...chat.User) {
	s.news.mu.Lock()
	defer s.news.mu.Unlock()
	if len(s.news.users) == 0 && len(users) > 0 {
		s.news.users = map[chat.User]bool{}
		s.jobs.After(" news", newsEvery, "tell presence", func(context.Context) error { s.tellNews(); return nil })
	}
	for _, u := range users {
		s.news.users[u] = true
	}
}

// tellNews sends what has been collected.
func (s *Service) tellNews() {
	s.news.mu.Lock()
	changed := s.news.users
	s.news.users = nil
	s.news.mu.Unlock()

	notice := chat.PresenceNotice{Revision: s.log.Revision()}
	blocked := map[chat.User]map[chat.User]bool{} // whom somebody in the notice blocks, and who does
	for u := range changed {
		row, _ := s.Users.Get(store.Committed, string(u))
		note(blocked, s.settled(), append(s.partners(u), row.Record)...)
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
		if by := blocked[r.User()]; by != nil {
			s.tellViewer(r.User(), unseen(notice, by))
			continue
		}
		s.tellViewer(r.User(), notice)
	}
}

func (s *Service) tellViewer(u chat.User, n chat.PresenceNotice) {
	if len(n.Changed)+len(n.Gone) == 0 {
		return
	}
	if err := rpc.Tell(s.Notices, chat.UserPresence, chat.Address{User: u}, n); err != nil {
		s.Log.Warn("tell presence", "user", u, "err", err)
		return
	}
	s.Told.Add(1)
}

// note collects whom the records' owners block, also owners who have left: users who could not
// see them must not be told that they left.
func note(blocked map[chat.User]map[chat.User]bool, settled time.Time, records ...Record) {
	for _, r := range records {
		for _, b := range account.Holding(r.Blocks, settled) {
			u := b.Name.User()
			if blocked[u] == nil {
				blocked[u] = map[chat.User]bool{}
			}
			blocked[u][r.User()] = true
		}
	}
}

// unseen returns a notice without the users who block its receiver.
func unseen(n chat.PresenceNotice, blockers map[chat.User]bool) chat.PresenceNotice {
	n.Changed = withoutBlockers(n.Changed, blockers)
	n.Gone = slices.DeleteFunc(slices.Clone(n.Gone), func(name chat.Name) bool { return blockers[name.User()] })
	return n
}

// listing is everybody who is listed, as of a revision: it is made anew only when
// something has changed and somebody asks.
type listing struct {
	mu       sync.Mutex
	revision uint64
	entries  []chat.Entry
}

// listed returns all users who may be in a list, and the revision of that. The list must not be
// changed.
func (s *Service) listed() ([]chat.Entry, uint64) {
	s.list.mu.Lock()
	defer s.list.mu.Unlock()
	if now := s.log.Revision(); s.list.entries == nil || s.list.revision != now {
		s.list.entries, s.list.revision = Listed(s.everybody(), s.partners), now
	}
	return s.list.entries, s.list.revision
}
