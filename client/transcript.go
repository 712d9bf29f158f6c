package client

import (
	"errors"

	"natter/chat"
	"natter/session/transcript"
)

// keep passes an event to the transcript.
func (cfg *Config) keep(e Event) {
	if d, ok := e.(DirectText); ok {
		e = transcript.DirectMessage{From: d.From, Text: d.Text}
	}
	cfg.Transcript.Take(e)
}

// keep writes the user's own direct message to the transcript, when its outcome is known or known to
// be unknown.
func (d *directs) keep(to chat.Name, text string, err error) {
	d.cfg.Transcript.Take(transcript.DirectMessage{
		From: d.me, To: to, Text: text,
		Failed: err != nil, Unknown: errors.Is(err, &chat.Error{Code: chat.Unknown}),
	})
}
