package flags_test

import (
	"testing"

	"natter/internal/flags"
)

func TestNearest(t *testing.T) {
	words := []string{"list", "listen", "log-file", "log-level", "key"}
	for word, want := range map[string]string{
		"lsit": "list", "lst": "list", "lo-file": "log-file", "log-levle": "log-level",
		"kye": "key", "xyz": "", "q": "", "": "",
	} {
		if got := flags.Nearest(word, words); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for value, want := range map[string]string{
		"16384": "16KB", "16KB": "16KB", "1mb": "1MB", "300B": "300B",
		"":   `"" is not a size: a number and B, KB, MB or GB, for example 16KB`,
		"x":  `"x" is not a size: a number and B, KB, MB or GB, for example 16KB`,
		"-1": "-1 is not between 256B and 1MB", "2MB": "2MB is not between 256B and 1MB",
		"9223372036854775807GB": "9223372036854775807GB is not between 256B and 1MB",
	} {
		s := flags.Size{Least: 256, Most: 1 << 20}
		got := ""
		if err := s.Set(value); err != nil {
			got = err.Error()
		} else {
			got = s.String()
		}
		if got != want {
			t.Errorf("%q is %q, want %q", value, got, want)
		}
	}
}
