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

// unconfirmedDirect is a direct message of which it is not known whether it has arrived. The
// same text to the same user, sent again in time, is the same message, which its receiver shows
// once. It is stored in a file beside the key, NAME.unconfirmed, for other runs of the user.
type unconfirmedDirect struct {
	Server      string    `json:"server"`
	To          chat.User `json:"to"`
	Text        string    `json:"text"` // its SHA-256 in hex: to be recognised, not to be read
	Incarnation string    `json:"incarnation"`
	N           uint64    `json:"n"`
	At          time.Time `json:"at"` // when that was told
}

// maxUnconfirmed bounds how many are kept: the newest ones.
const maxUnconfirmed = 64

// textSum returns the hash by which a text is recognised.
func textSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// repeats reports whether a message to a user at a server is the one of u.
func (u unconfirmedDirect) repeats(server string, to chat.User, sum string) bool {
	return u.Server == server && u.To == to && u.Text == sum
}

// current returns those of a list that can still be repeated, the oldest first.
func current(all []unconfirmedDirect, now time.Time) []unconfirmedDirect {
	all = slices.DeleteFunc(all, func(u unconfirmedDirect) bool {
		return now.Sub(u.At).Abs() > chat.DirectRepeat || u.Incarnation == "" || len(u.Incarnation) > chat.MaxTerminal || u.N == 0
	})
	return all[max(0, len(all)-maxUnconfirmed):]
}

// unconfirmedFile returns the file where they are stored; "" if there is none.
func (k *key) unconfirmedFile() string {
	if k.file == "" {
		return ""
	}
	return strings.TrimSuffix(k.file, ".key") + ".unconfirmed"
}

// readUnconfirmed reads the file; what cannot be read is as good as none.
func readUnconfirmed(file string) (all []unconfirmedDirect) {
	data, err := private.Read("list of messages", file, private.Small)
	if err != nil || json.Unmarshal(data, &all) != nil {
		return nil
	}
	return all
}

// findUnconfirmed finds the message that a new one repeats.
func (d *directs) findUnconfirmed(to chat.User, sum string) (unconfirmedDirect, bool) {
	var all []unconfirmedDirect
	if file := d.key.unconfirmedFile(); file != "" {
		all = readUnconfirmed(file)
	}
	d.mu.Lock()
	all = append(all, d.unconfirmed...)
	d.mu.Unlock()
	for _, u := range slices.Backward(current(all, time.Now())) {
		if u.repeats(d.server(), to, sum) {
			return u, true
		}
	}
	return unconfirmedDirect{}, false
}

// keepUnconfirmed notes that it is not known whether a message has arrived. It reports whether
// other runs of the user will know, too.
func (d *directs) keepUnconfirmed(u unconfirmedDirect) bool {
	return d.changeUnconfirmed(func(all []unconfirmedDirect) []unconfirmedDirect {
		return append(withoutUnconfirmed(all, u), u)
	})
}

// dropUnconfirmed forgets a message that is known to have arrived: the same text is another
// message from now on.
func (d *directs) dropUnconfirmed(u unconfirmedDirect) {
	d.changeUnconfirmed(func(all []unconfirmedDirect) []unconfirmedDirect { return withoutUnconfirmed(all, u) })
}

func withoutUnconfirmed(all []unconfirmedDirect, u unconfirmedDirect) []unconfirmedDirect {
	return slices.DeleteFunc(all, func(x unconfirmedDirect) bool { return x.Incarnation == u.Incarnation && x.N == u.N && x.To == u.To })
}

// changeUnconfirmed changes what is kept in memory and in the file.
func (d *directs) changeUnconfirmed(change func([]unconfirmedDirect) []unconfirmedDirect) bool {
	now := time.Now()
	d.mu.Lock()
	d.unconfirmed = current(change(d.unconfirmed), now)
	d.mu.Unlock()
	file := d.key.unconfirmedFile()
	if file == "" {
		return false
	}
	unlock, err := lockSoon(file + ".lock")
	if err == nil {
		defer unlock()
		err = writeUnconfirmed(file, current(change(readUnconfirmed(file)), now))
	}
	if err != nil {
		d.log.Warn("keep which messages have perhaps arrived", "user", d.me, "err", err)
	}
	return err == nil
}

func writeUnconfirmed(file string, all []unconfirmedDirect) error {
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
