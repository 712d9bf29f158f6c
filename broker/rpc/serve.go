package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"natter/chat"
)

// Caller is who asks, as the broker vouches for it.
type Caller struct {
	User   chat.User // "" in the lobby and for the operator
	Origin Origin    // in the lobby only
}

// Origin is the connection that a request came from, as its server says.
type Origin struct {
	Host       string `json:"host"`   // IP
	Connection uint64 `json:"id"`     // the server's number for the connection
	Server     string `json:"server"` // the server's name
	Account    string `json:"acc"`    // public key
}

// handleFor is how long a request may be worked on.
const handleFor = 10 * time.Second

// atOnce is how many requests one replica works on at the same time; further ones
// wait at the broker.
const atOnce = 1024

// eachAtOnce is how many of them may be one asker's: some wait for others by their
// nature, and nobody is to keep everybody else waiting.
const eachAtOnce = 16

// Service serves routes as the endpoints of one NATS micro service, which all
// replicas share.
type Service struct {
	// Observe is told of every answer: the endpoint, "ok" or the error's code, and how
	// long the asker waited here. Set it before Handle; nil: nobody is told.
	Observe func(endpoint, outcome string, took time.Duration)
	// Limits are what one asker may have; set them before Handle.
	Limits Limits
	// Limited is told of those who ask too much, once a second; Abuse of users whose
	// requests are none, once in ten seconds. Set them before Handle; nil: nobody is told.
	Limited func([]Excess)
	Abuse   func(chat.User)

	nc       *nats.Conn
	log      *slog.Logger
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	slots    chan struct{}
	ignored  atomic.Uint64
	forged   atomic.Uint64
	self     micro.ServiceIdentity
	started  time.Time
	now      func() time.Time
	limiters func() *limiters // made at first use, when Limits are known
	strikes  strikes

	mu        sync.Mutex
	under     map[Caller]int // requests under way, by asker
	endpoints []*endpoint
	subs      []*nats.Subscription
	stopped   bool // nothing is begun any longer
}

// NewService announces the micro service "chatcoord" on nc, a connection with
// chat.AnsweringGrant.
func NewService(nc *nats.Conn, log *slog.Logger) (*Service, error) {
	s := &Service{
		nc: nc, log: log, slots: make(chan struct{}, atOnce), under: map[Caller]int{},
		self: identity(), started: time.Now().UTC(), now: time.Now, strikes: newStrikes(),
	}
	s.limiters = sync.OnceValue(func() *limiters { return newLimiters(s.Limits) })
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.announce(); err != nil {
		return nil, fmt.Errorf("announce the service: %w", err)
	}
	return s, nil
}

// Stop takes no further requests and waits for those under way.
func (s *Service) Stop() {
	timer := time.NewTimer(2 * time.Second)
	defer timer.Stop()
	select {
	case <-s.drain():
	case <-timer.C: // the broker is away
	}
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { s.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(2 * time.Second):
		s.cancel()
		<-done
	}
	s.cancel()
}

// drain has the broker send nothing more. Its channel is closed when everything that
// had been sent has been begun.
func (s *Service) drain() <-chan struct{} {
	s.mu.Lock()
	subs := s.subs
	s.mu.Unlock()
	var left atomic.Int64
	begun := make(chan struct{})
	one := func() {
		if left.Add(-1) == 0 {
			close(begun)
		}
	}
	left.Store(int64(len(subs)) + 1)
	for _, sub := range subs {
		closed := sync.OnceFunc(one)
		sub.SetClosedHandler(func(string) { closed() })
		if err := sub.Drain(); err != nil {
			closed()
			if !errors.Is(err, nats.ErrConnectionClosed) {
				s.log.Debug("stop the service", "subject", sub.Subject, "err", err)
			}
		}
	}
	one()
	return begun
}

// work begins to work on a request, unless the service has stopped: then its asker
// tries again, at another replica.
func (s *Service) work(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		<-s.slots
		return
	}
	s.wg.Go(func() {
		defer func() { <-s.slots }()
		f()
	})
}

// Ignored counts requests that were not answered because they asked for the answer
// to be sent somewhere else, or were not addressed by anybody.
func (s *Service) Ignored() uint64 { return s.ignored.Load() }

