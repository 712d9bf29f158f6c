package client_test

import (
	"context"
	"log"

	"natter/chat"
	"natter/client"
)

// A bot that accepts every invitation and repeats what it is told.
func Example() {
	ctx := context.Background()
	c, err := client.Dial(ctx, client.Config{URL: "nats://127.0.0.1:4222", KeyDir: "keys"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Enter(ctx, "echo"); err != nil {
		log.Fatal(err)
	}
	if err := c.SetPresence(ctx, true); err != nil {
		log.Fatal(err)
	}
	for e := range c.Events() {
		switch e := e.(type) {
		case client.Invited:
			if err := c.Answer(ctx, e.Session.ID, true); err != nil {
				log.Print(err)
			}
		case client.Texts:
			repeat(c, e)
		case client.SignedOut:
			log.Print(e.Reason)
			return
		}
	}
}

// repeat says what somebody has said, unless the chat is over.
func repeat(c *client.Client, said client.Texts) {
	s, err := c.Session(said.Session)
	if err != nil {
		return
	}
	for _, m := range said.Messages {
		if err := s.Say(chat.Clean(m.Text)); err != nil {
			log.Print(err)
			return
		}
	}
}
