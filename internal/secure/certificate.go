package secure

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync"
	"time"
)

// warnBefore is how long before its end a certificate is worth a warning.
const warnBefore = 14 * 24 * time.Hour

// Certificate is the certificate of a server. It may be replaced while the server runs:
// connections that are open keep the one they began with, and new ones get the new one.
type Certificate struct {
	what string // subject of sentences: The certificate FILE
	todo string // what the operator does before it expires
	load func(have *tls.Certificate, now time.Time) (*tls.Certificate, error)
	self bool // it is made here, and renewed without anybody's help

	mu   sync.Mutex
	now  *tls.Certificate
	ends time.Time // when the operator has to have replaced it
}

// Config is the TLS of a server that shows the certificate.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return c.get(time.Now())
	}}
}

func (c *Certificate) get(now time.Time) (*tls.Certificate, error) {
	if c.self { // the clock may have been set since the last look
		_, _ = c.Renew(now) // the former one is better than none
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now, nil
}

// Renew reads the certificate's files again, and reports whether there is another one now;
// one of Auto is made anew if it is time to, which is nothing to report. If it fails, the former one stays in use; the
// error is a *chat.Error.
func (c *Certificate) Renew(now time.Time) (changed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next, err := c.load(c.now, now)
	if err != nil || c.now != nil && bytes.Equal(next.Certificate[0], c.now.Certificate[0]) {
		return false, err
	}
	if c.now = next; c.self {
		return false, nil
	}
	c.ends = earliest(next)
	return true, nil
}

// Expires is when the certificate, or another one of its chain, expires. Of one that is
// made here it is the end of its CA.
func (c *Certificate) Expires() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ends
}

// Status says until when the certificate is good, or that it has expired.
func (c *Certificate) Status(now time.Time) string {
	ends := c.Expires()
	if now.After(ends) {
		return fmt.Sprintf("%s expired on %s", c.what, ends.UTC().Format(moment))
	}
	return fmt.Sprintf("%s is good until %s", c.what, ends.UTC().Format(moment))
}

// Warning says that the certificate expires soon, or has expired, and what to do; "" if
// neither is so, or if it was said within a day. The zero time is never.
func (c *Certificate) Warning(now, said time.Time) string {
	ends := c.Expires()
	expired := now.After(ends)
	if ends.Sub(now) >= warnBefore || now.Sub(said) < 24*time.Hour && (!expired || said.After(ends)) {
		return ""
	}
	if expired {
		return fmt.Sprintf("%s expired on %s: new connections fail. %s", c.what, ends.UTC().Format(moment), c.todo)
	}
	return fmt.Sprintf("%s expires on %s. %s", c.what, ends.UTC().Format(moment), c.todo)
}

// earliest is the first end of the certificates of a chain. What cannot be read is left to
// those who check the chain.
func earliest(pair *tls.Certificate) (ends time.Time) {
	for _, der := range pair.Certificate {
		if c, err := x509.ParseCertificate(der); err == nil && (ends.IsZero() || c.NotAfter.Before(ends)) {
			ends = c.NotAfter
		}
	}
	return ends
}

// Files is the certificate of a server that is in a file, with its key in another one.
func Files(cert, key string) (*Certificate, error) {
	c := &Certificate{
		what: "The certificate " + cert,
		todo: "Put a new one in its place; it is used without a restart",
		load: func(_ *tls.Certificate, now time.Time) (*tls.Certificate, error) {
			pair, err := readPair(cert, key)
			if err != nil {
				return nil, err
			}
			return &pair, good(cert, pair.Leaf, now)
		},
	}
	if _, err := c.Renew(time.Now()); err != nil {
		return nil, err
	}
	return c, nil
}
