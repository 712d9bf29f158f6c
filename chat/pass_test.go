package chat_test

import (
	"strings"
	"testing"

	"natter/chat"
)

// Whoever hears how a pass is shown can do nothing with it.
func TestShowPass(t *testing.T) {
	const pass, key = "AAAAAAAAAAAAAAAAAAAAAA", "UALICE"
	shown := chat.ShowPass(pass, key)
	if id, ok := chat.ReadPass(shown, key); !ok || id != chat.PassID(pass) || len(id) != 32 || strings.Contains(shown, pass) {
		t.Errorf("%s is %s, %v", shown, id, ok)
	}
	other := chat.ShowPass("BAAAAAAAAAAAAAAAAAAAAA", key)
	public, _, _ := strings.Cut(shown, ".")
	_, signature, _ := strings.Cut(other, ".")
	for what, c := range map[string][2]string{
		"another key":           {shown, "UMALLORY"},
		"another pass":          {public + "." + signature, key},
		"the pass":              {pass, key},
		"nothing":               {"", key},
		"no signature":          {public, key},
		"a key of no length":    {"." + signature, key},
		"something behind it":   {shown + "AAAA", key},
		"another one behind it": {shown + "." + signature, key},
	} {
		if id, ok := chat.ReadPass(c[0], c[1]); ok {
			t.Errorf("%s is good for %s", what, id)
		}
	}
}
