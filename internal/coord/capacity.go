package coord

import (
	"fmt"

	"natter/broker"
)

// refused says what a stream at its limit refuses, and what makes room.
var refused = map[string]string{
	broker.AccountsStream:  "new usernames are refused. Free names that nobody needs (chatcoord free NAME), or raise the limit",
	broker.LiveStream:      "new users and chats are refused until others have ended, or the limit is raised",
	broker.MailboxesStream: "no more messages are stored for members until others have been fetched, or the limit is raised",
}

// atLimit reports on the console that a stream is at its limit, or has room again.
func (c *Coordinator) atLimit(stream string, u broker.Usage) {
	taken := fmt.Sprintf("%d%s records, %d%s bytes", u.Messages, of(u.MostMessages), u.Bytes, of(u.MostBytes))
	if u.Full {
		c.Warn("error", fmt.Sprintf("store: %s (%s).", full(stream), taken))
		return
	}
	c.Say("server.room", fmt.Sprintf("%s has room again: %s", stream, taken))
}

func full(stream string) string {
	return stream + " is at its limit: " + refused[stream]
}

func of(most uint64) string {
	if most == 0 {
		return ""
	}
	return fmt.Sprintf(" of %d", most)
}

// AtLimit returns a sentence for each stream at its limit.
func (c *Coordinator) AtLimit() []string {
	var all []string
	for _, stream := range c.capacity.Full() {
		all = append(all, full(stream)+".")
	}
	return all
}
