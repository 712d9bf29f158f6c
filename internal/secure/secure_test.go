package secure_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"natter/broker"
	"natter/broker/brokertest"
	"natter/broker/embedded"
	"natter/chat"
	"natter/internal/private"
	"natter/internal/secure"
)

// pair is a certificate with its key.
type pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// make signs a certificate; with the zero pair it signs itself.
func (by pair) make(t *testing.T, change func(*x509.Certificate)) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	change(template)
	if by.cert == nil {
		by = pair{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return pair{cert, key}
}

func ca(t *testing.T) pair {
	return pair{}.make(t, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
	})
}

func (p pair) pin() string { return secure.Pin + chat.Fingerprint(p.cert.Raw) }

// files writes the certificate and its key.
func (p pair) files(t *testing.T) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	der, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw}), 0o644)
	write(t, key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	return cert, key
}

func write(t *testing.T, path string, text []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, text, mode); err != nil {
		t.Fatal(err)
	}
}

// serve runs a server that shows certificates, the first of which is its own.
func serve(t *testing.T, own pair, more ...pair) string {
	t.Helper()
	shown := tls.Certificate{Certificate: [][]byte{own.cert.Raw}, PrivateKey: own.key}
	for _, p := range more {
		shown.Certificate = append(shown.Certificate, p.cert.Raw)
	}
	return serveTLS(t, &tls.Config{Certificates: []tls.Certificate{shown}})
}

func serveTLS(t *testing.T, cfg *tls.Config) string {
	t.Helper()
	return brokertest.RunConfig(t, embedded.Config{TLS: func(string) (*tls.Config, error) { return cfg, nil }}).URL()
}

// reach connects, and returns the sentence if that is not safe.
func reach(t *testing.T, cfg secure.Config) string {
	t.Helper()
	options, err := cfg.Options()
	if err != nil {
		return err.Error()
	}
	nc, err := broker.Connect(t.Context(), cfg.URLs, t.Name(), options...)
	if err == nil {
		nc.Close()
		return ""
	}
	told := secure.Explain("SERVER", "Ask", err)
	if told == nil {
		t.Fatalf("no sentence for %v", err)
	}
	if !errors.Is(told, secure.ErrUnsafe) || !errors.As(told, new(*chat.Error)) {
		t.Errorf("%v is not what it should be", told)
	}
	return told.Error()
}

func TestWhoIsTrusted(t *testing.T) {
	mine, other := ca(t), ca(t)
	same := func(*x509.Certificate) {}
	good := mine.make(t, same)
	elsewhere := mine.make(t, func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"chat.example"} })
	old := mine.make(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	early := mine.make(t, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })
	client := mine.make(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	alone := pair{}.make(t, same)
	mineFile, _ := mine.files(t)
	otherFile, _ := other.files(t)

	normal, named := serve(t, good, mine), serve(t, elsewhere, mine)
	const wrong, unknown, clock = "not the one in the link; somebody may be in between. Nothing was sent.", "is not known here. Nothing was sent. Ask, or name its CA: --tls-ca FILE", "Check this machine's clock: it says 20"
	for name, row := range map[string]struct {
		url, ca, want string
	}{
		"the pinned CA":                           {normal, mine.pin(), ""},
		"the pinned CA, whatever the host":        {named, mine.pin(), ""},
		"the pinned certificate itself":           {normal, good.pin(), ""},
		"a pinned one that nobody signed":         {serve(t, alone), alone.pin(), ""},
		"the CA in a file":                        {normal, mineFile, ""},
		"the CA in a file, another host":          {named, mineFile, "is another one's: it is for chat.example. Nothing was sent."},
		"another pin":                             {normal, other.pin(), wrong},
		"another CA that shows the pinned one":    {serve(t, other.make(t, same), mine), mine.pin(), wrong},
		"the same, and its own":                   {serve(t, other.make(t, same), mine, other), mine.pin(), wrong},
		"the pinned CA is not shown":              {serve(t, good), mine.pin(), wrong},
		"signed by the pinned, but for no server": {serve(t, client, mine), mine.pin(), wrong},
		"signed by one that is no CA":             {serve(t, good.make(t, same), good, mine), mine.pin(), wrong},
		"another CA in a file":                    {normal, otherFile, unknown},
		"nothing is said":                         {normal, "", unknown},
		"expired, pinned":                         {serve(t, old, mine), mine.pin(), clock},
		"expired, by file":                        {serve(t, old, mine), mineFile, clock},
		"not yet":                                 {serve(t, early, mine), mine.pin(), "is good only from "},
		"not yet, the clock":                      {serve(t, early, mine), mine.pin(), clock},
	} {
		for _, scheme := range []string{"tls://", "nats://"} {
			url := strings.Replace(row.url, "tls://", scheme, 1)
			if got := reach(t, secure.Config{URLs: url, CA: row.ca}); (got == "") != (row.want == "") || !strings.Contains(got, row.want) {
				t.Errorf("%s by %s: %q, want %q", name, scheme, got, row.want)
			}
		}
	}
}

