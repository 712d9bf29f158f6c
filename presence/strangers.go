package presence

import (
	"time"

	"natter/broker/rpc"
	"natter/broker/store"
	"natter/chat"
)

// strangeAfter is how long somebody may be connected without a hello: who has just come is
// about to say it.
const strangeAfter = 10 * time.Second

// askStrangers asks those to say hello who are connected and whom nobody knows: the state was
// lost, or removed, while their NATS server went on. Who does not is cut.
func (s *Service) askStrangers(now time.Time) {
	asked := map[chat.User]bool{}
	for _, l := range s.live.Links(func(l Link) bool { return !l.Member && now.Sub(l.since) >= strangeAfter }) {
		row, _ := s.Users.Get(store.Committed, string(l.Holder))
		if row.Record.Present() {
			continue
		}
		if s.Door.HelloIn > 0 && l.Speaks && now.Sub(l.since) >= strangeAfter+s.Door.HelloIn {
			s.cut(l) // see watch, which has not seen it come
			continue
		}
		if asked[l.Holder] {
			continue
		}
		asked[l.Holder] = true
		if err := rpc.Tell(s.Notices, chat.UserServer, chat.Address{User: l.Holder}, chat.ServerNotice{Unknown: true}); err != nil {
			s.Log.Warn("ask who is not known to say hello", "user", l.Holder, "err", err)
		}
	}
}
