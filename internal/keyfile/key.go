// Package keyfile is a user's keys and the file that they are kept in.
//
// A name has two keys. With the login key its owner proves to the broker who they are:
// it signs whatever number a server draws. The identity key signs what other users
// shall believe, and never anything that a server has chosen; therefore it is another
// one. The file is text:
//
//	natter key 1
//	name alice
//	login SU...
//	next SU...                only while the login key is being changed
//	identity natter-id-...
//	sum 0123456789abcdef      the beginning of the SHA-256 of all lines above
//
// Editors may add a byte order mark, CRs, blanks at the ends of lines and blank lines: see
// private.Plain. The prefixes tell the kinds of keys apart, so one in the place of the other is an
// error that says so. With a passphrase the whole text is encrypted as `age -p -a` does
// it, and `age -d` reads it. A file that holds nothing but the seed of a login key is
// read as well, and becomes one of these when it is written next.
//
// What is promised of the file: it is written whole or not at all; what is changed is
// read, changed and written under a lock; and a file that cannot be read, or is not
// understood, is never written over.
package keyfile

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nkeys"

	"natter/chat"
	"natter/internal/private"
)

const (
	version        = 1
	heading        = "natter key "
	identityPrefix = "natter-id-"
	publicPrefix   = identityPrefix + "pub-"
	sumLength      = 8
)

// Key is what a name belongs to.
type Key struct {
	Name     chat.Name          // "" in a file that holds a login key and nothing else
	Login    nkeys.KeyPair      // of the user type
	Next     nkeys.KeyPair      // takes the place of Login, or has done so already; nil if nothing is being changed
	Identity ed25519.PrivateKey // nil in a file that holds a login key and nothing else
}

// New makes the keys of a name.
func New(name chat.Name) (Key, error) {
	login, err := nkeys.CreateUser()
	if err != nil {
		return Key{}, fmt.Errorf("make a login key: %w", err)
	}
	k := Key{Login: login}
	return k, k.Complete(name)
}

// Complete gives a name and an identity to a login key that came without.
func (k *Key) Complete(name chat.Name) error {
	if k.Identity != nil {
		return nil
	}
	_, identity, err := ed25519.GenerateKey(nil)
	if err != nil {
		return fmt.Errorf("make an identity key: %w", err)
	}
	k.Name, k.Identity = name, identity
	return nil
}

// PublicLogin is the public half of the login key.
func (k Key) PublicLogin() string { return public(k.Login) }

func public(pair nkeys.KeyPair) string {
	text, _ := pair.PublicKey() // it has a seed
	return text
}

// PublicIdentity is the public half of the identity key as others get it; "" if there is
// none.
func (k Key) PublicIdentity() string {
	if k.Identity == nil {
		return ""
	}
	return publicPrefix + base64.RawURLEncoding.EncodeToString(k.Identity.Public().(ed25519.PublicKey))
}

// Fingerprint is a short form of the public identity key, for people; "" if there is none.
func (k Key) Fingerprint() string {
	if k.Identity == nil {
		return ""
	}
	sum := sha256.Sum256([]byte(k.PublicIdentity()))
	text := hex.EncodeToString(sum[:10])
	return strings.Join([]string{text[:4], text[4:8], text[8:12], text[12:16], text[16:]}, "-")
}

// Format writes a key as text; it must be complete.
func Format(k Key) ([]byte, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%d\nname %s\n", heading, version, k.Name)
	for _, line := range []struct {
		word string
		pair nkeys.KeyPair
	}{{"login", k.Login}, {"next", k.Next}} {
		if line.pair == nil {
			continue
		}
		seed, err := line.pair.Seed()
		if err != nil {
			return nil, fmt.Errorf("write a key: %w", err)
		}
		fmt.Fprintf(&b, "%s %s\n", line.word, seed)
	}
	fmt.Fprintf(&b, "identity %s%s\n", identityPrefix, base64.RawURLEncoding.EncodeToString(k.Identity.Seed()))
	sum := sha256.Sum256([]byte(b.String()))
	fmt.Fprintf(&b, "sum %x\n", sum[:sumLength])
	return []byte(b.String()), nil
}

// What Parse says, in words that follow the name of a file.
var (
	errNoKey    = errors.New("is not a key file")
	errDamaged  = errors.New("is damaged")
	errIdentity = errors.New("has an identity key where the login key belongs")
	errLogin    = errors.New("has a login key where the identity key belongs")
	errPublic   = errors.New("has the public half of a key where the secret one belongs")
	errKind     = errors.New("holds another kind of key")
)

// Parse reads the text of a key. There is one way to write a key, but for what editors leave;
// everything else is an error, whose words follow the name of a file: "is damaged".
func Parse(text []byte) (Key, error) {
	text = private.Plain(text)
	first, rest, _ := strings.Cut(string(text), "\n")
	number, ok := strings.CutPrefix(first, heading)
	if !ok {
		login, err := parseLogin(strings.TrimSpace(string(text)), errNoKey)
		return Key{Login: login}, err
	}
	if n, err := strconv.Atoi(number); err == nil && n > version {
		return Key{}, fmt.Errorf("has version %d, and this chatcli reads version %d: it needs a newer one", n, version)
	}
	var k Key
	for line := range strings.Lines(rest) {
		word, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if err := k.set(word, value); err != nil {
			return Key{}, err
		}
	}
	if k.Name == "" || k.Login == nil || k.Identity == nil {
		return Key{}, errDamaged
	}
	if again, err := Format(k); err != nil || string(again) != string(text) {
		return Key{}, errDamaged // the sum is wrong, or a line is missing, twice, or in the wrong place
	}
	return k, nil
}

func (k *Key) set(word, value string) (err error) {
	switch word {
	case "name":
		if k.Name, err = chat.ParseName(value); err != nil {
			return errDamaged
		}
	case "login":
		k.Login, err = parseLogin(value, errDamaged)
	case "next":
		k.Next, err = parseLogin(value, errDamaged)
	case "identity":
		k.Identity, err = parseIdentity(value)
	case "sum": // is compared when all is read
	default:
		return errDamaged
	}
	return err
}

// parseLogin reads the seed of a login key; what is no key at all is the error none.
func parseLogin(value string, none error) (nkeys.KeyPair, error) {
	if err := otherHalf(value); err != nil {
		return nil, err
	}
	if strings.HasPrefix(value, identityPrefix) {
		return nil, errIdentity
	}
	prefix, _, err := nkeys.DecodeSeed([]byte(value))
	if err != nil {
		return nil, none
	}
	if prefix != nkeys.PrefixByteUser {
		return nil, errKind
	}
	return nkeys.FromSeed([]byte(value))
}

func parseIdentity(value string) (ed25519.PrivateKey, error) {
	if err := otherHalf(value); err != nil {
		return nil, err
	}
	if _, _, err := nkeys.DecodeSeed([]byte(value)); err == nil {
		return nil, errLogin
	}
	text, ok := strings.CutPrefix(value, identityPrefix)
	seed, err := base64.RawURLEncoding.DecodeString(text)
	if !ok || err != nil || len(seed) != ed25519.SeedSize {
		return nil, errDamaged
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

func otherHalf(value string) error {
	if strings.HasPrefix(value, publicPrefix) || nkeys.IsValidPublicKey(value) {
		return errPublic
	}
	return nil
}
