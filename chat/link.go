package chat

import (
	"crypto/sha256"
	"encoding/base64"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// LinkScheme is how links begin.
const LinkScheme = "natter"

// Link is an invitation to a server, for one person over a channel that is trusted:
//
//	natter://HOST:PORT/NAME?ca=…&pass=…
//
// It says where the server is, how it is recognized, and holds the pass that lets a new
// user in. The first person who reads it can use it.
type Link struct {
	Server string // HOST:PORT
	Name   string // what the guest's program calls the server: see ContextName
	Pass   string // "": the server lets in everybody
	// CA is the fingerprint of the certificate that must be in the server's chain: see
	// Fingerprint. "": any that the guest's system trusts.
	CA    string
	TLS   bool   // without a CA: the connection must be encrypted all the same
	Creds string // the lobby's JWT, for servers that let nobody in without
}

// URL is the server's address as NATS writes it.
func (l Link) URL() string {
	if l.TLS || l.CA != "" {
		return "tls://" + l.Server
	}
	return "nats://" + l.Server
}

// String writes the link. The pass comes last: a link that a shell has cut at & has none.
func (l Link) String() string {
	var parts []string
	add := func(key, value string) {
		if value != "" {
			parts = append(parts, key+"="+url.QueryEscape(value))
		}
	}
	add("ca", l.CA)
	add("creds", l.Creds)
	if l.TLS {
		add("tls", "1")
	}
	add("pass", l.Pass)
	u := url.URL{Scheme: LinkScheme, Host: l.Server, Path: "/" + l.Name, RawQuery: strings.Join(parts, "&")}
	return u.String()
}

// Cut reports whether a link lacks the end that chatcoord invite gives to each: the pass,
// which only a link without any parts does without.
func (l Link) Cut() bool { return l.Pass == "" && (l.CA != "" || l.Creds != "" || l.TLS) }

const (
	maxLink     = 8 << 10
	passLength  = 22 // of 16 bytes
	defaultPort = "4222"
)

// ParseLink reads a link. Its error, with code Arguments, shows nothing of the link,
// which may hold a pass.
func ParseLink(s string) (Link, error) {
	// Shells without single quotes leave those in; programs for mail put <> around links.
	s = strings.Trim(s, " \t\r\n'\"<>")
	if len(s) > maxLink {
		return Link{}, noLink("it is too long")
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Opaque != "":
		return Link{}, noLink("it cannot be read")
	case u.Scheme != LinkScheme:
		return Link{}, noLink("it does not begin with natter://")
	case u.User != nil || u.Fragment != "":
		return Link{}, noLink("it has parts that no link has")
	}
	var l Link
	if l.Server, err = linkServer(u); err != nil {
		return Link{}, err
	}
	if l.Name = strings.TrimPrefix(u.Path, "/"); l.Name == "" {
		l.Name = nameOfHost(u.Hostname())
	}
	if !ContextName(l.Name) {
		return Link{}, noLink("the name in it is not one")
	}
	if err := l.query(u.RawQuery); err != nil {
		return Link{}, err
	}
	return l, nil
}

// ErrNowhere is the error of ParseLink for an address at which no server can be reached.
var ErrNowhere = Errorf(Arguments, "The address in this link is one on which a server listens, and at which it cannot be reached. Ask for a link with the name or the address of the server: chatcoord invite --address HOST")

func noLink(why string) error {
	return Errorf(Arguments, "This is not a link to a server: %s. Copy it whole, from natter:// to its end.", why)
}

// linkServer is HOST:PORT.
func linkServer(u *url.URL) (string, error) {
	host, port := u.Hostname(), u.Port()
	if port == "" && !strings.HasSuffix(u.Host, ":") {
		port = defaultPort
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 1 || n > 65535 {
		return "", noLink("the port is none")
	}
	a, err := netip.ParseAddr(host)
	switch {
	case err == nil && (a.Unmap().IsUnspecified() || a.Unmap().IsMulticast()):
		return "", ErrNowhere
	case err == nil && a.Zone() == "":
		return net.JoinHostPort(a.String(), strconv.Itoa(n)), nil
	}
	if host == "" || !made(host, "._-") || numeric(host) {
		return "", noLink("the host is none")
	}
	return host + ":" + strconv.Itoa(n), nil
}

// numeric reports whether a host, which is no address, ends with a number: no name does, and
// some systems read it as an address, 0 as 0.0.0.0.
func numeric(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	return last != "" && strings.Trim(last, "0123456789") == ""
}

// query reads what follows the question mark. What is not known may matter, so it is
// refused: the link is of a newer version.
func (l *Link) query(raw string) error {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return noLink("it cannot be read")
	}
	for key, list := range values {
		value := list[0]
		if len(list) > 1 {
			return noLink("a part is there twice")
		}
		ok := false
		switch key {
		case "pass":
			l.Pass, ok = value, len(value) == passLength && made(value, "_-")
		case "ca":
			l.CA, ok = value, IsFingerprint(value)
		case "tls":
			l.TLS, ok = true, value == "1"
		case "creds":
			l.Creds, ok = value, strings.Count(value, ".") == 2 && made(value, "._-")
		}
		if !ok {
			return noLink("a part of it is damaged, or of a newer version")
		}
	}
	return nil
}

// MaxContextName is how many bytes the name of a context may have.
const MaxContextName = 64

// ContextName reports whether a text can be what a program calls a server. It begins with a
// letter or a digit, so that it can be typed where flags can.
func ContextName(s string) bool {
	return s != "" && len(s) <= MaxContextName && made(s, "._-") && made(s[:1], "")
}

// nameOfHost makes a context's name of a host.
func nameOfHost(host string) string {
	name := strings.TrimLeft(strings.ReplaceAll(host, ":", "-"), "._-")
	if name == "" {
		return "server"
	}
	return name[:min(len(name), MaxContextName)]
}

// made reports whether a text is made of ASCII letters, digits and the other characters.
func made(s, others string) bool {
	for _, r := range s {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		if !letter && !strings.ContainsRune(others, r) {
			return false
		}
	}
	return true
}

// Fingerprint is what a link says of a certificate, given as DER.
func Fingerprint(certificate []byte) string {
	sum := sha256.Sum256(certificate)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// IsFingerprint reports whether a text can be a Fingerprint.
func IsFingerprint(s string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(raw) == sha256.Size && !strings.ContainsAny(s, "\r\n")
}
