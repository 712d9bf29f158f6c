package backup

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"natter/chat"
	"natter/internal/private"
)

// sealed is how a file begins that age has encrypted.
const sealed = "age-encryption.org/"

// Left lists what backups have left in the directory of a file that were cut short.
func Left(path string) []string {
	left, _ := filepath.Glob(filepath.Join(escaped(filepath.Dir(path)), unfinished+"*")) // fails only for a bad pattern
	return left
}

// escaped is a path of which a pattern takes nothing for one of its own signs.
func escaped(path string) string {
	if filepath.Separator == '\\' { // there, patterns have no escapes
		return path
	}
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// unfinished is how the names of backups begin that are being written.
const unfinished = ".backup-"

// Create writes a file that only we can read, whole or not at all, and never over one that
// is there. It is encrypted to the recipients, if there are any.
func Create(path string, recipients []age.Recipient, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), unfinished) // mode 0600
	if err != nil {
		return cannot(path, err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := encrypted(f, recipients, write); err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return cannot(path, err)
	}
	if err := os.Link(f.Name(), path); err != nil {
		return withoutLinks(f.Name(), path, err)
	}
	return nil
}

// withoutLinks gives a file its name where a file system knows no links.
func withoutLinks(from, to string, err error) error {
	if _, there := os.Lstat(to); !errors.Is(there, os.ErrNotExist) {
		return cannot(to, err)
	}
	if err := os.Rename(from, to); err != nil {
		return cannot(to, err)
	}
	return nil
}

func cannot(path string, err error) error {
	if errors.Is(err, os.ErrExist) {
		return private.Errorf(private.ErrFile, "%s is there already; nothing was changed. Name another file.", path)
	}
	return private.Errorf(private.ErrFile, "Cannot write %s: %v.", path, private.Cause(err))
}

func encrypted(f io.Writer, recipients []age.Recipient, write func(io.Writer) error) error {
	buffer := bufio.NewWriterSize(f, 1<<16)
	if len(recipients) == 0 {
		return errors.Join(write(buffer), buffer.Flush())
	}
	w, err := age.Encrypt(buffer, recipients...)
	if err != nil {
		return fmt.Errorf("encrypt: %w", err)
	}
	if err := write(w); err != nil {
		return err
	}
	return errors.Join(w.Close(), buffer.Flush())
}

// Open reads a backup from a file. What decrypts it is asked for when it is needed.
func Open(path string, identities func() ([]age.Identity, error)) (*Contents, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, private.Errorf(private.ErrFile, "Cannot read %s: %v.", path, private.Cause(err))
	}
	defer f.Close()
	buffer := bufio.NewReaderSize(f, 1<<16)
	head, _ := buffer.Peek(len(sealed))
	if string(head) != sealed {
		return Read(buffer)
	}
	ids, err := identities()
	if err != nil {
		return nil, err
	}
	r, err := age.Decrypt(buffer, ids...)
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &none), err != nil && strings.Contains(err.Error(), "incorrect passphrase"):
		return nil, chat.Errorf(chat.Denied, "That does not decrypt %s: the passphrase or the identity is another one.", path)
	case err != nil:
		return nil, errDamaged
	}
	return Read(r)
}
