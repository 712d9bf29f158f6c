package chat

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// A pass is the seed of a key pair. Who has it shows the public key and a signature over
// their login key: observers hear what is asked in the lobby, and could use the pass itself.

// ShowPass is what proves to have a pass, and is of use with a login key only.
func ShowPass(pass, key string) string {
	private := passKey(pass)
	return coded(private.Public().(ed25519.PublicKey)) + "." + coded(ed25519.Sign(private, passText(key)))
}

// ReadPass returns the PassID of what ShowPass made for a login key; false if it is none.
func ReadPass(shown, key string) (string, bool) {
	first, second, _ := strings.Cut(shown, ".")
	public, err := base64.RawURLEncoding.DecodeString(first)
	signature, err2 := base64.RawURLEncoding.DecodeString(second)
	if err != nil || err2 != nil || len(public) != ed25519.PublicKeySize || !ed25519.Verify(public, passText(key), signature) {
		return "", false
	}
	return passID(public), true
}

// PassID is the name of a pass in the store.
func PassID(pass string) string { return passID(passKey(pass).Public().(ed25519.PublicKey)) }

func passID(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:16])
}

func passKey(pass string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("natter/v1 pass\x00" + pass))
	return ed25519.NewKeyFromSeed(seed[:])
}

func passText(key string) []byte { return []byte("natter/v1 pass used by\x00" + key) }

func coded(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
