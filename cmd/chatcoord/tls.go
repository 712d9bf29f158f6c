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

// encrypt returns the TLS configuration of the embedded server; nil if it has none.
func (p *program) encrypt(log *slog.Logger) (func(dir string) (*tls.Config, error), error) {
	if p.tls.Value != "" {
		host, _, _ := net.SplitHostPort(p.listen) // an invalid one is refused elsewhere
		return func(dir string) (*tls.Config, error) { return p.auto(dir, host, log) }, nil
	}
	own, err := p.fromFiles()
	if own == nil {
		return nil, err
	}
	return func(string) (*tls.Config, error) { return own.Config(), nil }, nil
}

// fromFiles returns the certificate of --tls-cert, which is reloaded from now on; nil if there is none.
func (p *program) fromFiles() (*secure.Certificate, error) {
	if p.tlsCert == "" && p.tlsKey == "" {
		return nil, nil
	}
	own, err := secure.Files(p.tlsCert, p.tlsKey)
	if err == nil {
		p.cert.Store(own)
	}
	return own, err
}

// auto warns of a clock with which the certificate is not valid, now or after it is corrected.
func (p *program) auto(dir, host string, log *slog.Logger) (*tls.Config, error) {
	own, err := secure.Auto(dir, host)
	if err != nil {
		return nil, err
	}
	p.cert.Store(own)
	if err := secure.CheckCA(dir); err != nil {
		log.Warn("nobody can connect", "err", err)
	}
	return own.Config(), nil
}

// secured are the options of a connection to --server. If the
// credentials are of a data directory, its CA is used.
func (c *config) secured() ([]nats.Option, error) {
	known := ""
	if c.keys == "" {
		known = secure.PinOf(c.dataDir)
	}
	return secure.Config{
		URLs: c.server, CA: c.tlsCA, Known: known, Cert: c.tlsCert, Key: c.tlsKey, Insecure: c.insecure,
	}.Options()
}

// invited reports whether new users need a link: unless a flag says otherwise, if other
// machines can connect.
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
