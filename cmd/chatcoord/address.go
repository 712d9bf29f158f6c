package main

import (
	"os"
	"path/filepath"
	"strings"

	"natter/chat"
	"natter/internal/private"
)

// addressFile is where a server that runs on a data directory can be reached.
const addressFile = "address"

// publish writes where the embedded server is, for verbs that know its data directory only,
// until the function that it returns is called. What a crash leaves behind leads nowhere, and
// is written over by the next start.
func (p *program) publish(url string) (withdraw func(), err error) {
	if p.keptIn() == "" {
		return func() {}, nil
	}
	path := filepath.Join(p.dataDir, addressFile)
	if err := private.Write(path, []byte(url+"\n")); err != nil {
		return nil, err
	}
	return func() { _ = os.Remove(path) }, nil // the next start does not read it
}

// findServer has a verb use the server that runs on the data directory, unless it was told
// of one.
func (p *program) findServer() {
	if p.given("server") || p.keys != "" || p.flags.Lookup("server") == nil || p.dataDir == "" {
		return
	}
	text, err := private.Read("address", filepath.Join(p.dataDir, addressFile), private.Small)
	if err != nil {
		return // none runs there, or is to be found at the usual place
	}
	if url := strings.TrimSpace(string(text)); url == chat.CleanLine(url) && url != "" {
		p.server = url
	}
}
