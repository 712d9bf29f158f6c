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

// mostRate is the highest rate that a flag accepts.
const mostRate = 1_000_000

// config are the settings from flags and the environment.
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
	banFor              flags.Duration // 0: until it is ended
	yes                 bool           // do not ask

	completion           flags.Choice
	printConfig, version bool

	flags *pflag.FlagSet
}

// group are flags that help shows under a title.
type group struct {
	title string
	add   func(*config, *pflag.FlagSet)
}

// serving are the flags of chatcoord without a verb.
var serving = []group{
	{"Broker", (*config).brokerFlags},
	{"Rules", (*config).ruleFlags},
	{"Limits (ten times as much may come at once; 0 is no limit)", (*config).limitFlags},
	{"Console", (*config).consoleFlags},
	{"Health", (*config).healthFlags},
	{"Other", (*config).otherFlags},
}

// register makes the flags of chatcoord without a verb.
func (c *config) register(fs *pflag.FlagSet) {
	for _, g := range serving {
		g.add(c, fs)
	}
	c.finish(fs)
}

// finish makes a set the parsed one, whose flags may be given once.
func (c *config) finish(fs *pflag.FlagSet) {
	flags.Once(fs)
	fs.VisitAll(func(f *pflag.Flag) {
		if f.DefValue == "0s" {
			f.DefValue = "" // says nothing
		}
	})
	c.flags = fs
}

func (c *config) brokerFlags(fs *pflag.FlagSet) {
	c.tls = flags.Choice{Among: []string{"auto"}}
	fs.StringVarP(&c.listen, "listen", "l", embedded.DefaultListen, "`address` of the embedded NATS server")
	fs.Var(&c.tls, "tls", "encrypt, with a CA of its own that links name")
	c.dirFlag(fs)
	fs.BoolVar(&c.ephemeral, "ephemeral", false, "store nothing on the disk")
	fs.BoolVar(&c.acceptLoss, "accept-loss", false, "start although a part of the state is missing")
	fs.BoolVar(&c.clockOK, "clock-ok", false, "the clock is right, although the data says otherwise")
	fs.StringVar(&c.server, "server", chat.DefaultURL, "use the NATS at these `URLs` instead of embedding one")
	fs.StringVar(&c.keys, "keys", "", "credentials for --server: the `directory` that chatcoord init has written")
	fs.Var(&c.waitServer, "wait-server", "how long to keep trying to reach --server at the start")
	c.tlsFlags(fs)
}

func (c *config) dirFlag(fs *pflag.FlagSet) {
	fs.StringVar(&c.dataDir, "data-dir", defaultDataDir(), "`directory` of keys and state (default chatcoord in $XDG_DATA_HOME)")
	fs.Lookup("data-dir").DefValue = "" // it may be too long for a line
}

func (c *config) tlsFlags(fs *pflag.FlagSet) {
	fs.StringVar(&c.tlsCert, "tls-cert", "", "certificate in this `file`: the server's, or the client's for --server")
	fs.StringVar(&c.tlsKey, "tls-key", "", "its key, in this `file`")
	fs.StringVar(&c.tlsCA, "tls-ca", "", "CA of --server, if the system does not know it: a `file`, or sha256: and its fingerprint")
	fs.BoolVar(&c.insecure, "insecure", false, "allow plain text to other machines")
}

func (c *config) ruleFlags(fs *pflag.FlagSet) {
	rules := coord.Defaults().Rules
	c.join = flags.Choice{Among: []string{"open", "invited"}}
	c.maxUsers = flags.Count{Most: math.MaxInt32}
	c.maxGroup = flags.Count{N: rules.MaxGroup, Least: 3, Most: 64}
	c.inviteTimeout = flags.Duration{D: rules.InviteTimeout, Least: time.Second}
	c.grace = flags.Duration{D: rules.Grace, Least: time.Second}
	c.nameTTL = flags.Duration{D: chat.NameTTL, Least: 24 * time.Hour, Zero: true}
	c.maxMessage = flags.Size{N: int64(rules.MaxText), Least: 256, Most: 256 << 10}
	fs.Var(&c.join, "join", "who may take a new name (default open on loopback, else invited)")
	fs.Var(&c.maxUsers, "max-users", "greatest number of users; 0 is no limit")
	fs.Var(&c.maxGroup, "max-group", "greatest number of members of a group")
	fs.Var(&c.inviteTimeout, "invite-timeout", "how long an invitation stays open")
	fs.Var(&c.grace, "grace", "how long a user with a lost connection stays present")
	fs.Var(&c.maxMessage, "max-message", "longest message")
	fs.Var(&c.nameTTL, "name-ttl", "how long a name is kept after its last login; 0 is for ever")
}

func (c *config) limitFlags(fs *pflag.FlagSet) {
	limits, rules := coord.Defaults().Limits, coord.Defaults().Rules
	c.rate = flags.Count{N: limits.Requests, Most: mostRate}
	c.rateInvites = flags.Count{N: limits.Invites, Most: mostRate}
	c.rateLists = flags.Count{N: limits.Lists, Most: mostRate}
	c.rateDirect = flags.Count{N: rules.DirectRate, Most: mostRate}
	c.rateMessages = flags.Count{N: rules.MessageRate, Most: mostRate}
	fs.Var(&c.rate, "rate", "requests a second of one user, or of one address in the lobby")
	fs.Var(&c.rateInvites, "rate-invites", "invitations among them")
	fs.Var(&c.rateLists, "rate-lists", "lists among them")
	fs.Var(&c.rateDirect, "rate-direct", "direct messages a second of one user")
	fs.Var(&c.rateMessages, "rate-messages", "messages a second of one member of a chat")
}

