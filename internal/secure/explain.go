package secure

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"natter/chat"
)

// ErrUnsafe is what every error of Explain is, for programs.
var ErrUnsafe = errors.New("the connection is not safe")

type unsafe struct{ error }

// Is makes errors.Is find ErrUnsafe.
func (unsafe) Is(target error) bool { return target == ErrUnsafe }

// Unwrap makes errors.As find the *chat.Error.
func (u unsafe) Unwrap() error { return u.error }

// Explain says why a connection was not safe enough, as an *chat.Error with code Denied;
// nil if that is not what is wrong. server is where it was to go, and ask how one comes to
// trust a server, as an order to the reader, or "".
func Explain(server, ask string, err error) error {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var noTLS tls.RecordHeaderError
	text := ""
	switch {
	case errors.Is(err, errPlain):
		text = server + " speaks plain text, which can be read and changed on the way. Nothing was sent. " + or(ask, "allow plain text: --insecure")
	case errors.Is(err, nats.ErrSecureConnWanted), errors.As(err, &noTLS):
		text = server + " offers no TLS, and it should. Nothing was sent. Is it the right server? Somebody may be in between"
	case errors.Is(err, errPin):
		text = "The certificate of " + server + " is not the one in the link; somebody may be in between. Nothing was sent. If the server was set up anew, ask its operator for a new link"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		text = dates(server, invalid.Cert)
	case errors.As(err, &name):
		text = fmt.Sprintf("The certificate of %s is another one's: it is for %s. Nothing was sent", server, holders(name.Certificate))
	case errors.As(err, &unknown), errors.As(err, &invalid):
		text = "The certificate of " + server + " is not known here. Nothing was sent. " + or(ask, "name its CA: --tls-ca FILE")
	case turnedAway(err):
		text = server + " ended the connection; it may want to see another certificate of yours, or one at all: --tls-cert FILE --tls-key FILE"
	case errors.Is(err, nats.ErrTLS):
		text = server + " and this program do not agree on TLS 1.3. Nothing was sent"
	default:
		return nil
	}
	return unsafe{chat.Errorf(chat.Denied, "%s.", chat.CleanLine(text))}
}

// turnedAway reports whether the server did not like what the client showed, which with TLS
// 1.3 it says only after the client is content, and perhaps never gets to say.
func turnedAway(err error) bool {
	if err == nil {
		return false
	}
	text := err.Error()
	return strings.Contains(text, "remote error: tls: ") && !strings.Contains(text, "protocol version") ||
		errors.Is(err, nats.ErrTLS) && strings.Contains(text, "after TLS handshake")
}

// or joins two orders.
func or(ask, other string) string {
	if ask == "" {
		return strings.ToUpper(other[:1]) + other[1:]
	}
	return ask + ", or " + other
}

const moment = "2006-01-02 15:04 MST"

// dates says that a certificate is not good today, which it is if the clock is wrong.
func dates(whose string, c *x509.Certificate) string {
	now := time.Now()
	how := "expired on " + c.NotAfter.Local().Format(moment)
	if now.Before(c.NotBefore) {
		how = "is good only from " + c.NotBefore.Local().Format(moment)
	}
	return fmt.Sprintf("The certificate of %s %s. Nothing was sent. Check this machine's clock: it says %s", whose, how, now.Format(moment))
}

// holders is whom a certificate is for.
func holders(c *x509.Certificate) string {
	all := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return "nobody by name"
	}
	const most = 8
	if len(all) > most {
		all = append(all[:most], "…")
	}
	return strings.Join(all, ", ")
}
