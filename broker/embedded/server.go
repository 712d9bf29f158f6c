// Package embedded runs a NATS server inside this process, in operator mode, with
// everything that natter asks of one already set up.
//
//	   no credentials                tickets                    in process
//	        │                           │                           │
//	┌───────▼──────┐  chat.lobby  ┌─────▼──────┐            ┌───────▼───────┐
//	│ LOBBY        │─────────────▶│ CHAT       │───────────▶│ SYS           │
//	│ lobby grant, │  who asks is │ JetStream, │ who comes  │ coordinators  │
//	│ for anybody  │  vouched for │ users      │ and leaves │ only          │
//	└──────────────┘              └────────────┘            └───────────────┘
//
// # What is promised
//
// A connection can do what its ticket's grant says and nothing else; one without
// a ticket can do what the lobby's grant says. What JetStream has acknowledged is
// on the disk. A reader that does not read costs bounded memory and slows nobody.
//
// # The data directory
//
//	lock                          held by the process that uses the directory
//	keys/*.nk                     who we are; without them no ticket is valid
//	observer.creds operator.creds written once, for the nats CLI and for chatcoord
//	address                       where chatcoord serves, for its verbs; only while it does
//	revoked.jwt                   the tickets that are void
//	issued.json                   whose the credentials are
//	tls/                          the CA of chatcoord --tls auto
//	jetstream/                    the state
//	ledger                        what the state must hold at least
//	unchecked/                    the state as it was, while a start checks it
//
// NATS drops what it cannot read, and everything behind it, without a word. So the ledger
// is compared with the state at each start, and a state that holds less is refused and
// left as it was. While a server runs, the volume is watched: see Storing and Recovered.
//
// Keys are made at the first start and never again: a directory with state and
// without one of its keys is refused, because a new key would orphan the state.
// The JWTs of the accounts are minted anew from the keys at each start, so that
// limits and exports are those of the program that runs.
package embedded

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"natter/broker"
	"natter/broker/ticket"
	"natter/chat"
	"natter/internal/private"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// DefaultListen is where the server listens if nothing else is said.
const DefaultListen = "127.0.0.1:4222"

// DefaultMaxStore is how many bytes the state may take on the disk.
const DefaultMaxStore = 1 << 30

const (
	maxMemory   = 256 << 20 // of streams in memory
	startLimit  = 30 * time.Second
	stopLimit   = 1500 * time.Millisecond
	lameDuck    = 500 * time.Millisecond
	lameGrace   = 50 * time.Millisecond
	maxPending  = 16 << 20
	minPending  = 2 << 20 // more than the largest payload
	writeLimit  = 5 * time.Second
	pingEvery   = 9 * time.Second // the first one up to a fifth later: a silent client is noticed within 30 s
	pingsMissed = 2
	authLimit   = 10.0 // seconds; see client.handshakeFor
	tlsLimit    = 10.0 // the same
	maxClosed   = 100  // connections that are remembered after their end, for monitoring
	keptFiles   = 48   // of those that may be open: for the state, and for who asks how we are
	within      = 16   // connections at most that are in this process and need no file

	keptMemory = 40 << 20 // of what may be used: for the state, of which the server keeps up to 8 MB a stream at hand
	perConn    = 64 << 10 // memory of a connection in a chat, with what the collector leaves; measured
)

// Config is what there is to choose. Its zero value listens on DefaultListen and
// keeps nothing.
type Config struct {
	Listen   string       // host:port; with port 0 or -1 any free one
	DataDir  string       // "" keeps nothing beyond Shutdown
	MaxStore int64        // bytes on the disk, well below what the volume has; 0 is DefaultMaxStore
	Log      *slog.Logger // nil is silent
	Shut     bool         // nobody gets in from outside before Open

	// TLS is how connections from outside are encrypted, once the directory with the data
	// is ours; nil is not at all.
	TLS func(dir string) (*tls.Config, error)

	AcceptLoss bool // start also when the state holds less than it did
	strict     bool // refuse the start also when the audit log holds less
	NoSync     bool // acknowledge what is not on the disk yet: only to show that it matters
}