// viewFlags are the flags of a console, also of watch.
func (c *config) viewFlags(fs *pflag.FlagSet) {
	c.show = flags.Choice{Value: "all", Among: []string{"all", "actions", "none"}}
	c.logFormat = flags.Choice{Value: "text", Among: []string{"text", "json"}}
	c.color = flags.Choice{Value: "auto", Among: []string{"auto", "always", "never"}}
	fs.Var(&c.show, "show", "what the console shows")
	fs.Var(&c.logFormat, "log-format", "how the console, the log and errors are written")
	fs.Var(&c.color, "color", "colours on the console")
}

func (c *config) consoleFlags(fs *pflag.FlagSet) {
	c.viewFlags(fs)
	c.logLevel = flags.Choice{Value: "info", Among: []string{"debug", "info", "warn", "error"}}
	fs.StringVar(&c.logFile, "log-file", "", "log of faults, in this `file` instead of standard error")
	fs.Var(&c.logLevel, "log-level", "what is logged, from this level on")
}

func (c *config) healthFlags(fs *pflag.FlagSet) {
	fs.StringVar(&c.http, "http", "", "`address` that answers /healthz, /readyz and /metrics (default none)")
	fs.BoolVar(&c.pprof, "pprof", false, "also /debug/pprof/; the address must be on loopback")
}

// otherFlags are flags without a configuration variable.
func (c *config) otherFlags(fs *pflag.FlagSet) {
	c.completion = flags.Choice{Among: flags.Shells}
	fs.Var(&c.completion, "completion", "print a completion script")
	fs.BoolVarP(&c.version, "version", "V", false, "print the version")
	c.helpFlags(fs)
}

// helpFlags are the flags that every verb has.
func (c *config) helpFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&c.printConfig, "print-config", false, "print every setting and where it came from")
	fs.BoolP("help", "h", false, "print help")
}

// keyFlags are the flags for the NATS server and the keys.
func (c *config) keyFlags(fs *pflag.FlagSet) {
	fs.StringVar(&c.server, "server", chat.DefaultURL, "`URLs` of the NATS server (default that of the data directory, or "+chat.DefaultURL+")")
	fs.Lookup("server").DefValue = ""
	fs.StringVar(&c.keys, "keys", "", "use the credentials of the `directory` that chatcoord init has written")
	c.dirFlag(fs)
	c.tlsFlags(fs)
}

// reachFlags are the flags of verbs that reach a running coordinator.
func (c *config) reachFlags(fs *pflag.FlagSet) {
	fs.StringVar(&c.creds, "creds", "", "credentials in this `file` (default operator.creds, for watch observer.creds, in the data directory)")
	c.keyFlags(fs)
}

func (c *config) jsonFlag(fs *pflag.FlagSet) {
	fs.BoolVar(&c.json, "json", false, "answer as JSON")
}

func (c *config) reasonFlag(fs *pflag.FlagSet) {
	fs.StringVar(&c.reason, "reason", "", "reason, a `text` for the user")
}

func (c *config) yesFlag(fs *pflag.FlagSet) {
	fs.BoolVarP(&c.yes, "yes", "y", false, "do not ask")
}

func (c *config) forFlag(fs *pflag.FlagSet) {
	c.banFor = flags.Duration{Least: time.Second, Zero: true}
	fs.Var(&c.banFor, "for", "how long, such as 24h (default until unban)")
}

// check finds contradictions, before any port is opened.
func (c *config) check() error {
	switch {
	case c.external():
		if err := c.checkExternal(); err != nil {
			return err
		}
		return c.checkHTTP()
	case c.given("wait-server"):
		return flags.Usagef("--wait-server waits for the server of --server; the embedded one is there at once")
	case c.ephemeral && c.given("data-dir"):
		return flags.Usagef("--ephemeral keeps nothing, so --data-dir makes no sense with it")
	case c.ephemeral && c.acceptLoss:
		return flags.Usagef("--ephemeral keeps nothing, so there is no loss that --accept-loss could accept")
	case c.insecure && (c.tls.Value != "" || c.tlsCert != ""):
		return flags.Usagef("--insecure allows plain text, and --tls and --tls-cert encrypt; use either")
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

// given reports whether a flag was given, or its variable of the environment.
func (c *config) given(name string) bool {
	f := c.flags.Lookup(name)
	return f != nil && f.Value.(*flags.Single).Origin() != "default"
}

// typed reports whether a flag is on the command line.
func (c *config) typed(name string) bool {
	f := c.flags.Lookup(name)
	return f != nil && f.Value.(*flags.Single).Origin() == "flag"
}

// checkVerb is check for a verb.
func (c *config) checkVerb() error {
	for _, other := range []string{"creds", "data-dir"} {
		if c.typed("keys") && c.typed(other) {
			return flags.Usagef("--keys and --%s both say where the credentials are; use one of them", other)
		}
	}
	return nil
}

// onLoopback reports whether an address is on loopback. Invalid addresses are refused elsewhere.
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
