// Package ops tells machines how a coordinator is: whether it lives, whether it can
// serve, and its figures, over HTTP and on request only.
//
//	           ┌─ /healthz       200 while the process works
//	--http ────┼─ /readyz        200, or 503 with a sentence that says why not
//	           ├─ /metrics       figures, for Prometheus
//	           └─ /debug/pprof/  only with --pprof
//
// # What is promised
//
// Nobody's name, address or words are among the figures: their labels are routes,
// outcomes, connections and streams, which are few and known. Asking changes nothing,
// and is answered while the broker cannot be reached, if only to say so.
//
// There are no passwords here: who reaches the address reads the figures. What pprof
// shows is more than that, the memory of the process, so it is for loopback only;
// callers of Listen see to it. A web page must not get there by way of a browser on this
// computer: on loopback, requests are answered only if their Host is localhost or a
// loopback address, so a name that was made to resolve to one (DNS rebinding) is refused.
package ops

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"natter/chat"
)

// ErrInUse is what Listen fails with when somebody else has the address.
var ErrInUse = errors.New("the address is in use")

const (
	readLimit  = 5 * time.Second
	writeLimit = 2 * time.Minute // a profile takes its time
	stopLimit  = time.Second
	inUse      = syscall.Errno(10048) // EADDRINUSE on Windows
)

// Server answers on one address. Make it with Listen, then Serve.
type Server struct {
	listener net.Listener
	http     http.Server
	registry *prometheus.Registry
	meters   meters
	source   atomic.Pointer[Source] // nil until there is a coordinator
}

// Listen takes an address, host:port; with port 0 any free one. With profiles it also
// answers under /debug/pprof/.
func Listen(addr string, profiles bool) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE), errors.Is(err, inUse):
		return nil, fmt.Errorf("%w: %s, asked for by --http. Stop the program that listens there, or name another address", ErrInUse, addr)
	case err != nil:
		return nil, chat.Errorf(chat.Arguments, "Cannot listen on %s, asked for by --http: %v.", addr, cause(err))
	}
	s := &Server{listener: l, registry: prometheus.NewRegistry(), meters: newMeters()}
	s.register()
	s.http = http.Server{Handler: s.handler(profiles, onLoopback(l.Addr().String())), ReadTimeout: readLimit, WriteTimeout: writeLimit, MaxHeaderBytes: 16 << 10}
	return s, nil
}

// cause is what the system says, without the words around it.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// URL is where a program on this computer finds the server.
func (s *Server) URL() string {
	host, port, _ := net.SplitHostPort(s.listener.Addr().String())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// Watch has figures and readiness come from a coordinator that has started.
func (s *Server) Watch(source Source) { s.source.Store(&source) }

// Serve answers until ctx is done.
func (s *Server) Serve(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(s.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("answer over HTTP: %w", err)
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	if s.http.Shutdown(late) != nil {
		_ = s.http.Close() // somebody reads slowly: the connection is closed
	}
	<-failed
	return nil
}

func (s *Server) handler(profiles, local bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "The process works.") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	if profiles {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	if profiles || local {
		return forHere(mux)
	}
	return mux
}

// forHere refuses requests that are not addressed to this computer.
func forHere(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !onLoopback(r.Host) {
			say(w, http.StatusForbidden, "The request is for another host. Ask for localhost or a loopback address; a proxy must set the Host header to one.")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// onLoopback reports whether a host, perhaps with a port, is localhost or a loopback address.
func onLoopback(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return err == nil && ip.Unmap().IsLoopback()
}

// ready says whether requests would be answered now, which streams are at their limits, and how
// long the certificate is good.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	source := s.source.Load()
	if source == nil {
		say(w, http.StatusServiceUnavailable, "The coordinator is starting.")
		return
	}
	more := ""
	if source.AtLimit != nil {
		for _, sentence := range source.AtLimit() {
			more += "\n" + sentence
		}
	}
	if source.Certificate != nil {
		if expires, status := source.Certificate(); !expires.IsZero() {
			more += "\n" + status + "."
		}
	}
	if err := source.Ready(); err != nil {
		say(w, http.StatusServiceUnavailable, err.Error()+more)
		return
	}
	say(w, http.StatusOK, "The coordinator serves."+more)
}

func say(w http.ResponseWriter, status int, sentence string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, sentence) // who has gone away needs no answer
}
