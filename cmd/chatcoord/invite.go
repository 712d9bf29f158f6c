package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"natter/broker"
	"natter/broker/rpc"
	"natter/chat"
	"natter/internal/flags"
	"natter/internal/secure"
	"natter/internal/setup"
	"natter/presence/account"
)

// inviteFlags are those of invite alone.
type inviteFlags struct {
	uses    flags.Count
	ttl     flags.Duration
	address string
}

// inviteVerb prints a link with which new users come in.
func (p *program) inviteVerb() *cobra.Command {
	f := inviteFlags{
		uses: flags.Count{N: 1, Least: 1, Most: chat.MaxUses},
		ttl:  flags.Duration{D: chat.PassTTL, Least: time.Second},
	}
	return p.command(verb{
		use: "invite", short: "print a link for new users",
		flags: asking(),
		own: func(fs *pflag.FlagSet) {
			fs.Var(&f.uses, "uses", "how many new users may use it")
			fs.Var(&f.ttl, "ttl", "how long it is good")
			fs.StringVar(&f.address, "address", "", "how they reach the server: `HOST[:PORT]` (default that of --server)")
		},
		run: func(ctx context.Context, _ []string) error { return p.invite(ctx, f) },
	})
}

// invitation is what invite --json prints.
type invitation struct {
	Link    string    `json:"link"`
	Server  string    `json:"server"`
	Pass    string    `json:"pass"`
	CA      string    `json:"ca,omitempty"`
	Uses    int       `json:"uses"`
	Expires time.Time `json:"expires"`
}

func (p *program) invite(ctx context.Context, f inviteFlags) error {
	if f.ttl.D > account.MaxPassTTL {
		return flags.Usagef("--ttl: %s is more than a year", f.ttl.D)
	}
	link, err := p.linkTo(f.address)
	if err != nil {
		return err
	}
	if err := p.recognized(&link); err != nil {
		return err
	}
	reply, err := order(ctx, p, chat.AdminPass, chat.PassRequest{Uses: f.uses.N, For: f.ttl.D}, rpc.Call)
	if err != nil {
		return err
	}
	link.Pass = reply.Pass
	if p.json {
		_ = p.printJSON(invitation{link.String(), link.URL(), link.Pass, link.CA, reply.Uses, reply.Expires}) // p.out knows
	} else {
		fmt.Fprintln(p.out, link)
	}
	switch {
	case p.out.Err() != nil:
		return p.takeBack(ctx, reply)
	case !p.json:
		p.explain(link, reply)
	}
	return nil
}

// takeBack revokes a pass whose link could not be written.
func (p *program) takeBack(ctx context.Context, made chat.PassReply) error {
	if _, err := order(ctx, p, chat.AdminUnpass, chat.UnpassRequest{ID: chat.PassID(made.Pass)}, rpc.Call); err != nil {
		return fmt.Errorf("the link was made and could not be taken back; it stays good until %s: %w", when(made.Expires), err)
	}
	fmt.Fprintln(p.err, "* The link was taken back; it lets nobody in.")
	return nil
}

// explain explains the link on a terminal.
func (p *program) explain(link chat.Link, reply chat.PassReply) {
	who := "one new user"
	if reply.Uses > 1 {
		who = fmt.Sprintf("%d new users", reply.Uses)
	}
	fmt.Fprintf(p.err, "* Good for %s until %s. Whoever has it can use it: send it over a channel that you trust.\n", who, when(reply.Expires))
	fmt.Fprintln(p.err, "* What to do with it: chatcli join 'LINK' (in quotes, or the shell takes it apart)")
	switch {
	case secure.OnLoopback(link.Server):
		fmt.Fprintln(p.err, "! It leads to this computer, and works nowhere else. For others: --address HOST, as they reach it.")
	case link.CA == "" && !link.TLS:
		fmt.Fprintln(p.err, "! The server speaks plain text, so joining needs --insecure; chatcoord --tls auto would encrypt.")
	}
}

// linkTo returns a link to the server, or to its public address.
func (p *program) linkTo(address string) (chat.Link, error) {
	first, _, _ := strings.Cut(p.server, ",")
	if first = strings.TrimSpace(first); !strings.Contains(first, "://") {
		first = "nats://" + first // as the NATS library does
	}
	u, err := url.Parse(first)
	if err != nil || u.Hostname() == "" {
		return chat.Link{}, flags.Usagef("--server %s is not the URL of a server, for example nats://127.0.0.1:4222", broker.Redact(first))
	}
	host, port := u.Hostname(), u.Port()
	if address != "" {
		host = strings.Trim(address, "[]")
		if h, p, err := net.SplitHostPort(address); err == nil {
			host, port = h, p
		}
	}
	if port == "" {
		port = "4222"
	}
	l, err := chat.ParseLink(chat.Link{Server: net.JoinHostPort(host, port)}.String())
	switch {
	case err == chat.ErrNowhere:
		return l, flags.Usagef("%s is where a server listens, and nobody reaches it there; name it as others do: --address HOST", host)
	case err != nil:
		return l, flags.Usagef("--address: %q is not HOST or HOST:PORT", address)
	}
	return l, nil
}

// recognized adds to a link how clients recognize the server, and the credentials of the lobby if it
// needs them.
func (p *program) recognized(l *chat.Link) error {
	nc, err := p.lobby("")
	if errors.Is(err, nats.ErrAuthorization) && p.keys != "" {
		keys, failed := setup.Open(p.keys)
		if failed != nil {
			return failed
		}
		l.Creds = keys.Sentinel
		nc, err = p.lobby(l.Creds)
	}
	if unsafe := secure.Explain(broker.Redact(p.server), "", err); unsafe != nil {
		return unsafe
	}
	if errors.Is(err, nats.ErrAuthorization) {
		return chat.Errorf(chat.Denied, "%s lets nobody in without credentials, and there is no sentinel.jwt; --keys names the directory of chatcoord init", broker.Redact(p.server))
	}
	if err != nil {
		return chat.Errorf(chat.NotConnected, "cannot reach %s: is a coordinator running there? --server names another place", broker.Redact(p.server))
	}
	defer nc.Close()
	if state, err := nc.TLSConnectionState(); err == nil {
		host, _, _ := net.SplitHostPort(l.Server)
		l.CA, l.TLS = p.trustIn(state.PeerCertificates, host)
	}
	return nil
}

// lobby connects as a client without a name.
func (p *program) lobby(sentinel string) (*nats.Conn, error) {
	options, err := p.secured()
	if err != nil {
		return nil, err
	}
	options = append(options, nats.CustomInboxPrefix(chat.LobbyInbox), nats.MaxReconnects(0))
	if sentinel != "" {
		options = append(options, nats.UserJWT(func() (string, error) { return sentinel, nil }, func([]byte) ([]byte, error) { return nil, nil }))
	}
	return broker.Connect(context.Background(), p.server, broker.CoordinatorName, options...)
}

// trustIn returns how clients verify the server's certificates: by its own CA, by the system's CAs, or
// else by the certificate itself, until it is replaced.
func (p *program) trustIn(chain []*x509.Certificate, host string) (pin string, system bool) {
	for _, own := range []string{p.tlsCA, secure.PinOf(p.dataDir)} {
		for _, c := range chain {
			if fingerprint := chat.Fingerprint(c.Raw); own == secure.Pin+fingerprint {
				return fingerprint, false
			}
		}
	}
	others := x509.NewCertPool()
	for _, c := range chain {
		others.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{DNSName: host, Intermediates: others}); err == nil {
		return "", true
	}
	return chat.Fingerprint(chain[0].Raw), false
}
