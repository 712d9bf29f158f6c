package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"natter/chat"
	"natter/internal/flags"
)

const (
	healthWait = 5 * time.Second // how long an answer may take
	healthSize = 1 << 20         // how much of it is read
)

// healthVerb requests a page of --http, or of the NATS server's monitoring: a container with nothing
// else in it has no other program for that.
func (p *program) healthVerb() *cobra.Command {
	return p.command(verb{
		use: "health URL", short: "print a page of --http; exit code 0 if all is well",
		least: 1, most: 1, needs: "the URL of one page, for example http://127.0.0.1:8080/readyz",
		run: func(ctx context.Context, args []string) error { return p.health(ctx, args[0]) },
	})
}

// health prints what a page says. Anything but 200 is an error.
func (p *program) health(ctx context.Context, page string) error {
	u, err := url.Parse(page)
	if err != nil || u.Scheme != "http" || u.Host == "" || u.User != nil {
		return flags.Usagef("%q is not the URL of a page; write http://HOST:PORT/PATH", chat.CleanLine(page))
	}
	ctx, cancel := context.WithTimeout(ctx, healthWait)
	defer cancel()
	status, body, err := get(ctx, u)
	if err != nil {
		return chat.Errorf(chat.NotConnected, "%s does not answer: %v", u, err)
	}
	fmt.Fprintln(p.out, strings.TrimSpace(chat.CleanAll(body)))
	if status != http.StatusOK {
		return fmt.Errorf("%s answers %d %s", u, status, http.StatusText(status)) // exit code 1
	}
	return nil
}

// get requests a page without proxies and redirections.
func get(ctx context.Context, u *url.URL) (status int, body string, err error) {
	direct := http.Transport{DisableKeepAlives: true}
	r, err := direct.RoundTrip((&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}}).WithContext(ctx))
	if err != nil {
		return 0, "", err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(io.LimitReader(r.Body, healthSize))
	return r.StatusCode, string(text), err
}
