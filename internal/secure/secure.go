// Package secure is how the two programs know that they talk to the right server, and
// that nobody listens on the way.
//
//	chatcoord --tls auto ─▶ data-dir/tls/ca.crt ─▶ fingerprint ─▶ link ─▶ chatcli
//	                              │ signs                                   │ checks
//	                              ▼                                         ▼
//	                        a certificate for this run ────────────── TLS 1.3
//
// # What is promised
//
// What a program is told to trust is all that it trusts: the system's certificates and
// the host's name, or a file of CAs and the host's name, or one fingerprint. Nothing is
// sent before that is settled: not the name of a user, not a signature. Off loopback
// nothing is sent in plain text either, unless that was allowed (--insecure). There is no
// way to skip the check of a certificate.
//
// # What is not
//
// A fingerprint is as good as the way that its link came. A certificate that is revoked is
// not noticed before it expires.
package secure

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"natter/broker"
	"natter/chat"
	"natter/internal/private"
)

// Pin is how a fingerprint is told from a file.
const Pin = "sha256:"

// Config is what a program is told of a server that it connects to.
type Config struct {
	URLs      string // of one server, or several with commas
	CA        string // "": what the system trusts; a file of CAs; or Pin and a chat.Fingerprint
	Known     string // the same, if CA is "": but no reason to demand TLS
	Cert, Key string // files: what the program shows of itself; "" is nothing
	Insecure  bool   // plain text is allowed off loopback
}

// Options are those of a connection. Their error is an *chat.Error.
func (c Config) Options() ([]nats.Option, error) {
	if several := strings.Split(c.URLs, ","); c.socket("ws", "wss") && !allSockets(several) {
		return nil, chat.Errorf(chat.Arguments, "WebSocket addresses (ws://, wss://) and others cannot be mixed in a list of servers.")
	}
	t := &tls.Config{MinVersion: tls.VersionTLS13}
	renewed, err := c.trust(t)
	if err != nil {
		return nil, err
	}
	if c.Cert != "" || c.Key != "" {
		own, err := readPair(c.Cert, c.Key)
		if err != nil {
			return nil, err
		}
		t.GetClientCertificate = c.shown(own)
	}
	if c.CA != "" || c.wantsTLS() {
		return append(renewed, nats.Secure(t)), nil // who does not offer it hears nothing
	}
	if c.socket("ws") {
		return c.discreetly(nil), nil // with TLS at hand the library would begin it, as on wss://
	}
	return c.discreetly(append(renewed, func(o *nats.Options) error { o.TLSConfig = t; return nil })), nil
}

// discreetly adds to options that nothing is said in plain text to other machines, unless
// that is allowed.
func (c Config) discreetly(options []nats.Option) []nats.Option {
	if c.Insecure {
		return options
	}
	return append(options, nats.SetCustomDialer(discreet{}))
}

// socket reports whether one of the servers is reached by one of some schemes.
func (c Config) socket(schemes ...string) bool {
	for part := range strings.SplitSeq(c.URLs, ",") {
		scheme, _, _ := strings.Cut(strings.TrimSpace(part), "://")
		if slices.Contains(schemes, scheme) {
			return true
		}
	}
	return false
}

// shown is the certificate that is shown to servers. Its files are read again for each
// connection: they may have been renewed. If they cannot be used, the former ones are.
func (c Config) shown(own tls.Certificate) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	var mu sync.Mutex
	return func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		if next, err := readPair(c.Cert, c.Key); err == nil {
			own = next
		}
		last := own
		return &last, nil
	}
}

// trust says whose certificates are taken. Its options read a file of CAs again for each
// connection.
func (c Config) trust(t *tls.Config) ([]nats.Option, error) {
	ca := cmp.Or(c.CA, c.Known)
	if ca == "" {
		return nil, nil
	}
	if pin, ok := strings.CutPrefix(ca, Pin); ok {
		if !chat.IsFingerprint(pin) {
			return nil, chat.Errorf(chat.Arguments, "--tls-ca %s is no fingerprint; it is in the link, behind ca=.", ca)
		}
		// The chain is checked by pinned. The host's name is not: the CA is the one server's
		// own and signs for nobody else, so that whatever the server is called, it is that one.
		t.InsecureSkipVerify = true
		t.VerifyConnection = pinned(pin)
		return nil, nil
	}
	roots, err := readCAs(ca)
	if err != nil {
		return nil, err
	}
	t.RootCAs = roots
	return []nats.Option{func(o *nats.Options) error {
		o.RootCAsCB = func() (*x509.CertPool, error) {
			if next, err := readCAs(ca); err == nil {
				return next, nil
			}
			return roots, nil
		}
		return nil
	}}, nil
}

// readCAs reads a file of CAs.
func readCAs(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, chat.Errorf(chat.Arguments, "The certificates %s cannot be read: %v.", file, private.Cause(err))
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(private.Unmark(text)) {
		return nil, chat.Errorf(chat.Arguments, "The file %s holds no certificate; it should be that of a CA, in PEM.", file)
	}
	return roots, nil
}

func allSockets(urls []string) bool {
	return !slices.ContainsFunc(urls, func(u string) bool { return !Config{URLs: u}.socket("ws", "wss") })
}

func (c Config) wantsTLS() bool {
	for part := range strings.SplitSeq(c.URLs, ",") {
		if u, err := url.Parse(strings.TrimSpace(part)); err == nil && (u.Scheme == "tls" || u.Scheme == "wss") {
			return true
		}
	}
	return false
}

var errPin = errors.New("the server's certificate is not the pinned one")

// pinned checks that a chain ends at the certificate with a fingerprint, and that it is
// good today.
func pinned(fingerprint string) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		roots, others := x509.NewCertPool(), x509.NewCertPool()
		for _, c := range s.PeerCertificates {
			if chat.Fingerprint(c.Raw) == fingerprint {
				roots.AddCert(c)
			} else {
				others.AddCert(c)
			}
		}
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: others})
		var invalid x509.CertificateInvalidError
		if err != nil && (!errors.As(err, &invalid) || invalid.Reason != x509.Expired || roots.Equal(x509.NewCertPool())) {
			return errPin
		}
		return err
	}
}

// discreet dials, and says nothing in plain text to other machines.
type discreet struct{}

// Dial implements nats.CustomDialer.
func (discreet) Dial(network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: broker.DialFor}).Dial(network, address)
	if err != nil {
		return nil, err
	}
	if peer, ok := conn.RemoteAddr().(*net.TCPAddr); ok && peer.IP.IsLoopback() {
		return conn, nil
	}
	return &hushed{Conn: conn}, nil
}

var errPlain = errors.New("plain text off loopback")

// hushed is a connection that TLS may begin on, and nothing else: whether a server wants
// TLS, it says itself.
type hushed struct {
	net.Conn
	begun bool // by TLS; the first write is before any other
}

const handshake = 0x16 // how TLS begins

// Write implements net.Conn.
func (h *hushed) Write(p []byte) (int, error) {
	if !h.begun && (len(p) == 0 || p[0] != handshake) {
		return 0, errPlain
	}
	h.begun = true
	return h.Conn.Write(p)
}

// OnLoopback reports whether a URL's or an address's host is this machine. A name other
// than localhost may be any.
func OnLoopback(address string) bool {
	host := address
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		host = u.Hostname()
	} else if h, _, err := net.SplitHostPort(address); err == nil {
		host = h
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
