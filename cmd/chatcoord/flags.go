package main

import (
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/pflag"

	"natter/broker/embedded"
	"natter/chat"
	"natter/internal/coord"
	"natter/internal/flags"
)

// mostRate is the highest rate that makes sense.
const mostRate = 1_000_000

// config is what flags and the environment say.
type config struct {
	listen, dataDir      string
	ephemeral, insecure  bool
	acceptLoss, clockOK  bool
	maxUsers, maxGroup   flags.Count
	inviteTimeout, grace flags.Duration
	nameTTL              flags.Duration
	maxMessage           flags.Size

	rate, rateInvites, rateLists, rateDirect, rateMessages flags.Count

	show, logFormat, logLevel, color flags.Choice
	logFile                          string

	http  string // ADDR, or "" for none
	pprof bool

	tls, join              flags.Choice
	tlsCert, tlsKey, tlsCA string

	server, keys, creds string // of the verbs; server and keys also of an existing NATS
	waitServer          flags.Duration
	json                bool
	reason              string         // of what the operator does
	banFor              flags.Duration // 0: until it is taken back

	completion           flags.Choice
	printConfig, version bool

	flags *pflag.FlagSet
}

// register makes the flags. Help is written by hand, in groups: see usage.
func (c *config) register(fs *pflag.FlagSet) {
	c.flags = fs
	rules := coord.Defaults().Rules
	c.maxUsers = flags.Count{Most: math.MaxInt32}
	c.maxGroup = flags.Count{N: rules.MaxGroup, Least: 3, Most: 64}
	c.inviteTimeout = flags.Duration{D: rules.InviteTimeout, Least: time.Second}
	c.grace = flags.Duration{D: rules.Grace, Least: time.Second}
	c.nameTTL = flags.Duration{D: chat.NameTTL, Least: 24 * time.Hour, Zero: true}
	c.maxMessage = flags.Size{N: int64(rules.MaxText), Least: 256, Most: 256 << 10}
	limits := coord.Defaults().Limits
	c.rate = flags.Count{N: limits.Requests, Most: mostRate}
	c.rateInvites = flags.Count{N: limits.Invites, Most: mostRate}
	c.rateLists = flags.Count{N: limits.Lists, Most: mostRate}
	c.rateDirect = flags.Count{N: rules.DirectRate, Most: mostRate}
	c.rateMessages = flags.Count{N: rules.MessageRate, Most: mostRate}
	c.show = flags.Choice{Value: "all", Among: []string{"all", "actions", "none"}}
	c.logFormat = flags.Choice{Value: "text", Among: []string{"text", "json"}}
	c.logLevel = flags.Choice{Value: "info", Among: []string{"debug", "info", "warn", "error"}}
	c.color = flags.Choice{Value: "auto", Among: []string{"auto", "always", "never"}}
	c.completion = flags.Choice{Among: flags.Shells}
	c.tls = flags.Choice{Among: []string{"auto"}}
	c.join = flags.Choice{Among: []string{"open", "invited"}}
	fs.Var(&c.tls, "tls", "encrypt with a CA of its own")
	fs.StringVar(&c.tlsCert, "tls-cert", "", "certificate")
	fs.StringVar(&c.tlsKey, "tls-key", "", "its key")
	fs.StringVar(&c.tlsCA, "tls-ca", "", "CA of the server to connect to: a file, or sha256: and its fingerprint")
	fs.Var(&c.join, "join", "who may take a new name")
	fs.StringVarP(&c.listen, "listen", "l", embedded.DefaultListen, "address of the embedded server")
	fs.StringVar(&c.dataDir, "data-dir", defaultDataDir(), "where keys and state are kept")
	fs.BoolVar(&c.ephemeral, "ephemeral", false, "keep nothing")
	fs.BoolVar(&c.acceptLoss, "accept-loss", false, "go on with a state that holds less than it did")
	fs.BoolVar(&c.clockOK, "clock-ok", false, "the clock is right, though the data say otherwise")
	fs.BoolVar(&c.insecure, "insecure", false, "allow plain text off loopback")
	fs.Var(&c.maxUsers, "max-users", "most users at once; 0 is no limit")
	fs.Var(&c.maxGroup, "max-group", "most members of a group")
	fs.Var(&c.inviteTimeout, "invite-timeout", "how long an invitation waits")
	fs.Var(&c.grace, "grace", "how long a lost user is waited for")
	fs.Var(&c.maxMessage, "max-message", "longest message")
	fs.Var(&c.rate, "rate", "requests a second of one user, or of one address in the lobby; 0 is no limit")
	fs.Var(&c.rateInvites, "rate-invites", "invitations a second of one user")
	fs.Var(&c.rateLists, "rate-lists", "lists a second for one user")
	fs.Var(&c.rateDirect, "rate-direct", "direct messages a second of one user")
	fs.Var(&c.rateMessages, "rate-messages", "messages a second of one member")
	fs.Var(&c.nameTTL, "name-ttl", "how long a name is kept after the last login; 0 is for ever")
	fs.Var(&c.show, "show", "what the console shows")
	fs.Var(&c.logFormat, "log-format", "how the console shows it")
	fs.StringVar(&c.logFile, "log-file", "", "log of faults")
	fs.Var(&c.logLevel, "log-level", "what is logged")
	fs.Var(&c.color, "color", "colours on the console")
	fs.StringVar(&c.http, "http", "", "address for health and figures")
	fs.BoolVar(&c.pprof, "pprof", false, "also answer profilers there")
	fs.StringVar(&c.server, "server", chat.DefaultURL, "NATS server to use, or of a verb")
	fs.StringVar(&c.keys, "keys", "", "credentials for that server, as written by init")
	fs.Var(&c.waitServer, "wait-server", "keep trying to reach that server at start")
	fs.StringVar(&c.creds, "creds", "", "operator's credentials of a verb")
	fs.BoolVar(&c.json, "json", false, "answer of a verb as JSON")
	fs.StringVar(&c.reason, "reason", "", "why, for who is signed out")
	c.banFor = flags.Duration{Least: time.Second, Zero: true}
	fs.Var(&c.banFor, "for", "how long a ban lasts; 0 is until it is taken back")
	fs.Var(&c.completion, "completion", "print a completion script")
	fs.BoolVar(&c.printConfig, "print-config", false, "print what would be used")
	fs.BoolVarP(&c.version, "version", "V", false, "print the version")
	fs.BoolP("help", "h", false, "print help")
	flags.Once(fs)
}

