package external_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"natter/chat"
	"natter/client"
	"natter/internal/chattest"
	"natter/internal/secure"
)

// certificate writes a certificate that nobody else has signed, and its key.
func certificate(t *testing.T) (cert, key, fingerprint string) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, secret.Public(), secret)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(t, cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	return cert, key, chat.Fingerprint(der)
}

// TestTLS uses NATS servers that encrypt and that let nobody in who brings nothing: a link
// has all that a guest needs.
func TestTLS(t *testing.T) {
	t.Parallel()
	cert, key, fingerprint := certificate(t)
	in := plan(t, 1)
	in.change("accounts.conf", "\ndefault_sentinel:", "\n#")
	in.change("nats.conf", "\njetstream:", fmt.Sprintf("\ntls: { cert_file: %q, key_file: %q }\njetstream:", cert, key))
	in.run()

	text, code := verb(t, "--server", in.urls, "--keys", in.dir)
	if code != 4 || !strings.Contains(text, "is not known here. Nothing was sent. Name its CA: --tls-ca FILE") {
		t.Errorf("a coordinator that does not know the certificate: exit code %d\n%s", code, text)
	}
	text, code = verb(t, "doctor", "--server", in.urls, "--keys", in.dir)
	if code != 1 || !strings.Contains(text, "FAIL  TLS: ") {
		t.Errorf("doctor: exit code %d\n%s", code, text)
	}
	if text, code := verb(t, "doctor", "--server", in.urls, "--keys", in.dir, "--tls-ca", cert); code != 0 {
		t.Errorf("doctor with the CA: exit code %d\n%s", code, text)
	}
	in.coordinator("--tls-ca", cert, "--join", "invited")
	text, code = verb(t, "invite", "--server", in.urls, "--keys", in.dir, "--tls-ca", cert)
	first, _, _ := strings.Cut(text, "\n")
	link, err := chat.ParseLink(first)
	if err != nil || code != 0 || link.CA != fingerprint || link.Creds == "" || link.Pass == "" {
		t.Fatalf("invite: exit code %d, %v\n%s", code, err, text)
	}
	options, err := secure.Config{URLs: link.URL(), CA: secure.Pin + link.CA}.Options()
	if err != nil {
		t.Fatal(err)
	}
	alice := chattest.Dial(t, client.Config{URL: link.URL(), Options: options, Sentinel: link.Creds, Pass: link.Pass}, "alice")
	if users, err := alice.List(t.Context()); err != nil || len(users) != 0 {
		t.Errorf("alice sees %v, %v", users, err)
	}
}