// Server is a NATS server in this process. It is made by Start and of no use
// after Shutdown or Stop.
type Server struct {
	ns    *server.Server
	opts  *server.Options
	lines *logger
	ids   *ticket.Installation
	chat  *ticket.Minter
	sys   *ticket.Minter
	log   *slog.Logger
	addr  string
	tls   bool
	stop  sync.Once
	clean func() // gives the data directory back

	keptIn   string // the data directory; "" if nothing is kept
	revoking sync.Mutex

	book   *nats.Conn // for the ledger; nil: there is none
	ledger *ledger    // owned by keepLedger
	disk   *disk      // nil: nothing is kept
	quit   chan struct{}
	run    sync.WaitGroup
}

// Start starts a server and returns when it is ready. Its error is ErrInUse if
// the address is taken and ErrDataDir if the directory cannot be used.
func Start(cfg Config) (*Server, error) {
	host, port, err := splitListen(cfg.Listen)
	if err != nil {
		return nil, err
	}
	found, err := checkFree(host, port)
	if err != nil {
		return nil, err
	}
	if cfg.Shut {
		port = found // is said before it is used
	}
	dir, clean, err := openDataDir(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	s, err := start(cfg, host, port, dir)
	if err != nil {
		clean()
		return nil, err
	}
	s.clean = clean
	return s, nil
}

func start(cfg Config, host string, port int, dir string) (*Server, error) {
	if cfg.DataDir != "" {
		if err := beginLedger(dir); err != nil {
			return nil, err
		}
	}
	ids, err := loadIdentities(dir, cfg.DataDir != "")
	if err != nil {
		return nil, err
	}
	opts, err := options(cfg, ids)
	if err != nil {
		return nil, err
	}
	opts.Host, opts.Port, opts.StoreDir = host, port, dir
	if cfg.TLS != nil {
		if opts.TLSConfig, err = cfg.TLS(dir); err != nil {
			return nil, err
		}
		opts.TLSTimeout = tlsLimit
	}
	s := &Server{ids: ids, keptIn: cfg.DataDir, chat: ids.ChatMinter(), sys: ids.SystemMinter(), log: cfg.Log, tls: opts.TLSConfig != nil, quit: make(chan struct{})}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if cfg.DataDir != "" {
		if err := revokeAgain(opts.AccountResolver, ids, dir); err != nil {
			return nil, err
		}
		if err := writeCreds(dir, ids, opts.AccountResolver, s.log); err != nil {
			return nil, err
		}
	}
	if opts.DontListen = cfg.Shut; cfg.Shut {
		opts.MaxPending = ownPending()
	}
	s.lines = newLogger(s.log)
	if cfg.DataDir == "" {
		if s.ns, err = run(opts, s.lines); err != nil {
			return nil, err
		}
	} else if err := s.runKept(cfg, opts); err != nil {
		return nil, err
	}
	s.opts = opts
	if s.addr = net.JoinHostPort(host, strconv.Itoa(port)); !cfg.Shut {
		s.addr = s.ns.Addr().String()
	}
	return s, nil
}

// runKept runs the server on a state that is kept: it is checked, and watched from then on.
func (s *Server) runKept(cfg Config, opts *server.Options) (err error) {
	dir, before := opts.StoreDir, newAside(opts.StoreDir, s.ids)
	l, err := readLedger(dir)
	if err != nil {
		return err
	}
	if err := before.put(); err != nil {
		return private.Errorf(ErrDataDir, "Cannot set the state in %s aside to check it: %v.", dir, private.Cause(err))
	}
	if lost := before.lacks(); l.blank && len(lost) > 0 && !cfg.AcceptLoss {
		return errors.Join(damaged(dir, strings.Join(append(lost, "the ledger"), ", ")+" are missing"), before.back())
	}
	switch wild, err := before.wildIn(l); {
	case err != nil:
		return errors.Join(private.Errorf(ErrDataDir, "Cannot read the state in %s: %v.", dir, private.Cause(err)), before.back())
	case wild:
		if err := before.unindex(); err != nil {
			return errors.Join(err, before.back())
		}
	}
	s.disk = newDisk(dir, before, s.log)
	if s.ns, err = run(opts, s.lines); err != nil {
		return errors.Join(err, before.back())
	}
	s.disk.refused = s.refusing
	if err := s.check(dir, l, cfg.AcceptLoss, cfg.strict); err != nil {
		s.ns.Shutdown()
		s.ns.WaitForShutdown()
		return errors.Join(err, before.back())
	}
	if err := before.forget(); err != nil {
		s.log.Warn("a copy of the state is left", "dir", before.dir, "err", err)
	}
	s.run.Go(s.keepLedger)
	s.run.Go(func() { s.disk.watch(s.quit) })
	return nil
}

// Open lets everybody in from outside. Thousands who have waited for the server to come back
// would otherwise keep it from starting what they want of it.
func (s *Server) Open() error {
	s.opts.MaxPending = pending()        // of those who come from now on
	s.ns.AcceptLoop(make(chan struct{})) // returns when it listens
	return s.lines.fatal(s.opts, "")
}

// run starts a server and turns what it calls fatal into an error.
func run(opts *server.Options, l *logger) (*server.Server, error) {
	ns, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("setting up the embedded server: %w", err)
	}
	ns.SetLoggerV2(l, false, false, false)
	ns.Start()
	err = l.fatal(opts, opts.StoreDir)
	if err == nil && !ns.ReadyForConnections(startLimit) {
		err = errors.New("the embedded server does not become ready")
	}
	if err != nil {
		ns.Shutdown()
		ns.WaitForShutdown()
		return nil, err
	}
	return ns, nil
}