// check finds contradictions, before any port is opened.
func (c *config) check() error {
	switch {
	case c.given("creds") || c.given("json"):
		return flags.Usagef("--creds and --json are for verbs")
	case c.given("reason") || c.given("for"):
		return flags.Usagef("--reason and --for are for verbs such as ban")
	case c.external():
		if err := c.checkExternal(); err != nil {
			return err
		}
		return c.checkHTTP()
	case c.given("wait-server"):
		return flags.Usagef("--wait-server waits for the server of --server; the embedded one is there at once")
	case c.ephemeral && c.given("data-dir"):
		return flags.Usagef("--ephemeral keeps nothing, so --data-dir makes no sense with it")
	case !c.ephemeral && c.dataDir == "":
		return flags.Usagef("there is no home directory; name a place with --data-dir, or use --ephemeral")
	}
	if err := c.checkTLS(); err != nil {
		return err
	}
	return c.checkHTTP()
}

// checkHTTP is check for --http and --pprof.
func (c *config) checkHTTP() error {
	_, _, err := net.SplitHostPort(c.http)
	switch {
	case c.http == "" && c.pprof:
		return flags.Usagef("--pprof says what --http answers; name an address with --http, such as 127.0.0.1:8080")
	case c.http != "" && err != nil:
		return flags.Usagef("--http: %q is not an address; write HOST:PORT", c.http)
	case c.pprof && !onLoopback(c.http):
		return flags.Usagef("--pprof shows the memory of the process; with it, --http must be on loopback, such as 127.0.0.1:8080")
	}
	return nil
}

func (c *config) given(name string) bool {
	return c.flags.Lookup(name).Value.(*flags.Single).Origin() != "default"
}

// onLoopback tells whether only this machine reaches an address. What is not an address
// is refused elsewhere.
func onLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return true
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// defaultDataDir is $XDG_DATA_HOME/chatcoord or the system's place for such things; ""
// without a home.
func defaultDataDir() string {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "chatcoord")
	}
	if dir := os.Getenv("LOCALAPPDATA"); runtime.GOOS == "windows" && dir != "" {
		return filepath.Join(dir, "chatcoord")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".local", "share", "chatcoord")
}
