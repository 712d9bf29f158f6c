package keyfile_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"natter/internal/keyfile"
	"natter/internal/private"
)

func made(t testing.TB) (keyfile.Key, []byte) {
	t.Helper()
	k, err := keyfile.New("alice")
	if err != nil {
		t.Fatal(err)
	}
	return k, format(t, k)
}

func format(t testing.TB, k keyfile.Key) []byte {
	t.Helper()
	text, err := keyfile.Format(k)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// same reports whether two keys are the same, of which one may be a bare login key.
func same(a, b keyfile.Key) bool {
	return a.PublicLogin() == b.PublicLogin() && a.PublicIdentity() == b.PublicIdentity() && a.Name == b.Name
}

func TestAKeyIsReadAsItWasWritten(t *testing.T) {
	k, text := made(t)
	if again, err := keyfile.Parse(text); err != nil || !same(k, again) || again.Next != nil {
		t.Fatalf("%+v, %v", again, err)
	}
	if strings.TrimPrefix(k.PublicLogin(), "U") == k.PublicLogin() || !strings.HasPrefix(k.PublicIdentity(), "natter-id-pub-") {
		t.Fatalf("%s, %s", k.PublicLogin(), k.PublicIdentity())
	}
	k.Next, _ = nkeys.CreateUser()
	again, err := keyfile.Parse(format(t, k))
	if err != nil || !same(k, again) || again.Next == nil {
		t.Fatalf("%+v, %v", again, err)
	}
	if a, b := seedOf(t, k.Next), seedOf(t, again.Next); a != b {
		t.Fatal("another next key")
	}
}

func seedOf(t testing.TB, k nkeys.KeyPair) string {
	t.Helper()
	seed, err := k.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return string(seed)
}

func TestTheSeedOfALoginKeyIsAKey(t *testing.T) {
	k, _ := made(t)
	for _, text := range []string{seedOf(t, k.Login), seedOf(t, k.Login) + "\r\n"} {
		bare, err := keyfile.Parse([]byte(text))
		if err != nil || bare.PublicLogin() != k.PublicLogin() || bare.PublicIdentity() != "" || bare.Fingerprint() != "" {
			t.Fatalf("%+v, %v", bare, err)
		}
		if err := bare.Complete("alice"); err != nil {
			t.Fatal(err)
		}
		if again, err := keyfile.Parse(format(t, bare)); err != nil || !same(again, bare) {
			t.Fatalf("%+v, %v", again, err)
		}
	}
}

// A text that lacks anything at its end, but for the last end of line, is not a key.
func TestTruncated(t *testing.T) {
	_, text := made(t)
	for n := range len(text) - 1 {
		if k, err := keyfile.Parse(text[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are a key: %+v", n, len(text), k)
		}
	}
}

// A flipped bit is noticed wherever it is.
func TestFlippedBits(t *testing.T) {
	_, text := made(t)
	for i := range text {
		for bit := range 8 {
			bad := bytes.Clone(text)
			bad[i] ^= 1 << bit
			if _, err := keyfile.Parse(bad); err == nil {
				t.Fatalf("bit %d of byte %d is flipped: %q", bit, i, bad)
			}
		}
	}
}

// The kinds of keys are told apart, and named.
func TestKindsOfKeys(t *testing.T) {
	k, text := made(t)
	lines := strings.Split(string(text), "\n")
	login, identity := strings.TrimPrefix(lines[2], "login "), strings.TrimPrefix(lines[3], "identity ")
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	put := func(word, value string) string { return fmt.Sprintf("natter key 1\nname alice\n%s %s\n", word, value) }
	for text, want := range map[string]string{
		put("login", identity):              "has an identity key where the login key belongs",
		put("next", identity):               "has an identity key where the login key belongs",
		put("identity", login):              "has a login key where the identity key belongs",
		put("login", k.PublicLogin()):       "has the public half of a key where the secret one belongs",
		put("identity", k.PublicIdentity()): "has the public half of a key where the secret one belongs",
		put("login", seedOf(t, account)):    "holds another kind of key",
		identity:                            "has an identity key where the login key belongs",
		seedOf(t, account):                  "holds another kind of key",
		put("color", "blue"):                "is damaged",
		put("login", login):                 "is damaged",
		string(text) + "sum 00\n":           "is damaged",
		"natter key 2\n":                    "has version 2, and this chatcli reads version 1: it needs a newer one",
		"natter key x\n":                    "is damaged",
		"":                                  "is not a key file",
		"SUABC":                             "is not a key file",
	} {
		if _, err := keyfile.Parse([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// FuzzParse: whatever is read is written as it was before an editor, or was a bare login key.
func FuzzParse(f *testing.F) {
	k, text := made(f)
	f.Add(text)
	f.Add([]byte(seedOf(f, k.Login)))
	k.Next, _ = nkeys.CreateUser()
	f.Add(format(f, k))
	f.Add([]byte("natter key 1\nname alice\nlogin SU\nidentity natter-id-\nsum 00\n"))
	f.Add([]byte("natter key 99999999999999999999\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := keyfile.Parse(text)
		if err != nil || k.Identity == nil {
			return
		}
		if again := format(t, k); !bytes.Equal(again, private.Plain(text)) {
			t.Fatalf("%q is written as %q", text, again)
		}
	})
}
