package presence

import (
	"time"

	"natter/broker/rpc"
	"natter/broker/store"
	"natter/chat"
)

// unknownAfter is how long a connection may be up without a hello: a new one is about to say it.
const unknownAfter = 10 * time.Second

// askUnknown asks connected users who are not present to say hello: the state was lost, or
// removed, while their NATS server went on. It closes the connections of those who do not.
func (s *Service) askUnknown(now time.Time) {
	asked := map[chat.User]bool{}
	for _, l := range s.live.Links(func(l Link) bool { return !l.Member && now.Sub(l.since) >= unknownAfter }) {
		row, _ := s.Users.Get(store.Committed, string(l.Holder))
		if row.Record.Present() {
			continue
		}
		if s.ConnLimits.HelloIn > 0 && l.Speaks && now.Sub(l.since) >= unknownAfter+s.ConnLimits.HelloIn {
			s.disconnect(l) // see watch, which may have missed the event
			continue
		}
		if asked[l.Holder] {
			continue
		}
		asked[l.Holder] = true
		if err := rpc.Tell(s.Notices, chat.UserServer, chat.Address{User: l.Holder}, chat.ServerNotice{Unknown: true}); err != nil {
			s.Log.Warn("ask an unknown user to say hello", "user", l.Holder, "err", err)
		}
	}
}
