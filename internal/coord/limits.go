package coord

import (
	"natter/broker/rpc"
	"natter/broker/store"
	"natter/chat"
)

// Refused counts the requests that were over a limit, by its class.
func (c *Coordinator) Refused() map[string]uint64 { return c.service.Refused() }

// Lobby counts the connections in the lobby, and those without a user that were closed, by
// reason.
func (c *Coordinator) Lobby() (now int, closed map[string]uint64) { return c.presence.Lobby() }

// limited writes to the audit log that a limit of requests was exceeded.
func (c *Coordinator) limited(all []rpc.Excess) {
	for _, e := range all {
		a := chat.Audit{Event: "limit", Code: chat.Rate, Address: e.Address}
		who := e.Address
		switch {
		case e.User != "":
			a.User = c.nameOf(e.User)
			who = string(a.User)
		case who == "":
			who = "others"
		}
		a.Text = who + ": " + e.Text
		c.audit.Refused(a)
	}
}

// abuse signs out a user who sends many invalid requests.
func (c *Coordinator) abuse(u chat.User) {
	name := c.nameOf(u)
	c.audit.Refused(chat.Audit{Event: "limit", Code: chat.Arguments, User: name, Text: string(name) + ": more than 100 requests in 10 s that are none; signed out"})
	c.presence.Kick(u, "more than 100 requests in 10 s that are none")
}

// tooManyDirects signs out a user who sends direct messages much faster than allowed.
func (c *Coordinator) tooManyDirects(u chat.User) {
	const why = "too many direct messages"
	name := c.nameOf(u)
	c.audit.Refused(chat.Audit{Event: "limit", Code: chat.Rate, User: name, Text: string(name) + ": " + why + "; signed out"})
	c.presence.Kick(u, why)
}

// nameOf returns a user's name as they write it, if they are present.
func (c *Coordinator) nameOf(u chat.User) chat.Name {
	if row, ok := c.users.Get(store.Committed, string(u)); ok {
		return row.Record.Name
	}
	return chat.Name(u)
}
