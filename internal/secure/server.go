package secure

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"natter/chat"
	"natter/internal/private"
)

// What a CA of our own and its certificates are good for. They begin early, because the
// clocks of two machines differ, and a CA long ago, because ours may have been wrong when it
// was made.
const (
	caFor    = 10 * 365 * 24 * time.Hour
	caEarly  = caFor
	certFor  = 365 * 24 * time.Hour
	renewAt  = certFor / 2
	early    = 2 * 24 * time.Hour
	caDir    = "tls"
	caFile   = "ca.crt"
	caKey    = "ca.key"
	pemBlock = "CERTIFICATE"
)

// good says that a certificate is not good today, which it may be if the clock is wrong.
func good(file string, c *x509.Certificate, now time.Time) error {
	if !now.Before(c.NotBefore) && !now.After(c.NotAfter) {
		return nil
	}
	return chat.Errorf(chat.Arguments, "The certificate %s is good from %s to %s only. Check this machine's clock: it says %s.",
		file, c.NotBefore.Local().Format(moment), c.NotAfter.Local().Format(moment), now.Format(moment))
}

// readPair reads a certificate, and its key that nobody else may read.
func readPair(cert, key string) (tls.Certificate, error) {
	if cert == "" || key == "" {
		return tls.Certificate{}, chat.Errorf(chat.Arguments, "--tls-cert and --tls-key belong together.")
	}
	secret, err := private.Read("key", key, private.Small)
	if err != nil {
		return tls.Certificate{}, err
	}
	text, err := os.ReadFile(cert)
	if err != nil {
		return tls.Certificate{}, chat.Errorf(chat.Arguments, "The certificate %s cannot be read: %v.", cert, private.Cause(err))
	}
	text, secret = private.Unmark(text), private.Unmark(secret)
	if block, _ := pem.Decode(text); block == nil || block.Type != pemBlock {
		return tls.Certificate{}, chat.Errorf(chat.Arguments, "The file %s holds no certificate in PEM.", cert)
	}
	if block, _ := pem.Decode(secret); block == nil || block.Type == pemBlock {
		return tls.Certificate{}, chat.Errorf(chat.Arguments, "The file %s holds no key in PEM.", key)
	}
	pair, err := tls.X509KeyPair(text, secret)
	if err != nil {
		return tls.Certificate{}, chat.Errorf(chat.Arguments, "The key %s does not belong to the certificate %s, or one of them is damaged.", key, cert)
	}
	return pair, nil
}

// CAFile is where Auto keeps the certificate of its CA, which is no secret.
func CAFile(dataDir string) string { return filepath.Join(dataDir, caDir, caFile) }

// Auto is the certificate of a server with a CA of its own, which is made once and kept in
// the data directory. The certificate is made anew at each start, and half a year later,
// for this machine's names and addresses and for host; the CA is sent with it, so that
// whoever has its fingerprint can check it. The CA is never renewed: links name it.
func Auto(dataDir, host string) (*Certificate, error) {
	dir := filepath.Join(dataDir, caDir)
	ca, err := loadCA(dir)
	if err != nil {
		return nil, err
	}
	var made time.Time // by the wall clock
	c := &Certificate{
		what: "The CA " + CAFile(dataDir), // ends first: see Status
		todo: "Links and guests know the server by it: stop chatcoord, remove " + dir + ", start it again, and give out new links",
		load: func(have *tls.Certificate, now time.Time) (*tls.Certificate, error) {
			now = now.Round(0)
			if have != nil && current(made, now) {
				return have, nil
			}
			next, err := issue(ca, host, now)
			if err == nil {
				made = now
			}
			return next, err
		},
		self: true,
	}
	if _, err := c.Renew(time.Now()); err != nil {
		return nil, err
	}
	c.ends = ca.Leaf.NotAfter
	return c, nil
}

// CheckCA says that the CA which Auto has made is not good today: then nobody's program takes
// the server's certificate. That is no reason not to start, because the clock may be set soon.
func CheckCA(dataDir string) error {
	ca, err := loadCA(filepath.Join(dataDir, caDir))
	if err != nil {
		return err
	}
	return good(CAFile(dataDir), ca.Leaf, time.Now())
}

