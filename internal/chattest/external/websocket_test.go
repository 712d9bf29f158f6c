package external_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/internal/secure"
)

// TestWebSocket reaches a NATS server through its WebSocket listener, in plain text and
// encrypted: as a user, as a coordinator and as a verb.
func TestWebSocket(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		t.Run(fmt.Sprintf("encrypted %t", encrypted), func(t *testing.T) {
			t.Parallel()
			webSocket(t, encrypted)
		})
	}
}

func webSocket(t *testing.T, encrypted bool) {
	in := plan(t, 1)
	port := ports(t, 1)[0].Port
	listener, url, ca := "no_tls: true", fmt.Sprintf("ws://127.0.0.1:%d", port), ""
	if encrypted {
		cert, key, _ := certificate(t)
		listener, url, ca = fmt.Sprintf("tls: { cert_file: %q, key_file: %q }", cert, key), fmt.Sprintf("wss://127.0.0.1:%d", port), cert
	}
	in.change("nats.conf", "\njetstream:", fmt.Sprintf("\nwebsocket: { listen: \"127.0.0.1:%d\", %s }\njetstream:", port, listener))
	in.run()
	trust := []string{}
	if encrypted {
		trust = []string{"--tls-ca", ca}
	}
	in.urls = url // of the coordinator, too
	in.coordinator(trust...)
	options, err := secure.Config{URLs: url, CA: ca}.Options()
	if err != nil {
		t.Fatal(err)
	}
	alice := chattest.Dial(t, client.Config{URL: url, Options: options}, "alice")
	bob := chattest.Dial(t, client.Config{URL: url, Options: options}, "bob")
	if users, err := alice.List(t.Context()); err != nil || len(users) != 1 || users[0].Name != "bob" {
		t.Errorf("alice sees %v, %v", users, err)
	}
	if err := bob.Direct(t.Context(), "alice", strings.Repeat("hello ", 1000)); err != nil {
		t.Error(err)
	}
	if text, code := verb(t, append([]string{"users", "--server", url, "--creds", in.dir + "/operator.creds"}, trust...)...); code != 0 || !strings.Contains(text, "alice") {
		t.Errorf("users: exit code %d\n%s", code, text)
	}
	if encrypted {
		if _, err := client.Dial(t.Context(), client.Config{URL: url}); err == nil {
			t.Error("a certificate that is not known is taken")
		}
	}
}

// What cannot be is refused before anything is sent.
func TestWebSocketsAreNotMixed(t *testing.T) {
	_, err := secure.Config{URLs: "ws://127.0.0.1:1, nats://127.0.0.1:2"}.Options()
	if !errors.Is(err, &chat.Error{Code: chat.Arguments}) {
		t.Error(err)
	}
}
