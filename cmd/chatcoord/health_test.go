package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"natter/internal/flags"
)

func TestHealth(t *testing.T) {
	pages := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/readyz":
			io.WriteString(w, "The coordinator serves.\n")
		case "/moved":
			http.Redirect(w, r, "/readyz", http.StatusFound)
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, "not \x1b[31mnow")
		}
	}))
	defer pages.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for _, test := range []struct {
		page string
		want int
		says string
	}{
		{pages.URL + "/readyz", 0, "The coordinator serves.\n"},
		{pages.URL + "/", flags.ExitFailure, "not now\n"},
		{pages.URL + "/moved", flags.ExitFailure, ""},
		{gone.URL, flags.ExitUnreachable, ""},
		{"readyz", flags.ExitUsage, ""},
		{"file:///etc/passwd", flags.ExitUsage, ""},
		{"http://me:secret@127.0.0.1/", flags.ExitUsage, ""},
	} {
		var out, err bytes.Buffer
		got := run([]string{"health", test.page}, &out, &err)
		if got != test.want || test.says != "" && out.String() != test.says || (err.Len() == 0) != (got == 0) {
			t.Errorf("%s: exit code %d, want %d\n%s%s", test.page, got, test.want, &out, &err)
		}
	}
	if got := run([]string{"health"}, io.Discard, io.Discard); got != flags.ExitUsage {
		t.Errorf("without a page: exit code %d", got)
	}
}
