package client

import (
	"context"

	"natter/chat"
)

// Renew is what happens three quarters of a ticket's life after it was made.
func (c *Client) Renew() error { return c.renew() }

// AtOnce tells whether Dial did without the lobby.
func (c *Client) AtOnce() bool { return c.lobby == nil && c.early != nil }

// AskRotate asks for a change of keys as it stands.
func (c *Client) AskRotate(ctx context.Context, q chat.RotateRequest) error {
	_, err := call(ctx, c, chat.Rotate, q)
	return err
}

// Disconnected is what the library says when the connection is lost.
func (c *Client) Disconnected() { c.disconnected(c.conn(), nil) }
