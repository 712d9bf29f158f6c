package main

import (
	"os"
	"path/filepath"
	"strings"

	"natter/chat"
	"natter/internal/private"
)

// addressFile has the address of the server that runs on a data directory.
const addressFile = "address"

// publish writes the address of the embedded server for verbs that know only its data directory, and
// returns a function that removes it. A file that a crash leaves behind is overwritten by the next
// start.
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

// findServer finds the server that runs on the data directory, unless a flag names one.
func (p *program) findServer() {
	if p.given("server") || p.keys != "" || p.flags.Lookup("server") == nil || p.dataDir == "" {
		return
	}
	text, err := private.Read("address", filepath.Join(p.dataDir, addressFile), private.Small)
	if err != nil {
		return // no server runs there, or it has the default address
	}
	if url := strings.TrimSpace(string(text)); url == chat.CleanLine(url) && url != "" {
		p.server = url
	}
}
