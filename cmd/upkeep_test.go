//go:build !windows

package cmd_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// certify writes a new certificate and its key over those that are there.
func certify(t *testing.T, cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour), DNSNames: []string{"localhost"}}
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

// service is a coordinator as systemd runs one.
type service struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string // of its console
	told  chan string // to systemd
}

// serviced starts a coordinator with a socket to systemd; with before, through a shell that
// does that first.
func serviced(t *testing.T, before string, args ...string) *service {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "notify")
	listener, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	s := &service{t: t, lines: make(chan string, 1000), told: make(chan string, 100)}
	s.cmd = exec.Command("sh", append([]string{"-c", before + `; exec chatcoord "$@"`, "sh"}, args...)...)
	s.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket)
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stderr = io.Discard
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			s.lines <- lines.Text()
		}
		close(s.lines)
	}()
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		buf := make([]byte, 4096)
		for {
			n, err := listener.Read(buf)
			if err != nil {
				return
			}
			s.told <- string(buf[:n])
		}
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-read
		_ = s.cmd.Wait()
		listener.Close()
		<-heard
	})
	return s
}

func (s *service) await(from chan string, want string) string {
	s.t.Helper()
	late := time.After(30 * time.Second)
	for {
		select {
		case line, ok := <-from:
			if !ok {
				s.t.Fatalf("ended before %q", want)
			}
			if strings.Contains(line, want) {
				return line
			}
		case <-late:
			s.t.Fatalf("never said %q", want)
		}
	}
}

func (s *service) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// A hang-up reloads; systemd hears of that, and of the beginning and the end.
func TestHangUpReloads(t *testing.T) {
	dir := t.TempDir()
	cert, key, log := filepath.Join(dir, "cert"), filepath.Join(dir, "key"), filepath.Join(dir, "log")
	certify(t, cert, key)
	s := serviced(t, ":", "--listen", "127.0.0.1:0", "--data-dir", filepath.Join(dir, "data"), "--tls-cert", cert, "--tls-key", key, "--log-file", log)
	if got := s.await(s.told, ""); got != "READY=1" {
		t.Errorf("the first word is %q", got)
	}
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	certify(t, cert, key)
	s.signal(syscall.SIGHUP)
	if got := s.await(s.told, ""); !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") {
		t.Errorf("a reload begins with %q", got)
	}
	if got := s.await(s.told, ""); got != "READY=1" {
		t.Errorf("a reload ends with %q", got)
	}
	s.await(s.lines, "reloaded: log file "+log+" opened again")
	s.await(s.lines, "reloaded: The certificate "+cert+" is good until 20")
	s.await(s.lines, "Put a new one in its place") // less than 14 days
	text, err := os.ReadFile(log)
	if err != nil || !strings.Contains(string(text), "Put a new one in its place") {
		t.Errorf("the new log file: %s%v", text, err)
	}
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGHUP)
	s.await(s.lines, "Make it yours alone: chmod 600 "+key+". The former certificate stays in use.")
	s.signal(syscall.SIGTERM)
	s.await(s.told, "STOPPING=1")
}

// A hang-up that is ignored, as nohup does, stays ignored.
func TestHangUpIgnored(t *testing.T) {
	s := serviced(t, `trap "" HUP`, "--ephemeral", "--listen", "127.0.0.1:0")
	s.await(s.told, "READY=1")
	s.signal(syscall.SIGHUP)
	s.signal(syscall.SIGTERM)
	if got := s.await(s.told, ""); got != "STOPPING=1" {
		t.Errorf("after the signals: %q", got)
	}
	for line := range s.lines {
		if strings.Contains(line, "reload") {
			t.Error(line)
		}
	}
	if err := s.cmd.Wait(); err != nil {
		t.Error(err)
	}
}
