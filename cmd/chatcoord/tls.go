package main

import (
	"crypto/tls"
	"log/slog"
	"net"
	"strings"

	"github.com/nats-io/nats.go"

	"natter/internal/flags"
	"natter/internal/secure"
)

// checkTLS is check for the embedded server's encryption.
func (c *config) checkTLS() error {
	files := c.tlsCert != "" || c.tlsKey != ""
	switch {
	case c.tls.Value != "" && files:
		return flags.Usagef("--tls auto makes a certificate, and --tls-cert names one; use either")
	case files && (c.tlsCert == "" || c.tlsKey == ""):
		return flags.Usagef("--tls-cert and --tls-key belong together")
	case c.tlsCA != "":
		return flags.Usagef("--tls-ca is of a server to connect to: with --server, or a verb")
	case !files && c.tls.Value == "" && !c.insecure && !onLoopback(c.listen):
		return flags.Usagef("--listen %s can be reached from other machines, and what is said there travels as plain text; --tls auto encrypts it, --insecure allows it", c.listen)
	}
	return nil
}

// encrypt is how the embedded server encrypts; nil if it does not.
func (c *config) encrypt(log *slog.Logger) (func(dir string) (*tls.Config, error), error) {
	if c.tls.Value != "" {
		host, _, _ := net.SplitHostPort(c.listen) // a wrong one is refused elsewhere
		return func(dir string) (*tls.Config, error) { return auto(dir, host, log) }, nil
	}
	if c.tlsCert == "" {
		return nil, nil
	}
	own, err := secure.Files(c.tlsCert, c.tlsKey)
	return func(string) (*tls.Config, error) { return own, nil }, err
}

// auto warns of a clock by which nobody can connect, now or when it is set right.
func auto(dir, host string, log *slog.Logger) (*tls.Config, error) {
	own, err := secure.Auto(dir, host)
	if err != nil {
		return nil, err
	}
	if err := secure.CheckCA(dir); err != nil {
		log.Warn("nobody can connect", "err", err)
	}
	return own, nil
}

// secured are the options of a connection to --server. Whoever takes the credentials of
// a data directory knows the CA that is there.
func (c *config) secured() ([]nats.Option, error) {
	known := ""
	if c.keys == "" {
		known = secure.PinOf(c.dataDir)
	}
	return secure.Config{
		URLs: c.server, CA: c.tlsCA, Known: known, Cert: c.tlsCert, Key: c.tlsKey, Insecure: c.insecure,
	}.Options()
}

// invited tells whether new users need a link: unless something else was said, where
// others than this machine can come.
func (c *config) invited() bool {
	switch {
	case c.join.Value != "":
		return c.join.Value == "invited"
	case !c.external():
		return !onLoopback(c.listen)
	}
	for url := range strings.SplitSeq(c.server, ",") {
		if !secure.OnLoopback(strings.TrimSpace(url)) {
			return true
		}
	}
	return false
}