// Forged counts lobby requests that did not carry exactly one origin.
func (s *Service) Forged() uint64 { return s.forged.Load() }

var errForged = chat.Errorf(chat.Denied, "The request must not say where it comes from: the server does.")

// refuseForged refuses a request whose origin is not known. Most of a flood of them is not
// answered.
func (s *Service) refuseForged(req *nats.Msg, e *endpoint) {
	s.forged.Add(1)
	tell := s.limiters().forged.refuse(somewhere, s.now())
	s.excess()
	if tell {
		s.answer(req, e, func(context.Context) (any, error) { return nil, errForged })
	}
}

// Handle serves a route. An error of fn that is a *chat.Error is the answer; any
// other is a fault: it is logged, and the asker reads "internal error".
func Handle[Q, R any](s *Service, r chat.Request[Q, R], fn func(ctx context.Context, c Caller, q Q) (R, error)) error {
	e := newEndpoint(r.Route)
	serve := func(req *nats.Msg) {
		c, ok := caller(r.Route, req)
		if !ok {
			s.ignored.Add(1)
			s.log.Debug("request ignored", "subject", req.Subject, "reply", req.Reply)
			s.strike(c.User)
			return
		}
		if r.From() == chat.Anyone && c.Origin == (Origin{}) {
			s.refuseForged(req, e)
			return
		}
		if refusal, tell := s.pass(r.Route, c); refusal != nil {
			if tell {
				s.answer(req, e, func(context.Context) (any, error) { return nil, refusal })
			}
			return
		}
		if !s.begin(c) {
			s.answer(req, e, func(context.Context) (any, error) { return nil, errTooMany })
			return
		}
		s.slots <- struct{}{}
		s.work(func() {
			s.answer(req, e, func(ctx context.Context) (any, error) {
				defer s.done(c) // before the answer is sent: who waits for it has none under way
				var q Q
				if err := decode(req.Data, &q); err != nil {
					s.strike(c.User)
					return nil, err
				}
				return fn(ctx, c, q)
			})
		})
	}
	if err := s.listen(r.Wildcard(), micro.DefaultQueueGroup, serve); err != nil {
		return fmt.Errorf("serve %s: %w", r.Pattern(), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoints = append(s.endpoints, e)
	return nil
}

// listen subscribes until Stop.
func (s *Service) listen(subject, queue string, serve nats.MsgHandler) error {
	sub, err := s.nc.QueueSubscribe(subject, queue, serve)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subs = append(s.subs, sub)
	return nil
}

var errTooMany = chat.Errorf(chat.Rate, "Too many requests at once; wait for the answers.")

// begin counts a request, unless its asker has too many under way.
func (s *Service) begin(c Caller) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.under[c] >= eachAtOnce {
		return false
	}
	s.under[c]++
	return true
}

func (s *Service) done(c Caller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.under[c]--; s.under[c] == 0 {
		delete(s.under, c)
	}
}

// answer does a request's work, sends what comes of it, and takes note.
func (s *Service) answer(req *nats.Msg, e *endpoint, work func(context.Context) (any, error)) {
	started, outcome := time.Now(), OK
	ctx, cancel := context.WithTimeout(context.WithValue(s.ctx, outcomeKey{}, &outcome), handleFor)
	defer cancel()
	reply, err := work(ctx)
	msg, told := s.reply(req.Subject, reply, err)
	if told != nil {
		outcome = string(told.Code)
	}
	if err := req.RespondMsg(msg); err != nil {
		s.log.Error("answer", "subject", req.Subject, "err", err)
	}
	took := time.Since(started)
	e.note(took, told)
	if s.Observe != nil {
		s.Observe(e.name, outcome, took)
	}
}

// reply is the message that answers a request, and the error in it.
func (s *Service) reply(subject string, reply any, err error) (*nats.Msg, *chat.Error) {
	var data []byte
	if err == nil {
		data, err = json.Marshal(reply)
	}
	if most := s.nc.MaxPayload(); err == nil && int64(len(data)) > most {
		err = chat.Errorf(chat.TooLong, "The answer has %d bytes, and the server carries at most %d in one message.", len(data), most)
	}
	if err == nil {
		return &nats.Msg{Data: data}, nil
	}
	var told *chat.Error
	if !errors.As(err, &told) {
		s.log.Error("request failed", "subject", subject, "err", err)
		told = chat.Errorf(chat.Internal, "The coordinator reports an internal error; its log says more.")
	}
	data, _ = json.Marshal(told) // strings only
	return &nats.Msg{Data: data, Header: nats.Header{
		micro.ErrorCodeHeader: {string(told.Code)}, micro.ErrorHeader: {oneLine(told.Text)},
	}}, told
}

// OK is the outcome of a request that was not refused.
const OK = "ok"

type outcomeKey struct{}

// Refused notes that a request is answered with an error that only the asker can
// read. ctx is the one that the request is served with.
func Refused(ctx context.Context, code chat.Code) {
	if outcome, ok := ctx.Value(outcomeKey{}).(*string); ok {
		*outcome = string(code)
	}
}

// caller finds out who asks. It is false if the answer would go anywhere but into
// the asker's own inbox; then too the user is who the broker says.
func caller(r *chat.Route, req *nats.Msg) (Caller, bool) {
	route, a, ok := chat.Parse(req.Subject)
	if !ok || route != r {
		return Caller{}, false
	}
	inbox := chat.Inbox(a.User)
	switch r.From() {
	case chat.Anyone:
		inbox = chat.ImportInbox
	case chat.Operator:
		inbox = chat.AdminInbox
	case chat.Observer:
		inbox = chat.ObserverInboxes
	}
	if !strings.HasPrefix(req.Reply, inbox+".") {
		return Caller{User: a.User}, false
	}
	return Caller{User: a.User, Origin: origin(r, req.Header)}, true
}

// originHeader is where a server writes who asks, for a service in another account.
const originHeader = "Nats-Request-Info"

// origin reads what the server says of a request that came from another account. It is the
// zero Origin unless there is exactly one value: a client can send values of its own, which
// need not come after the server's.
func origin(r *chat.Route, h nats.Header) Origin {
	if r.From() != chat.Anyone {
		return Origin{}
	}
	values := 0
	for name, all := range h {
		if strings.EqualFold(strings.TrimSpace(name), originHeader) {
			values += len(all)
		}
	}
	one := h.Values(originHeader)
	if values != 1 || len(one) != 1 {
		return Origin{}
	}
	var o Origin
	if err := json.Unmarshal([]byte(one[0]), &o); err != nil || !o.whole() {
		return Origin{}
	}
	return o
}

// whole reports whether a server has written an origin.
func (o Origin) whole() bool {
	_, err := netip.ParseAddr(o.Host)
	return err == nil && o.Connection > 0 && o.Server != "" && o.Account != ""
}

// decode reads a payload, which must be one JSON object. Its error says which
// field is wrong; what was sent is not repeated.
func decode(data []byte, v any) error {
	if err := tooLong(data); err != nil {
		return err
	}
	data = bytes.TrimSpace(data)
	if len(data) == 0 || data[0] != '{' {
		return chat.Errorf(chat.Arguments, "The request is not a JSON object.")
	}
	err := json.Unmarshal(data, v)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong):
		return chat.Errorf(chat.Arguments, "The field %q must be a %s.", wrong.Field, kind(wrong.Type.String()))
	}
	return chat.Errorf(chat.Arguments, "The request is not valid JSON.")
}

func tooLong(request []byte) error {
	if len(request) > chat.MaxPayload {
		return chat.Errorf(chat.TooLong, "The request has %d bytes; the limit is %d.", len(request), chat.MaxPayload)
	}
	return nil
}

func kind(goType string) string {
	switch {
	case strings.HasPrefix(goType, "[]"):
		return "list"
	case strings.HasPrefix(goType, "int"), strings.HasPrefix(goType, "uint"):
		return "whole number"
	case goType == "bool":
		return "true or false"
	case strings.HasPrefix(goType, "map["):
		return "JSON object"
	}
	return "text"
}

// oneLine makes a sentence fit for a header.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
