package keyfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// Trying a passphrase costs 2^work steps of scrypt, each of a kilobyte: about a tenth of
// a second and 32 MB. A file that asks for more than 2^mostWork is refused rather than
// tried; what age writes by itself is just that.
var work = 15

const mostWork = 18

var (
	errForeignAge = errors.New("is not encrypted with a passphrase")
	errWork       = fmt.Errorf("asks for more work than 2^%d for each passphrase", mostWork)
	errPassphrase = errors.New("needs another passphrase")
)

// isSealed reports whether a file's text is encrypted.
func isSealed(text []byte) bool { return bytes.HasPrefix(text, []byte(armor.Header)) }

func seal(text []byte, passphrase string) ([]byte, error) {
	r, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, err
	}
	r.SetWorkFactor(work)
	var b bytes.Buffer
	a := armor.NewWriter(&b)
	w, err := age.Encrypt(a, r)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(text)
	if err = errors.Join(err, w.Close(), a.Close()); err != nil {
		return nil, fmt.Errorf("encrypt a key: %w", err)
	}
	return b.Bytes(), nil
}

// checkSealed finds what is wrong with an encrypted text as far as that can be seen
// without its passphrase.
func checkSealed(text []byte) error {
	data, err := io.ReadAll(armor.NewReader(bytes.NewReader(text)))
	if err != nil {
		return errDamaged
	}
	var n onlyScrypt
	n.err = errDamaged // unless it is asked
	_, _ = age.Decrypt(bytes.NewReader(data), &n)
	return n.err
}

// onlyScrypt opens nothing, and looks at what it would take.
type onlyScrypt struct{ err error }

// Unwrap implements age.Identity.
func (n *onlyScrypt) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	n.err = wants(stanzas)
	return nil, age.ErrIncorrectIdentity
}

func wants(stanzas []*age.Stanza) error {
	if len(stanzas) != 1 || stanzas[0].Type != "scrypt" {
		return errForeignAge
	}
	if len(stanzas[0].Args) != 2 {
		return errDamaged
	}
	factor, err := strconv.Atoi(stanzas[0].Args[1])
	if err != nil {
		return errDamaged
	}
	if factor > mostWork {
		return errWork
	}
	return nil
}

// unseal decrypts a text that checkSealed has found good. Whether it is the passphrase
// that is wrong or a bit of the text cannot always be told.
func unseal(text []byte, passphrase string) ([]byte, error) {
	id, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, errPassphrase
	}
	id.SetMaxWorkFactor(mostWork)
	r, err := age.Decrypt(armor.NewReader(bytes.NewReader(text)), id)
	if wrong := (*age.NoIdentityMatchError)(nil); errors.As(err, &wrong) {
		return nil, errPassphrase
	}
	if err != nil {
		return nil, errDamaged
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil, errDamaged
	}
	return plain, nil
}
