// Package contexts keeps the servers that a user has joined: under a name each, where it
// is, how it is recognized, and what lets the user in.
//
// They are in one file that nobody else may read, contexts.json in the user's data
// directory. It is written whole or not at all; two programs do not overwrite each
// other's changes; and what cannot be understood is left as it is.
package contexts

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"natter/chat"
	"natter/internal/private"
)

// Context is a server that the user has joined.
type Context struct {
	Name   string `json:"name"`
	Server string `json:"server"`          // URL
	CA     string `json:"ca,omitempty"`    // chat.Fingerprint; "": what the system trusts
	Creds  string `json:"creds,omitempty"` // the lobby's JWT
	User   string `json:"user,omitempty"`  // the name to take there, if it was said

	// Until a name was taken: the pass, and the seed of the key that it is used with,
	// which is always the same so that it is used once.
	Pass string `json:"pass,omitempty"`
	Seed string `json:"seed,omitempty"`
}

// Set is what is in the file.
type Set struct {
	Version  int       `json:"version"`
	Current  string    `json:"current,omitempty"` // where chatcli goes if nothing else is said
	Contexts []Context `json:"contexts"`          // by name
}

const version = 1

// Get finds a context. Its error is an *chat.Error with code Arguments.
func (s Set) Get(name string) (Context, error) {
	i := slices.IndexFunc(s.Contexts, func(c Context) bool { return c.Name == name })
	if i >= 0 {
		return s.Contexts[i], nil
	}
	if !chat.ContextName(name) {
		return Context{}, chat.Errorf(chat.Arguments, "%+.80q cannot be a context: a letter or a digit, then also dots, - and _, %d at most.", name, chat.MaxContextName)
	}
	return Context{}, chat.Errorf(chat.Arguments, "There is no context %s; chatcli context ls lists them, chatcli join LINK makes one.", name)
}

// At finds the context of a server by its URL: the current one, or else one with a pass, if
// there are several. What counts is host and port; localhost is 127.0.0.1.
func (s Set) At(server string) (found Context, ok bool) {
	at := address(server)
	for _, c := range s.Contexts {
		if at == "" || address(c.Server) != at {
			continue
		}
		if c.Name == s.Current {
			return c, true
		}
		if !ok || found.Pass == "" && c.Pass != "" {
			found, ok = c, true
		}
	}
	return found, ok
}

// address is HOST:PORT of a URL; "" of what is none, or of several.
func address(server string) string {
	u, err := url.Parse(server)
	if err != nil || u.Hostname() == "" || strings.Contains(server, ",") {
		return ""
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if host == "localhost" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, u.Port())
}

// Put adds a context or takes the place of the one with its name.
func (s *Set) Put(c Context) {
	s.Remove(c.Name)
	s.Contexts = append(s.Contexts, c)
	slices.SortFunc(s.Contexts, func(a, b Context) int { return cmp.Compare(a.Name, b.Name) })
}

// Remove removes a context.
func (s *Set) Remove(name string) {
	s.Contexts = slices.DeleteFunc(s.Contexts, func(c Context) bool { return c.Name == name })
}

// Store is the file.
type Store struct{ path string }

// In is the store in a data directory.
func In(dir string) *Store { return &Store{filepath.Join(dir, "contexts.json")} }

// Load reads the file; without one, there are no contexts.
func (s *Store) Load() (Set, error) {
	set := Set{Version: version}
	text, err := private.ReadText("list of contexts", s.path, private.Small)
	if errors.Is(err, fs.ErrNotExist) {
		return set, nil
	}
	if err != nil {
		return set, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var read Set
	switch err := d.Decode(&read); {
	case read.Version > version:
		return set, s.refuse("of a newer version")
	case err != nil || d.More() || !read.valid():
		return set, s.refuse("damaged")
	}
	return read, nil
}

func (s *Store) refuse(what string) error {
	return private.Errorf(private.ErrFile, "The list of contexts %s is %s; it was left as it is. Repair it, or move it away and join again.", s.path, what)
}

// valid reports whether nobody but this program, or somebody careful, has written the set.
func (s Set) valid() bool {
	seen := map[string]bool{}
	for _, c := range s.Contexts {
		if !chat.ContextName(c.Name) || seen[c.Name] || c.Server == "" || c.CA != "" && !chat.IsFingerprint(c.CA) {
			return false
		}
		seen[c.Name] = true
	}
	return s.Version == version && (s.Current == "" || seen[s.Current])
}

// Another program's change is waited for, which takes no time to speak of.
const (
	waitFor   = 3 * time.Second
	waitAgain = 20 * time.Millisecond
)

// Update changes the file; the error of change is returned as it is, and then nothing
// has changed.
func (s *Store) Update(change func(*Set) error) error {
	dir := filepath.Dir(s.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return private.Errorf(private.ErrFile, "Cannot make %s: %v.", dir, private.Cause(err))
	}
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	set, err := s.Load()
	if err != nil {
		return err
	}
	if err := change(&set); err != nil {
		return err
	}
	text, err := json.MarshalIndent(set, "", "  ")
	if err != nil {
		return err
	}
	return private.Write(s.path, append(text, '\n'))
}

func (s *Store) lock() (func(), error) {
	for until := time.Now().Add(waitFor); ; time.Sleep(waitAgain) {
		unlock, err := private.Lock(s.path + ".lock")
		var busy *private.LockedError
		switch {
		case err == nil:
			return unlock, nil
		case !errors.As(err, &busy):
			return nil, private.Errorf(private.ErrFile, "Cannot lock %s: %v.", s.path, private.Cause(err))
		case time.Now().After(until):
			return nil, private.Errorf(private.ErrFile, "%s is being changed by process %s. Try again when it is done.", s.path, busy.PID)
		}
	}
}
