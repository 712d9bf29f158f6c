package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"natter/chat"
	"natter/internal/keyfile"
)

// keyDir returns the directory of keys. Without a home there is none.
func (p *program) keyDir() string {
	dir, err := dataDir(os.Getenv, os.UserHomeDir)
	if err != nil && p.key == "" {
		fmt.Fprintln(p.err, "chatcli: there is no home directory; the key of your name is not kept (--key FILE keeps it)")
	}
	return dir
}

// warnUnkept warns that the key of a new name cannot be stored, before any request to a server, and
// reports whether it did. If the name has a key already, no warning is needed.
func (p *program) warnUnkept(dir string) bool {
	file := p.key
	if file == "" && dir != "" {
		file = filepath.Join(dir, "new"+keyfile.Ending)
		if n, err := chat.ParseName(p.name); err == nil {
			file = filepath.Join(dir, string(n.User())+keyfile.Ending)
		}
	}
	if file == "" {
		return false
	}
	if _, err := os.Stat(file); err == nil {
		return false
	}
	err := keyfile.Writable(file)
	if err != nil {
		fmt.Fprintf(p.err, "chatcli: %s; a new name would be lost at the end, so name a place for its key: --key FILE\n",
			strings.TrimSuffix(chat.CleanLine(err.Error()), "."))
	}
	return err != nil
}
