package chattest

import (
	"context"

	"natter/chat"
	"natter/client"
)

// Session is the record of the session that a client is in; false if there is none.
func Session(c *client.Client) (chat.Session, bool) {
	s, in := c.Open()
	if !in {
		return chat.Session{}, false
	}
	return s.Record(), true
}

// InChat does something in the session that a client is in. Code NotInChat if there is none.
func InChat(c *client.Client, do func(*client.Session) error) error {
	s, in := c.Open()
	if !in {
		return chat.Errorf(chat.NotInChat, "%s is in no chat.", c.Me())
	}
	return do(s)
}

// Say says something in the session that a client is in.
func Say(c *client.Client, text string) error {
	return InChat(c, func(s *client.Session) error { return s.Say(text) })
}

// Flush waits until what a client has said in its session has arrived.
func Flush(ctx context.Context, c *client.Client) error {
	s, in := c.Open()
	if !in {
		return nil
	}
	return s.Flush(ctx)
}

// Quit ends the session that a client is in.
func Quit(ctx context.Context, c *client.Client) error {
	return InChat(c, func(s *client.Session) error { return s.Quit(ctx) })
}

// Leave leaves the session that a client is in.
func Leave(ctx context.Context, c *client.Client) error {
	return InChat(c, func(s *client.Session) error { return s.Leave(ctx) })
}

// Chat is the record of the open session; false if there is none.
func (u *User) Chat() (chat.Session, bool) { return Session(u.Client) }

// Say says something in the open session.
func (u *User) Say(text string) error { return Say(u.Client, text) }

// Bye says bye in the open session.
func (u *User) Bye() error { return InChat(u.Client, (*client.Session).Bye) }

// Flush waits until what was said in the open session has arrived.
func (u *User) Flush(ctx context.Context) error { return Flush(ctx, u.Client) }

// Quit ends the open session.
func (u *User) Quit(ctx context.Context) error { return Quit(ctx, u.Client) }

// Leave leaves the open session.
func (u *User) Leave(ctx context.Context) error { return Leave(ctx, u.Client) }
