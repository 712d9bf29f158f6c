package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"natter/internal/secure"
)

// A certificate that was replaced is noticed without a signal. One that cannot be read is told
// once, and only if that is so twice: the two files are not replaced at the same moment.
func TestCertificateIsNoticed(t *testing.T) {
	cert, key := filepath.Join(t.TempDir(), "cert"), filepath.Join(t.TempDir(), "key")
	certify(t, cert, key)
	own, err := secure.Files(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	p := newProgram(io.Discard, io.Discard)
	p.cert.Store(own)
	u := &upkeep{p: p, log: slog.New(slog.DiscardHandler)}
	looks := func(want ...string) {
		t.Helper()
		u.look(time.Now())
		for _, w := range want {
			select {
			case n := <-p.news:
				if !strings.Contains(n.text, w) {
					t.Errorf("%q, want %q", n.text, w)
				}
			default:
				t.Errorf("nothing is told, want %q", w)
			}
		}
		if len(p.news) > 0 {
			t.Errorf("told as well: %q", (<-p.news).text)
		}
	}
	looks()
	certify(t, cert, key)
	looks("new certificate: The certificate " + cert)
	other := filepath.Join(t.TempDir(), "key")
	certify(t, filepath.Join(t.TempDir(), "cert"), other)
	if err := os.Rename(other, key); err != nil {
		t.Fatal(err)
	}
	looks()
	looks("does not belong to the certificate " + cert)
	looks()
	certify(t, cert, key)
	looks("new certificate")
}

// certify writes a new certificate and its key over those that are there.
func certify(t *testing.T, cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
