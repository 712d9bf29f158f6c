package direct

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"time"
)

const (
	// protocol is the name of what is spoken on a connection, for ALPN.
	protocol = "natter-direct/1"
	// validity is how long a certificate is good, as it says itself. Nobody asks: the pin decides.
	validity = 24 * time.Hour
)

// limits are times that only tests change.
type limits struct {
	connect   time.Duration // for Connect in all
	handshake time.Duration // for who connects to a Listener
	stagger   time.Duration // between two addresses that are dialled
	turn      time.Duration // for the answer to the sender's choice
	idle      time.Duration // without traffic, before a connection is given up
}

var usual = limits{connect: 10 * time.Second, handshake: 10 * time.Second, stagger: 250 * time.Millisecond, turn: 4 * time.Second, idle: time.Minute}

// Identity is who one side is on its direct connections for one transfer, in one run of the
// program. It is never stored, and never used for another transfer.
type Identity struct {
	cert   tls.Certificate
	pin    Pin
	host   []byte // what only programs on this host know; nil if that is nothing
	limits limits
}

// NewIdentity draws an identity.
func NewIdentity() (*Identity, error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("draw a key: %w", err)
	}
	now := time.Now()
	form := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now, NotAfter: now.Add(validity)}
	der, err := x509.CreateCertificate(rand.Reader, form, form, pub, key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	cert := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
	return &Identity{cert: cert, pin: pinOf(leaf), host: hostSecret(), limits: usual}, nil
}

// Hello returns what may be told to somebody who has not been accepted: no address.
func (id *Identity) Hello() Hello { return Hello{Pin: id.pin, Mark: mark(id.host, id.pin)} }

func pinOf(c *x509.Certificate) Pin { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }

// equal compares two pins in a time that says nothing about them.
func (p Pin) equal(q Pin) bool { return subtle.ConstantTimeCompare(p[:], q[:]) == 1 }

// serverName is how who dials a listener names it: the first half of its pin in hexadecimal.
func (p Pin) serverName() string { return hex.EncodeToString(p[:len(p)/2]) }

var errPeer = errors.New("not who is expected")

// config is the TLS of both ends: version 1.3 with a certificate of each, of which only the
// key counts, and nothing that is kept for another connection.
func (id *Identity) config(expected func(Pin) bool) *tls.Config {
	return &tls.Config{
		Certificates:                []tls.Certificate{id.cert},
		MinVersion:                  tls.VersionTLS13,
		MaxVersion:                  tls.VersionTLS13,
		NextProtos:                  []string{protocol},
		InsecureSkipVerify:          true, // no name and no authority: VerifyConnection checks the key
		VerifyConnection:            func(s tls.ConnectionState) error { return verify(s, expected) },
		SessionTicketsDisabled:      true,
		Renegotiation:               tls.RenegotiateNever,
		DynamicRecordSizingDisabled: true,
	}
}

func verify(s tls.ConnectionState, expected func(Pin) bool) error {
	if s.NegotiatedProtocol != protocol || len(s.PeerCertificates) != 1 || !expected(pinOf(s.PeerCertificates[0])) {
		return errPeer
	}
	return nil
}