// Who was told that a server encrypts talks to no other one, and off loopback nobody says
// anything in plain text unless that is allowed.
func TestPlainText(t *testing.T) {
	mine := ca(t)
	plain := brokertest.Run(t).URL()
	const none = "SERVER offers no TLS, and it should. Nothing was sent."
	for name, row := range map[string]struct {
		cfg  secure.Config
		want string
	}{
		"on loopback":                {secure.Config{URLs: plain}, ""},
		"tls://":                     {secure.Config{URLs: strings.Replace(plain, "nats://", "tls://", 1)}, none},
		"a pin":                      {secure.Config{URLs: plain, CA: mine.pin()}, none},
		"a pin, allowed":             {secure.Config{URLs: plain, CA: mine.pin(), Insecure: true}, none},
		"one that is known only":     {secure.Config{URLs: plain, Known: mine.pin()}, ""},
		"none of those, to a TLS":    {secure.Config{URLs: serve(t, mine.make(t, func(*x509.Certificate) {}), mine), Known: ca(t).pin()}, "not the one in the link"},
		"TLS 1.2 is not good enough": {secure.Config{URLs: tls12(t, mine), CA: mine.pin()}, "do not agree on TLS 1.3"},
	} {
		if got := reach(t, row.cfg); (got == "") != (row.want == "") || !strings.Contains(got, row.want) {
			t.Errorf("%s: %q, want %q", name, got, row.want)
		}
	}
}

func tls12(t *testing.T, by pair) string {
	own := by.make(t, func(*x509.Certificate) {})
	return serveTLS(t, &tls.Config{MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{
		{Certificate: [][]byte{own.cert.Raw, by.cert.Raw}, PrivateKey: own.key},
	}})
}

func TestOffLoopback(t *testing.T) {
	host := ""
	all, _ := net.InterfaceAddrs()
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			host = n.IP.String()
		}
	}
	if host == "" {
		t.Skip("this machine has no address but loopback")
	}
	plain := brokertest.RunConfig(t, embedded.Config{Listen: host + ":0"}).URL()
	if got := reach(t, secure.Config{URLs: plain}); !strings.HasPrefix(got, "SERVER speaks plain text, which can be read and changed on the way. Nothing was sent. Ask, or allow plain text: --insecure") {
		t.Errorf("plain text: %q", got)
	}
	if got := reach(t, secure.Config{URLs: plain, Insecure: true}); got != "" {
		t.Errorf("plain text that is allowed: %q", got)
	}
	mine := ca(t)
	own := mine.make(t, func(*x509.Certificate) {})
	encrypted := brokertest.RunConfig(t, embedded.Config{Listen: host + ":0", TLS: func(string) (*tls.Config, error) {
		return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{own.cert.Raw, mine.cert.Raw}, PrivateKey: own.key}}}, nil
	}}).URL()
	// The server asks for TLS by itself.
	if got := reach(t, secure.Config{URLs: strings.Replace(encrypted, "tls://", "nats://", 1), Known: mine.pin()}); got != "" {
		t.Errorf("TLS that only the server wants: %q", got)
	}
}

// A server may want to see a certificate of the client.
func TestClientCertificates(t *testing.T) {
	mine := ca(t)
	own := mine.make(t, func(*x509.Certificate) {})
	pool := x509.NewCertPool()
	pool.AddCert(mine.cert)
	url := serveTLS(t, &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, Certificates: []tls.Certificate{
		{Certificate: [][]byte{own.cert.Raw, mine.cert.Raw}, PrivateKey: own.key},
	}})
	cert, key := mine.make(t, func(*x509.Certificate) {}).files(t)
	if got := reach(t, secure.Config{URLs: url, CA: mine.pin(), Cert: cert, Key: key}); got != "" {
		t.Error(got)
	}
	if got := reach(t, secure.Config{URLs: url, CA: mine.pin()}); !strings.HasPrefix(got, "SERVER ended the connection; it may want to see another certificate of yours, or one at all: --tls-cert FILE") {
		t.Error(got)
	}
}