// current reports whether a certificate need not be made anew. If the clock was set, it may
// have expired since, or be good only from later on.
func current(made, now time.Time) bool {
	age := now.Sub(made)
	return age < renewAt && age > -early/2
}

// loadCA reads the CA of a directory, or makes one if there is no directory. A CA is never
// replaced: the links that were given out name it.
func loadCA(dir string) (tls.Certificate, error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := makeCA(dir, time.Now()); err != nil {
			return tls.Certificate{}, err
		}
	}
	if err := private.CheckDir(dir); err != nil {
		return tls.Certificate{}, err
	}
	cert, key := filepath.Join(dir, caFile), filepath.Join(dir, caKey)
	for _, file := range []string{cert, key} {
		if _, err := os.Stat(file); err != nil {
			return tls.Certificate{}, private.Errorf(private.ErrFile, "Cannot use %s: %v. The links that were given out belong to it: bring it back, or remove %s and give out new links.", file, private.Cause(err), dir)
		}
	}
	ca, err := readPair(cert, key)
	if told := (*chat.Error)(nil); errors.As(err, &told) {
		return ca, private.Errorf(private.ErrFile, "%s Bring the right one back, or remove %s and give out new links.", chat.Sentence(told.Text), dir)
	}
	if err == nil && !ca.Leaf.IsCA {
		return ca, private.Errorf(private.ErrFile, "The file %s is damaged: it is no CA. Bring the right one back.", cert)
	}
	return ca, err
}

// makeCA makes a directory with a CA, whole or not at all.
func makeCA(dir string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the key of the CA: %w", err)
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "natter"}, NotBefore: now.Add(-caEarly), NotAfter: now.Add(caFor),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := sign(template, template, key.Public(), key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("make the key of the CA: %w", err)
	}
	unfinished := dir + ".new" // of a start that was cut off
	if err := os.RemoveAll(unfinished); err != nil {
		return private.Errorf(private.ErrFile, "Cannot remove %s: %v.", unfinished, private.Cause(err))
	}
	err = private.Dir(unfinished)
	if err == nil {
		err = private.Write(filepath.Join(unfinished, caKey), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	}
	if err == nil {
		err = private.Write(filepath.Join(unfinished, caFile), pem.EncodeToMemory(&pem.Block{Type: pemBlock, Bytes: der}))
	}
	if err != nil {
		return err
	}
	if err := os.Rename(unfinished, dir); err != nil {
		return private.Errorf(private.ErrFile, "Cannot make %s: %v.", dir, private.Cause(err))
	}
	return nil
}

// issue makes a certificate for this machine, and for host.
func issue(ca tls.Certificate, host string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the server's key: %w", err)
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "chatcoord"}, NotBefore: now.Add(-early), NotAfter: now.Add(certFor),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"},
	}
	if ip := net.ParseIP(host); ip == nil && host != "" && host != "localhost" {
		template.DNSNames = append(template.DNSNames, host)
	}
	if own, err := os.Hostname(); err == nil {
		template.DNSNames = append(template.DNSNames, own)
	}
	addresses, _ := net.InterfaceAddrs() // none is no harm: whoever has the fingerprint looks at no name
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok {
			template.IPAddresses = append(template.IPAddresses, n.IP)
		}
	}
	if template.NotAfter.After(ca.Leaf.NotAfter) {
		template.NotAfter = ca.Leaf.NotAfter
	}
	der, err := sign(template, ca.Leaf, key.Public(), ca.PrivateKey)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der, ca.Leaf.Raw}, PrivateKey: key}, nil
}

func sign(template, issuer *x509.Certificate, public, key crypto.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, public, key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return der, nil
}

// PinOf is the CA that Auto has made in a data directory, as Config.CA wants it; "" if
// there is none.
func PinOf(dataDir string) string {
	if dataDir == "" {
		return ""
	}
	text, err := os.ReadFile(CAFile(dataDir))
	if err != nil {
		return ""
	}
	if block, _ := pem.Decode(private.Unmark(text)); block != nil && block.Type == pemBlock {
		return Pin + chat.Fingerprint(block.Bytes)
	}
	return ""
}
