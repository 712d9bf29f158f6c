package secure_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"natter/broker"
	"natter/broker/brokertest"
	"natter/broker/embedded"
	"natter/chat"
	"natter/internal/secure"
)

// replace puts the files of a pair in the place of others.
func (p pair) replace(t *testing.T, cert, key string) {
	t.Helper()
	from, fromKey := p.files(t)
	for a, b := range map[string]string{from: cert, fromKey: key} {
		if err := os.Rename(a, b); err != nil {
			t.Fatal(err)
		}
	}
}

// A certificate is replaced while the server runs: connections stay open, new ones see the
// new one, and one that is of no use changes nothing.
func TestCertificateIsReplaced(t *testing.T) {
	mine := ca(t)
	same := func(*x509.Certificate) {}
	first, second := mine.make(t, same), mine.make(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(2 * time.Hour) })
	cert, key := first.files(t)
	own, err := secure.Files(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	url := brokertest.RunConfig(t, embedded.Config{TLS: func(string) (*tls.Config, error) { return own.Config(), nil }}).URL()
	sees := func(p pair) {
		t.Helper()
		if got := reach(t, secure.Config{URLs: url, CA: p.pin()}); got != "" {
			t.Error(got)
		}
	}
	options, err := secure.Config{URLs: url, CA: first.pin()}.Options()
	if err != nil {
		t.Fatal(err)
	}
	open, err := broker.Connect(t.Context(), url, t.Name(), options...)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()

	if changed, err := own.Renew(time.Now()); changed || err != nil {
		t.Error("the same:", changed, err)
	}
	second.replace(t, cert, key)
	sees(first) // until it is looked at
	if changed, err := own.Renew(time.Now()); !changed || err != nil {
		t.Error("a new one:", changed, err)
	}
	sees(second)
	if ends := own.Expires(); !ends.Equal(second.cert.NotAfter) {
		t.Error("expires", ends)
	}

	for name, bad := range map[string]func(){
		"expired": func() {
			mine.make(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }).replace(t, cert, key)
		},
		"half of one": func() { write(t, cert, []byte("-----BEGIN"), 0o644) },
		"no key":      func() { _ = os.Remove(key) },
	} {
		bad()
		if changed, err := own.Renew(time.Now()); changed || err == nil {
			t.Errorf("%s: %v, %v", name, changed, err)
		}
		sees(second)
	}
	if !open.IsConnected() || open.Statistics.Reconnects != 0 || open.Flush() != nil {
		t.Error("the connection that was open is not any longer")
	}
}

// A CA or a client's certificate that was replaced counts from the next connection on.
func TestClientFilesAreReadAgain(t *testing.T) {
	one, two := ca(t), ca(t)
	same := func(*x509.Certificate) {}
	url := serve(t, two.make(t, same), two)
	file, key := one.files(t)
	options, err := secure.Config{URLs: url, CA: file}.Options()
	if err != nil {
		t.Fatal(err)
	}
	if nc, err := broker.Connect(t.Context(), url, t.Name(), options...); err == nil {
		nc.Close()
		t.Error("connected with another CA")
	}
	two.replace(t, file, key)
	nc, err := broker.Connect(t.Context(), url, t.Name(), options...)
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()

	guests := x509.NewCertPool()
	guests.AddCert(two.cert)
	own := two.make(t, same)
	picky := serveTLS(t, &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: guests, MinVersion: tls.VersionTLS13,
		Certificates: []tls.Certificate{{Certificate: [][]byte{own.cert.Raw, two.cert.Raw}, PrivateKey: own.key}}})
	cert, certKey := one.make(t, same).files(t)
	if options, err = (secure.Config{URLs: picky, CA: two.pin(), Cert: cert, Key: certKey}).Options(); err != nil {
		t.Fatal(err)
	}
	if nc, err := broker.Connect(t.Context(), picky, t.Name(), options...); err == nil {
		nc.Close()
		t.Error("connected with a certificate of another CA")
	}
	two.make(t, same).replace(t, cert, certKey)
	if nc, err = broker.Connect(t.Context(), picky, t.Name(), options...); err != nil {
		t.Fatal(err)
	}
	nc.Close()
}

func TestCertificateWarnings(t *testing.T) {
	mine := ca(t)
	day := 24 * time.Hour
	ends := time.Now().Add(100 * day).Truncate(time.Second)
	cert, key := mine.make(t, func(c *x509.Certificate) { c.NotAfter = ends }).files(t)
	own, err := secure.Files(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	never := time.Time{}
	for _, row := range []struct {
		now, said time.Time
		want      string
	}{
		{ends.Add(-15 * day), never, ""},
		{ends.Add(-13 * day), never, "The certificate " + cert + " expires on "},
		{ends.Add(-13 * day), ends.Add(-13*day - time.Hour), ""},
		{ends.Add(-12 * day), ends.Add(-13 * day), "expires on "},
		{ends.Add(time.Second), ends.Add(-time.Hour), "expired on "},
		{ends.Add(time.Hour), ends.Add(time.Second), ""},
		{ends.Add(2 * day), ends.Add(time.Second), "new connections fail. Put a new one in its place; it is used without a restart"},
	} {
		if got := own.Warning(row.now, row.said); (got == "") != (row.want == "") || !strings.Contains(got, row.want) {
			t.Errorf("%s before its end, last said %s before: %q, want %q", ends.Sub(row.now), ends.Sub(row.said), got, row.want)
		}
	}
	if got := own.Status(ends.Add(-time.Hour)); !strings.HasPrefix(got, "The certificate "+cert+" is good until 20") {
		t.Error(got)
	}
}

// The CA of --tls auto is what has to be replaced; the certificate renews itself under it.
func TestAutoRenewsItself(t *testing.T) {
	data := t.TempDir()
	own, err := secure.Auto(data, "")
	if err != nil {
		t.Fatal(err)
	}
	leaf := func() string {
		t.Helper()
		c, err := own.Config().GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Certificate) != 2 || "sha256:"+chat.Fingerprint(c.Certificate[1]) != secure.PinOf(data) {
			t.Error("the CA that links name is not shown")
		}
		return string(c.Certificate[0])
	}
	first := leaf()
	if changed, err := own.Renew(time.Now().Add(200 * 24 * time.Hour)); changed || err != nil {
		t.Error(changed, err)
	}
	if leaf() == first {
		t.Error("not renewed after 200 days")
	}
	if left := time.Until(own.Expires()); left < 3640*24*time.Hour {
		t.Errorf("the CA expires in %s", left)
	}
	if got := own.Warning(own.Expires().Add(-time.Hour), time.Time{}); !strings.Contains(got, filepath.Join(data, "tls")+", start it again, and give out new links") {
		t.Error(got)
	}
}
