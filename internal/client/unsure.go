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
// same text to the same user, sent again in time, is the same message: its receiver shows
// it once. It is kept in a file beside the key, NAME.unsure, for other runs of the user.
type unsureDirect struct {
	Server      string    `json:"server"`
	To          chat.User `json:"to"`
	Incarnation string    `json:"incarnation"`
	Text        string    `json:"text"` // its SHA-256 in hex: to be recognised, not to be read
	N           uint64    `json:"n"`
	At          time.Time `json:"at"` // when that was told
}

// maxUnsure bounds how many are kept: the newest ones.
const maxUnsure = 64

// textSum is how a text is recognised.
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

// unsureFile is where they are kept; "" nowhere.
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
func (c *Client) findUnsure(to chat.User, sum string) (unsureDirect, bool) {
	var all []unsureDirect
	if file := c.key.unsureFile(); file != "" {
		all = readUnsure(file)
	}
	c.mu.Lock()
	all = append(all, c.directs.unsure...)
	c.mu.Unlock()
	for _, u := range slices.Backward(current(all, time.Now())) {
		if u.repeats(c.Server(), to, sum) {
			return u, true
		}
	}
	return unsureDirect{}, false
}

// keepUnsure notes that it is not known whether a message has arrived. It reports whether
// other runs of the user will know, too.
func (c *Client) keepUnsure(u unsureDirect) bool {
	return c.changeUnsure(func(all []unsureDirect) []unsureDirect {
		return append(c.withoutUnsure(all, u), u)
	})
}

// dropUnsure forgets a message that is known to have arrived: the same text is another
// message from now on.
func (c *Client) dropUnsure(u unsureDirect) {
	c.changeUnsure(func(all []unsureDirect) []unsureDirect { return c.withoutUnsure(all, u) })
}

func (c *Client) withoutUnsure(all []unsureDirect, u unsureDirect) []unsureDirect {
	return slices.DeleteFunc(all, func(x unsureDirect) bool { return x.Incarnation == u.Incarnation && x.N == u.N && x.To == u.To })
}

// changeUnsure changes what is kept in memory and in the file.
func (c *Client) changeUnsure(change func([]unsureDirect) []unsureDirect) bool {
	now := time.Now()
	c.mu.Lock()
	c.directs.unsure = current(change(c.directs.unsure), now)
	c.mu.Unlock()
	file := c.key.unsureFile()
	if file == "" {
		return false
	}
	unlock, err := lockSoon(file + ".lock")
	if err == nil {
		defer unlock()
		err = writeUnsure(file, current(change(readUnsure(file)), now))
	}
	if err != nil {
		c.log.Warn("keep which messages have perhaps arrived", "user", c.me, "err", err)
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
