package chat_test

import (
	"errors"
	"strings"
	"testing"

	"natter/chat"
)

const (
	pass = "AAAAAAAAAAAAAAAAAAAAAA"
	ca   = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU" // of nothing
)

func TestLinks(t *testing.T) {
	for text, want := range map[string]chat.Link{
		"natter://chat.example:5000/team?ca=" + ca + "&pass=" + pass: {Server: "chat.example:5000", Name: "team", Pass: pass, CA: ca},
		"natter://chat.example?pass=" + pass + "&tls=1":              {Server: "chat.example:4222", Name: "chat.example", Pass: pass, TLS: true},
		" natter://10.0.0.1/\n":                                      {Server: "10.0.0.1:4222", Name: "10.0.0.1"},
		"natter://[fd00::1]:99/":                                     {Server: "[fd00::1]:99", Name: "fd00--1"},
		"natter://[::1]?pass=" + pass:                                {Server: "[::1]:4222", Name: "1", Pass: pass},
		"natter://___":                                               {Server: "___:4222", Name: "server"},
		"natter://h/?creds=a.b-.c_":                                  {Server: "h:4222", Name: "h", Creds: "a.b-.c_"},
	} {
		got, err := chat.ParseLink(text)
		if err != nil || got != want {
			t.Errorf("%q is %+v, %v; want %+v", text, got, err, want)
		}
		if again, err := chat.ParseLink(got.String()); err != nil || again != got {
			t.Errorf("%q is written %q, which is %+v, %v", text, got, again, err)
		}
	}
	if url := (chat.Link{Server: "h:1", CA: ca}).URL(); url != "tls://h:1" {
		t.Error(url)
	}
	if url := (chat.Link{Server: "h:1"}).URL(); url != "nats://h:1" {
		t.Error(url)
	}
}

// What is no link is refused, and nothing of it is shown.
func TestNoLinks(t *testing.T) {
	for _, text := range []string{
		"", "h", "nats://h", "natter:h", "natter://", "natter:///x", "natter://:4222", "natter://h:0", "natter://h:", "natter://h:65536", "natter://h:x",
		"natter://secret@h", "natter://h/#secret", "natter://h/a/b", "natter://h/%20", "natter://h/" + strings.Repeat("a", 65), "natter://h\x1b[2J",
		"natter://h?pass=secret", "natter://h?pass=", "natter://h?pass=" + pass + "&pass=" + pass, "natter://h?ca=secret", "natter://h?ca=" + ca + "=",
		"natter://h?tls=0", "natter://h?new=secret", "natter://h?creds=secret", "natter://h?pass=%zz", "natter://ü", "natter://h/-x", "natter://h/.x", "natter://0", "natter://127.1", "natter://h.1",
		"natter://[fe80::1%25eth0]",
		"natter://h?ca=" + ca[:20] + "%0A" + ca[20:], "natter://h?pass=" + strings.Repeat("secret", 2000),
	} {
		l, err := chat.ParseLink(text)
		if !errors.Is(err, &chat.Error{Code: chat.Arguments}) || l != (chat.Link{}) {
			t.Errorf("%q is %+v, %v", text, l, err)
		} else if strings.Contains(err.Error(), "secret") || strings.ContainsRune(err.Error(), '\x1b') {
			t.Errorf("%q is shown: %v", text, err)
		}
	}
}

// A link to every address of a server leads to none of them, however it is written.
func TestLinksToNowhere(t *testing.T) {
	for _, host := range []string{"0.0.0.0", "[::]", "[0:0::0]", "[::ffff:0.0.0.0]", "224.0.0.1", "[ff02::1]"} {
		if l, err := chat.ParseLink("natter://" + host + ":4222/x?pass=" + pass); err != chat.ErrNowhere || l != (chat.Link{}) {
			t.Errorf("%s is %+v, %v", host, l, err)
		}
	}
}

// A shell cuts a link that is not in quotes at its first &: what is left is known for it.
func TestCutLinks(t *testing.T) {
	whole := chat.Link{Server: "h:1", Name: "x", Pass: pass, CA: ca, TLS: true, Creds: "a.b.c"}
	if text := whole.String(); !strings.HasSuffix(text, "&pass="+pass) || whole.Cut() {
		t.Errorf("%s", text)
	}
	for text := whole.String(); ; {
		i := strings.LastIndex(text, "&")
		if i < 0 {
			break
		}
		text = text[:i]
		if l, err := chat.ParseLink(text); err != nil || !l.Cut() {
			t.Errorf("%s: %+v, %v", text, l, err)
		}
	}
	if l, err := chat.ParseLink("natter://h"); err != nil || l.Cut() {
		t.Errorf("one that has no parts: %+v, %v", l, err)
	}
}

// What a shell or a program for mail has left around a link does not belong to it.
func TestLinksInQuotes(t *testing.T) {
	link := "natter://h:1/x?ca=" + ca + "&pass=" + pass
	for _, text := range []string{"'" + link + "'", `"` + link + `"`, "<" + link + ">", " " + link + "\r\n"} {
		if l, err := chat.ParseLink(text); err != nil || l.Pass != pass {
			t.Errorf("%q: %+v, %v", text, l, err)
		}
	}
	if l, err := chat.ParseLink("'natter://h:1/x?ca=" + ca); err != nil || !l.Cut() {
		t.Errorf("cut behind a quote: %+v, %v", l, err)
	}
}

func FuzzParseLink(f *testing.F) {
	f.Add("natter://chat.example:5000/team?ca=" + ca + "&pass=" + pass)
	f.Add("natter://[::1]?tls=1&creds=a.b.c")
	f.Add("natter://h:/%2e%2e?pass=")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := chat.ParseLink(text)
		if err != nil {
			if l != (chat.Link{}) {
				t.Fatalf("%q: %v and %+v", text, err, l)
			}
			return
		}
		if !chat.ContextName(l.Name) || strings.ContainsAny(l.URL(), " \r\n\x1b@?#") {
			t.Fatalf("%q is %+v", text, l)
		}
		if again, err := chat.ParseLink(l.String()); err != nil || again != l {
			t.Fatalf("%q is %+v, written %q, read %+v, %v", text, l, l.String(), again, err)
		}
	})
}
