package client

import "natter/session/transcript"

// keep hands an event to the transcript, which takes what is worth keeping.
func (cfg *Config) keep(e Event) {
	if d, ok := e.(DirectText); ok {
		e = transcript.DirectMessage{From: d.From, Text: d.Text}
	}
	cfg.Transcript.Take(e)
}

// keepDirect notes one's own direct message, once it is known what became of it.
func (c *Client) keepDirect(w waitingDirect, failed bool) {
	c.cfg.Transcript.Take(transcript.DirectMessage{From: c.me, To: w.to, Text: w.text, Failed: failed})
}
