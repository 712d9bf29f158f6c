package client

import (
	"errors"

	"natter/chat"
	"natter/session/transcript"
)

// keep hands an event to the transcript, which takes what is worth keeping.
func (cfg *Config) keep(e Event) {
	if d, ok := e.(DirectText); ok {
		e = transcript.DirectMessage{From: d.From, Text: d.Text}
	}
	cfg.Transcript.Take(e)
}

// keep notes one's own direct message, once it is known what became of it, or known
// that it is not.
func (d *directs) keep(to chat.Name, text string, err error) {
	d.cfg.Transcript.Take(transcript.DirectMessage{
		From: d.me, To: to, Text: text,
		Failed: err != nil, Unknown: errors.Is(err, &chat.Error{Code: chat.Unknown}),
	})
}
