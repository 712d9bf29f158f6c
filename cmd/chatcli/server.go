package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const defaultPort = "4222"

// schemes are the URL schemes of NATS servers.
var schemes = []string{"nats", "tls", "ws", "wss"}

// parseServer parses HOST, HOST:PORT and URLs, several separated by commas, and returns them as URLs. Its error never shows a password.
func parseServer(s string) (string, error) {
	var urls []string
	for part := range strings.SplitSeq(s, ",") {
		u, err := parseURL(strings.TrimSpace(part))
		if err != nil {
			return "", err
		}
		urls = append(urls, u.String())
	}
	return strings.Join(urls, ","), nil
}

func parseURL(s string) (*url.URL, error) {
	if s == "" {
		return nil, fmt.Errorf("a server has a name, for example nats://127.0.0.1:4222")
	}
	if !strings.Contains(s, "://") {
		s = "nats://" + bracket(s)
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("%s is not the address of a server, for example nats://127.0.0.1:4222", masked(s))
	}
	switch web := u.Scheme == "ws" || u.Scheme == "wss"; {
	case !slices.Contains(schemes, u.Scheme):
		return nil, fmt.Errorf("%s: a server is reached by nats://, tls:// or ws://, not by %s://", u.Redacted(), u.Scheme)
	case u.Hostname() == "":
		return nil, fmt.Errorf("%s names no host, for example nats://127.0.0.1:4222", masked(s))
	case !web && (u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != ""):
		return nil, fmt.Errorf("%s: nothing may follow the port", u.Redacted())
	case u.Port() != "":
		if err := checkPort(u.Port()); err != nil {
			return nil, err
		}
	case !web:
		u.Host = net.JoinHostPort(u.Hostname(), defaultPort)
	}
	if u.Path == "/" {
		u.Path = ""
	}
	return u, nil
}

// bracket writes a bare IPv6 address as URLs want it.
func bracket(s string) string {
	if a, err := netip.ParseAddr(s); err == nil && a.Is6() {
		return "[" + strings.ReplaceAll(s, "%", "%25") + "]"
	}
	return s
}

func checkPort(s string) error {
	if n, err := strconv.Atoi(s); err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("%s is not a port, which is between 1 and 65535", s)
	}
	return nil
}

// masked quotes an invalid setting without what may be a password.
func masked(s string) string {
	if i := strings.LastIndex(s, "@"); i >= 0 {
		scheme := ""
		if j := strings.Index(s, "://"); j >= 0 && j < i {
			scheme = s[:j+3]
		}
		s = scheme + "xxxxx" + s[i:]
	}
	return fmt.Sprintf("%q", s)
}

// shownServer returns a server setting without passwords.
func shownServer(s string) string {
	parts := strings.Split(s, ",")
	for i, part := range parts {
		if u, err := url.Parse(part); err == nil {
			parts[i] = u.Redacted()
		}
	}
	return strings.Join(parts, ",")
}
