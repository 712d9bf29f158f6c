package ui

import (
	"context"
	"fmt"

	"natter/chat"
)

// Tries is how often a passphrase may be entered.
const Tries = 3

// locked is a name whose key needs a passphrase.
type locked struct {
	name   string
	tries  int // that are left
	hidden bool
}

// unlock asks for the passphrase of a name's key.
func (f *front) unlock(name string) {
	f.locked = locked{name: name, tries: Tries}
	f.enter(atPassphrase)
}

func (f *front) promptSecret() {
	if f.o.Secret != nil {
		f.o.Secret(true)
		f.locked.hidden = true
	}
	f.out.prompt(fmt.Sprintf("Passphrase for %s: ", f.locked.name))
}

// reveal makes the terminal show what is typed again, and reports whether it was hidden.
func (f *front) reveal() bool {
	hidden := f.locked.hidden
	if hidden {
		f.o.Secret(false)
		f.locked.hidden = false
	}
	return hidden
}

// passphraseLine tries a line as the passphrase, and then the name again.
func (f *front) passphraseLine(s string) {
	f.ask("the key", func(context.Context) func() {
		err := f.c.Unlock(f.locked.name, s)
		return func() {
			if err == nil {
				f.tryName(f.locked.name, f.c.Enter)
				return
			}
			if !isCode(err, chat.Auth) {
				f.failed(err)
				f.leave(nameCode(err))
				return
			}
			f.locked.tries--
			f.fail("! " + WrongPassphrase(err, f.locked.tries))
			if f.locked.tries == 0 || f.eof {
				f.leave(ExitDenied)
			}
		}
	})
}

// WrongPassphrase adds to an error how many tries are left.
func WrongPassphrase(err error, tries int) string {
	switch tries {
	case 0:
		return err.Error() + " That was the last try. If it is the right one, the file is damaged."
	case 1:
		return err.Error() + " 1 try left."
	}
	return fmt.Sprintf("%s %d tries left.", err, tries)
}