// options are the settings of a server that loses nothing it has acknowledged,
// notices a dead connection soon, and is slowed by nobody.
func options(cfg Config, ids *ticket.Installation) (*server.Options, error) {
	store := cfg.MaxStore
	if store <= 0 {
		store = DefaultMaxStore
	}
	opts := &server.Options{
		ServerName:             "chatcoord",
		NoSigs:                 true,
		JetStream:              true,
		SyncAlways:             !cfg.NoSync, // else a power cut loses two minutes
		JetStreamMaxMemory:     maxMemory,
		JetStreamMaxStore:      store,
		DisableJetStreamBanner: true,
		MaxPending:             pending(),
		WriteDeadline:          writeLimit,
		NoFastProducerStall:    true, // what a slow reader has no room for is dropped: it slows nobody
		MaxControlLine:         broker.MaxControlLine,
		PingInterval:           pingEvery,
		DisableShortFirstPing:  true, // one that overtakes the end of a slow handshake makes the client give it up
		MaxPingsOut:            pingsMissed,
		AuthTimeout:            authLimit,
		LameDuckDuration:       lameDuck,
		LameDuckGracePeriod:    lameGrace,
		MaxClosedClients:       maxClosed, // each login leaves one behind: the lobby's
		MaxConn:                min(connectionsByFiles(openFiles()), connectionsByMemory(debug.SetMemoryLimit(-1))),
	}
	if err := trust(ids, opts); err != nil {
		return nil, fmt.Errorf("setting up the accounts: %w", err)
	}
	return opts, nil
}

// connectionsByFiles is how many connections there may be. One more is refused with
// a reason; a server without files left could not store anything.
func connectionsByFiles(files int, limited bool) int {
	if !limited {
		return server.DEFAULT_MAX_CONNECTIONS
	}
	return max(files-keptFiles, 2) + within
}

// connectionsByMemory is the same for a process that would be killed if it took more than
// limit bytes; math.MaxInt64 is no limit.
func connectionsByMemory(limit int64) int {
	return int(max(limit-keptMemory, 2*perConn)/perConn) + within
}

// Room is how many users can be served: each has a second connection while they chat.
func (s *Server) Room() int { return (s.opts.MaxConn - within) / 2 }

// Connections returns how many connections there are, and how many there may be.
func (s *Server) Connections() (have, most int) { return s.ns.NumClients(), s.opts.MaxConn }

// Addr is the host:port that the server listens on.
func (s *Server) Addr() string { return s.addr }

// URL is where a program on this computer reaches the server.
func (s *Server) URL() string {
	host, port, _ := net.SplitHostPort(s.addr)
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "nats://"
	if s.tls {
		scheme = "tls://"
	}
	return scheme + net.JoinHostPort(host, port)
}

// Minter mints tickets of the account that users are in.
func (s *Server) Minter() *ticket.Minter { return s.chat }

