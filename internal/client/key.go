package client

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/nats-io/nkeys"

	"natter/chat"
	"natter/internal/private"
)

// key is the login key of a name and the file that it is kept in.
type key struct {
	pair   nkeys.KeyPair
	public string
	file   string // "" in memory only
	fresh  bool   // made now, not saved yet
}

// loadKey reads a name's key, or makes one. A file that is there but cannot be used is
// an error: it is never replaced.
func loadKey(file string) (*key, error) {
	if file == "" {
		return newKey("")
	}
	seed, err := readSecret(file)
	if errors.Is(err, fs.ErrNotExist) {
		return newKey(file)
	}
	if err != nil {
		return nil, err
	}
	pair, err := nkeys.FromSeed(bytes.TrimSpace(seed))
	if err != nil {
		return nil, keyError("%s is not a key file; it was left as it is", file)
	}
	public, err := pair.PublicKey()
	if err != nil || !nkeys.IsValidPublicUserKey(public) {
		return nil, keyError("%s holds another kind of key; it was left as it is", file)
	}
	return &key{pair: pair, public: public, file: file}, nil
}

func newKey(file string) (*key, error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	public, err := pair.PublicKey()
	return &key{pair: pair, public: public, file: file, fresh: true}, err
}

// readSecret reads a file that nobody else may read.
func readSecret(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return nil, keyError("%s cannot be read: %v", file, private.Cause(err))
	}
	if info.IsDir() {
		return nil, keyError("%s is a directory, not a key file", file)
	}
	if wide := info.Mode().Perm() &^ 0o600; wide != 0 && runtime.GOOS != "windows" {
		return nil, keyError("%s can be read by others (mode %04o). Close it first: chmod 600 %s", file, info.Mode().Perm(), file)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, keyError("%s cannot be read: %v", file, private.Cause(err))
	}
	return data, nil
}

// save keeps a fresh key: whole or not at all, and never over another one.
func (k *key) save() error {
	if k.file == "" || !k.fresh {
		return nil
	}
	seed, err := k.pair.Seed()
	if err != nil {
		return fmt.Errorf("save the key: %w", err)
	}
	dir := filepath.Dir(k.file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return keyError("the key cannot be saved in %s: %v", dir, private.Cause(err))
	}
	temp, err := os.CreateTemp(dir, ".key-*") // mode 0600
	if err != nil {
		return keyError("the key cannot be saved in %s: %v", dir, private.Cause(err))
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	_, err = temp.Write(append(seed, '\n'))
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err == nil {
		err = os.Link(temp.Name(), k.file) // fails if somebody else was faster
	}
	if err != nil {
		return keyError("the key cannot be saved as %s: %v", k.file, private.Cause(err))
	}
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync() // not every system can
		_ = d.Close()
	}
	return nil
}

// discard removes what save has written, when the name was not to be had after all.
func (k *key) discard() {
	if k.file != "" && k.fresh {
		_ = os.Remove(k.file)
	}
}

// keyError is a sentence about a key file.
func keyError(format string, args ...any) error {
	return &chat.Error{Code: chat.Denied, Text: "The key file " + fmt.Sprintf(format, args...) + "."}
}
