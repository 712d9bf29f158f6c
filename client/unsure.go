package client

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"natter/chat"
	"natter/internal/private"
)

// unsureDirect is a direct message of which it is not known whether it has arrived. The
// same text to the same user, sent again in time, is the same message, which its receiver shows
// once. It is stored in a file beside the key, NAME.unsure, for other runs of the user.
type unsureDirect struct {
	Server      string    `json:"server"`
	To          chat.User `json:"to"`
	Text        string    `json:"text"` // its SHA-256 in hex: to be recognised, not to be read
	Incarnation string    `json:"incarnation"`
	N           uint64    `json:"n"`
	At          time.Time `json:"at"` // when that was told
}

// maxUnsure bounds how many are kept: the newest ones.
const maxUnsure = 64

// textSum returns the hash by which a text is recognised.
func textSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// repeats reports whether a message to a user at a server is the one of u.
func (u unsureDirect) repeats(server string, to chat.User, sum string) bool {
	return u.Server == server && u.To == to && u.Text == sum
}

// current returns those of a list that can still be repeated, the oldest first.
func current(all []unsureDirect, now time.Time) []unsureDirect {
	all = slices.DeleteFunc(all, func(u unsureDirect) bool {
		return now.Sub(u.At).Abs() > chat.DirectRepeat || u.Incarnation == "" || len(u.Incarnation) > chat.MaxTerminal || u.N == 0
	})
	return all[max(0, len(all)-maxUnsure):]
}

// unsureFile returns the file where they are stored; "" if there is none.
func (k *key) unsureFile() string {
	if k.file == "" {
		return ""
	}
	return strings.TrimSuffix(k.file, ".key") + ".unsure"
}

// readUnsure reads the file; what cannot be read is as good as none.
func readUnsure(file string) (all []unsureDirect) {
	data, err := private.Read("list of messages", file, private.Small)
	if err != nil || json.Unmarshal(data, &all) != nil {
		return nil
	}
	return all
}

// findUnsure finds the message that a new one repeats.
func (d *directs) findUnsure(to chat.User, sum string) (unsureDirect, bool) {
	var all []unsureDirect
	if file := d.key.unsureFile(); file != "" {
		all = readUnsure(file)
	}
	d.mu.Lock()
	all = append(all, d.unsure...)
	d.mu.Unlock()
	for _, u := range slices.Backward(current(all, time.Now())) {
		if u.repeats(d.server(), to, sum) {
			return u, true
		}
	}
	return unsureDirect{}, false
}

// keepUnsure notes that it is not known whether a message has arrived. It reports whether
// other runs of the user will know, too.
func (d *directs) keepUnsure(u unsureDirect) bool {
	return d.changeUnsure(func(all []unsureDirect) []unsureDirect {
		return append(withoutUnsure(all, u), u)
	})
}

// dropUnsure forgets a message that is known to have arrived: the same text is another
// message from now on.
func (d *directs) dropUnsure(u unsureDirect) {
	d.changeUnsure(func(all []unsureDirect) []unsureDirect { return withoutUnsure(all, u) })
}

func withoutUnsure(all []unsureDirect, u unsureDirect) []unsureDirect {
	return slices.DeleteFunc(all, func(x unsureDirect) bool { return x.Incarnation == u.Incarnation && x.N == u.N && x.To == u.To })
}

// changeUnsure changes what is kept in memory and in the file.
func (d *directs) changeUnsure(change func([]unsureDirect) []unsureDirect) bool {
	now := time.Now()
	d.mu.Lock()
	d.unsure = current(change(d.unsure), now)
	d.mu.Unlock()
	file := d.key.unsureFile()
	if file == "" {
		return false
	}
	unlock, err := lockSoon(file + ".lock")
	if err == nil {
		defer unlock()
		err = writeUnsure(file, current(change(readUnsure(file)), now))
	}
	if err != nil {
		d.log.Warn("keep which messages have perhaps arrived", "user", d.me, "err", err)
	}
	return err == nil
}

func writeUnsure(file string, all []unsureDirect) error {
	if len(all) == 0 {
		if err := os.Remove(file); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	data, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return private.Write(file, data)
}

// lockSoon locks a file that nobody holds for long, and removes it afterwards.
func lockSoon(path string) (unlock func(), err error) {
	for range 20 {
		var release func()
		if release, err = private.Lock(path); err == nil {
			return func() { _ = os.Remove(path); release() }, nil
		}
		if locked := (*private.LockedError)(nil); !errors.As(err, &locked) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, err
}