// ChatAccount is the public key of the account that users are in.
func (s *Server) ChatAccount() string { return s.chat.Account() }

// LobbyAccount is the public key of the account that newcomers are in.
func (s *Server) LobbyAccount() string { return ticket.Public(s.ids.Lobby) }

// Dial opens a connection within the process that can do what g says and has its
// inboxes under inbox. The name is for the log; the server is told none.
func (s *Server) Dial(name string, g chat.Grant, inbox string, opts ...nats.Option) (*nats.Conn, error) {
	return s.dial(door{s: s}, s.chat, name, g, inbox, opts)
}

// DialBatched is Dial for somebody who is in no hurry: what comes now and then waits for what
// comes with it.
func (s *Server) DialBatched(name string, g chat.Grant, inbox string, opts ...nats.Option) (*nats.Conn, error) {
	return s.dial(door{s, true}, s.chat, name, g, inbox, opts)
}

// DialSystem is Dial in the system account.
func (s *Server) DialSystem(name string, g chat.Grant, inbox string, opts ...nats.Option) (*nats.Conn, error) {
	return s.dial(door{s: s}, s.sys, name, g, inbox, opts)
}

func (s *Server) dial(d door, m *ticket.Minter, name string, g chat.Grant, inbox string, opts []nats.Option) (*nats.Conn, error) {
	text, key, err := m.Creds(g, 0, time.Now())
	if err != nil {
		return nil, err
	}
	all := []nats.Option{
		nats.InProcessServer(d),
		nats.Name(broker.CoordinatorName),
		nats.Timeout(startLimit), // it is there, and only slow if it does not answer
		nats.UserJWT(func() (string, error) { return text, nil }, key.Sign),
		nats.MaxReconnects(-1), // the server cuts off who reads too slowly, also us
		nats.ReconnectWait(100 * time.Millisecond),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { // the library's own writes to the terminal
			s.log.Debug("connection", "name", name, "err", err)
		}),
	}
	if inbox != "" {
		all = append(all, nats.CustomInboxPrefix(inbox))
	}
	nc, err := nats.Connect("", append(all, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("connecting %s to the embedded server: %w", name, err)
	}
	return nc, nil
}

// Shutdown stops the server so that its clients know at once, in less than two
// seconds, and gives the data directory back.
func (s *Server) Shutdown() {
	s.stop.Do(func() {
		s.halt(true)
		late := time.AfterFunc(stopLimit, s.ns.Shutdown)
		defer late.Stop()
		s.ns.LameDuckShutdown()
		s.ns.WaitForShutdown()
		s.clean()
	})
}

// Stop stops the server without a word to its clients, as a crash would.
func (s *Server) Stop() {
	s.stop.Do(func() {
		s.halt(false)
		s.ns.Shutdown()
		s.ns.WaitForShutdown()
		s.clean()
	})
}

// halt ends what runs beside the server.
func (s *Server) halt(note bool) {
	close(s.quit)
	s.run.Wait()
	s.closeLedger(note)
}

// splitListen reads a host:port. NATS asks for any free port with -1.
func splitListen(listen string) (string, int, error) {
	if listen == "" {
		listen = DefaultListen
	}
	host, text, err := net.SplitHostPort(listen)
	port, perr := strconv.Atoi(text)
	if err != nil || perr != nil || port < 0 || port > 65535 {
		return "", 0, chat.Errorf(chat.Arguments, "--listen: %q is not an address; write HOST:PORT.", listen)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	if host == "" {
		host = "0.0.0.0"
	}
	return host, port, nil
}

// checkFree finds out at once what NATS would notice only after all the rest, and which port
// is free if any will do.
func checkFree(host string, port int) (int, error) {
	addr := net.JoinHostPort(host, strconv.Itoa(max(port, 0)))
	l, err := net.Listen("tcp", addr)
	if err == nil {
		return l.Addr().(*net.TCPAddr).Port, l.Close()
	}
	if errors.Is(err, addrInUse) {
		return 0, private.Errorf(ErrInUse, "%s is in use. Stop the program that listens there, or listen on another address.", addr)
	}
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		err = sys.Err
	}
	return 0, chat.Errorf(chat.Arguments, "Cannot listen on %s: %v.", addr, err)
}
