package embedded

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// What others do wrong is not shown where only warnings and errors are.
func TestErrorsOfOthers(t *testing.T) {
	var shown bytes.Buffer
	l := newLogger(slog.New(slog.NewTextHandler(&shown, &slog.HandlerOptions{Level: slog.LevelWarn})), nil)
	l.Errorf("%s - TLS handshake error: %v", "127.0.0.1:1", "EOF")
	l.Errorf("127.0.0.1:1 - cid:1 - authentication error")
	l.Warnf("Account fetch failed: %v", "account missing")
	if shown.Len() > 0 {
		t.Errorf("shown:\n%s", &shown)
	}
	l.Errorf("write failed")
	l.Warnf("slow")
	if strings.Count(shown.String(), "\n") != 2 {
		t.Errorf("shown:\n%s", &shown)
	}
}
