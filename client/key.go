package client

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/nats-io/nkeys"

	"natter/chat"
	"natter/internal/keyfile"
	"natter/internal/private"
)

// key is the key of a name as this run uses it.
type key struct {
	kept   *keyfile.File
	pair   nkeys.KeyPair // the login key: that of the file, or the next one
	public string
	file   string // "" in memory only
	fresh  bool   // made now, not saved yet

	unlock func()         // of a fresh one: nobody else makes one meanwhile
	draft  *private.Draft // of a fresh one: its file without its name
	unkept error          // why it is in memory only, if it should not be
}

func useKey(kept *keyfile.File) *key {
	return &key{kept: kept, pair: kept.Login, public: kept.PublicLogin(), file: kept.Path, unlock: func() {}}
}

func (o *owner) keyFile(name chat.Name) string {
	switch {
	case o.cfg.KeyFile != "":
		return o.cfg.KeyFile
	case o.cfg.KeyDir != "":
		return filepath.Join(o.cfg.KeyDir, string(name.User())+".key")
	}
	return ""
}

// readKey reads the key of a name; errors.Is finds fs.ErrNotExist.
func (o *owner) readKey(n chat.Name) (*key, error) {
	file := o.keyFile(n)
	if file == "" {
		return nil, fs.ErrNotExist
	}
	if o.unlocked != nil && o.unlocked.Path == file {
		return useKey(o.unlocked), nil
	}
	kept, err := keyfile.Read(file, o.cfg.Passphrase)
	if errors.Is(err, &chat.Error{Code: chat.Auth}) && o.cfg.Passphrase != "" {
		return nil, chat.Errorf(chat.Denied, "%s", err) // asking for it would not help
	}
	if err != nil {
		return nil, err
	}
	if kept.Name != "" && kept.Name.User() != n.User() {
		return nil, chat.Errorf(chat.Denied, "The key file %s is the key of %s, not of %s; it was left as it is.", file, kept.Name, n)
	}
	if kept.Passphrase != "" {
		o.unlocked = kept // decrypting takes a moment
	}
	return useKey(kept), nil
}

// loadKey reads the key of a name, or makes one and keeps its file locked until release.
// A file that is there but cannot be used is an error: it is never replaced.
func (o *owner) loadKey(ctx context.Context, n chat.Name) (*key, error) {
	k, err := o.readKey(n)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if o.cfg.Known {
		return nil, o.unknownKey(n, err)
	}
	file := o.keyFile(n)
	if file == "" {
		return newKey(n, "")
	}
	unlock, err := keyfile.Lock(ctx, file)
	if errors.Is(err, keyfile.ErrReadOnly) && o.cfg.MustKeep {
		return nil, private.Errorf(private.ErrFile, "%s; the username %s was not taken, because its key would be lost. Name a place for it: --key FILE.", strings.TrimSuffix(err.Error(), "."), n)
	}
	if errors.Is(err, keyfile.ErrReadOnly) {
		k, made := newKey(n, "")
		if made == nil {
			k.unkept = err
		}
		return k, made
	}
	if err != nil {
		return nil, err
	}
	if k, err = o.readKey(n); errors.Is(err, fs.ErrNotExist) { // nobody was faster
		if k, err = newKey(n, file); err == nil {
			k.unlock = unlock
			return k, nil
		}
	}
	unlock()
	return k, err
}

// unknownKey returns the error for a missing key.
func (o *owner) unknownKey(n chat.Name, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return chat.Errorf(chat.NotRegistered, "There is no key of %s on this computer. With --new the name is taken, if it is free.", n)
	}
	return err
}

func newKey(n chat.Name, file string) (*key, error) {
	made, err := keyfile.New(n)
	if err != nil {
		return nil, err
	}
	k := useKey(&keyfile.File{Key: made, Path: file})
	k.fresh = true
	return k, nil
}

// reserve writes the file of a new key under a temporary name: a name is requested only if its key can
// be stored.
func (k *key) reserve() (err error) {
	if k.fresh && k.file != "" {
		k.draft, err = k.kept.Draft()
	}
	return err
}

// release unlocks the key's file.
func (k *key) release() {
	if k != nil {
		if k.draft != nil {
			k.draft.Drop()
			k.draft = nil
		}
		k.unlock()
		k.unlock = func() {}
	}
}

// save stores a new key, or adds an identity to one that had none. If the latter fails, it is tried
// the next time.
func (k *key) save(ctx context.Context, n chat.Name) error {
	switch {
	case k.file == "":
	case k.fresh:
		if err := k.draft.Create(); err != nil {
			return err
		}
		k.fresh = false
	case k.kept.Identity == nil:
		kept, err := keyfile.Change(ctx, k.file, k.kept.Passphrase, func(f *keyfile.File) error { return f.Complete(n) })
		if err == nil {
			k.kept = kept
		}
	}
	return nil
}

// takeNext uses the key that a change of keys has left behind, if there is one.
func (k *key) takeNext() bool {
	if k.kept.Next == nil {
		return false
	}
	public, err := k.kept.Next.PublicKey()
	if err != nil {
		return false
	}
	k.pair, k.public = k.kept.Next, public
	return true
}

// takeBack uses the former key again.
func (k *key) takeBack() { k.pair, k.public = k.kept.Login, k.kept.PublicLogin() }

// settle removes the former key from the file, after a copy of it was made.
func (k *key) settle(ctx context.Context) (backup string, err error) {
	former := *k.kept
	former.Next = nil
	kept, err := keyfile.Change(ctx, k.file, k.kept.Passphrase, func(f *keyfile.File) error {
		if f.PublicLogin() == k.public {
			return nil // another program has done it
		}
		backup, err = former.Backup()
		f.Login, f.Next = k.pair, nil
		return err
	})
	if err == nil {
		k.kept = kept
	}
	return backup, err
}