func TestFiles(t *testing.T) {
	mine := ca(t)
	cert, key := mine.make(t, func(*x509.Certificate) {}).files(t)
	otherCert, otherKey := mine.make(t, func(*x509.Certificate) {}).files(t)
	oldCert, oldKey := mine.make(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }).files(t)
	_, wide := mine.files(t)
	if err := os.Chmod(wide, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := secure.Files(cert, key); err != nil {
		t.Error(err)
	}
	for _, row := range []struct{ cert, key, want string }{
		{cert, otherKey, "The key " + otherKey + " does not belong to the certificate " + cert},
		{otherCert, key, "does not belong"},
		{oldCert, oldKey, "Check this machine's clock: it says 20"},
		{cert, cert, "Others can read the key"},
		{key, key, "The file " + key + " holds no certificate in PEM."},
		{cert, "", "--tls-cert and --tls-key belong together."},
		{"", key, "--tls-cert and --tls-key belong together."},
		{cert, wide, "chmod 600 " + wide},
		{cert, "/nowhere/key", "Cannot read the key /nowhere/key: "},
		{"/nowhere/cert", key, "The certificate /nowhere/cert cannot be read: "},
	} {
		if runtime.GOOS == "windows" && (row.key == wide || strings.Contains(row.want, "Others")) {
			continue
		}
		if _, err := secure.Files(row.cert, row.key); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%+v: %v", row, err)
		}
	}
	for _, ca := range []string{"sha256:x", "sha256:", "/nowhere", key} {
		if _, err := (secure.Config{URLs: "tls://h", CA: ca}).Options(); !errors.Is(err, &chat.Error{Code: chat.Arguments}) {
			t.Errorf("--tls-ca %s: %v", ca, err)
		}
	}
}

// A CA of one's own is made once, signs anew each time, and is never replaced.
func TestAuto(t *testing.T) {
	data := t.TempDir()
	if pin := secure.PinOf(data); pin != "" {
		t.Error("a pin of nothing:", pin)
	}
	run := func() string {
		return brokertest.RunConfig(t, embedded.Config{TLS: func(string) (*tls.Config, error) {
			own, err := secure.Auto(data, "chat.example")
			if err != nil {
				return nil, err
			}
			return own.Config(), nil
		}}).URL()
	}
	url, pin := run(), secure.PinOf(data)
	for range 2 {
		if got := reach(t, secure.Config{URLs: url, CA: pin}); got != "" {
			t.Error("by its pin:", got)
		}
		if got := reach(t, secure.Config{URLs: url, CA: secure.CAFile(data)}); got != "" {
			t.Error("by its file:", got)
		}
		url = run()
	}
	if again := secure.PinOf(data); again != pin {
		t.Error("another CA at the second start")
	}
	for _, name := range []string{"ca.key", "ca.crt"} {
		path := filepath.Join(data, "tls", name)
		info, err := os.Stat(path)
		if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, damage := range [][]byte{nil, good[:len(good)/2], []byte("hello")} {
			write(t, path, damage, 0o600)
			if _, err := secure.Auto(data, ""); !errors.Is(err, private.ErrFile) {
				t.Errorf("%s is damaged: %v", name, err)
			}
			if now, err := os.ReadFile(path); err != nil || string(now) != string(damage) {
				t.Errorf("%s is no longer as it was: %v", name, err)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if _, err := secure.Auto(data, ""); !errors.Is(err, private.ErrFile) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s is missing: %v", name, err)
		}
		write(t, path, good, 0o600)
	}
}

func TestOnLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"nats://127.0.0.1:4222": true, "tls://localhost": true, "nats://[::1]:1": true, "127.0.0.9:1": true, "localhost": true,
		"nats://10.0.0.1": false, "0.0.0.0:1": false, "localhost.example:1": false, "": false, "nats://127.0.0.1.example": false,
	} {
		if got := secure.OnLoopback(address); got != want {
			t.Errorf("%q: %v", address, got)
		}
	}
}

// A certificate that was made while the clock was wrong is not kept when it is right.
func TestACertificateIsMadeAnew(t *testing.T) {
	made := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for later, want := range map[time.Duration]bool{
		0: true, time.Hour: true, 100 * day: true, 200 * day: false, 56 * 365 * day: false,
		-time.Hour: true, -2 * day: false, -10 * 365 * day: false,
	} {
		if got := secure.Current(made, made.Add(later)); got != want {
			t.Errorf("kept %s later: %v", later, got)
		}
	}
}
