package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
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
	Host       string `json:"host"` // IP
	Connection uint64 `json:"id"`   // the server's number for the connection
	Server     string `json:"svr"`  // the server's name
}

// handleFor is how long a request may be worked on.
const handleFor = 10 * time.Second

// atOnce is how many requests one replica works on at the same time; further ones
// wait at the broker.
const atOnce = 1024

// Service serves routes as the endpoints of one NATS micro service, which all
// replicas share.
type Service struct {
	nc      *nats.Conn
	svc     micro.Service
	log     *slog.Logger
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	slots   chan struct{}
	ignored atomic.Uint64
}

// NewService announces the micro service "chatcoord" on nc, a connection with
// chat.AnsweringGrant.
func NewService(nc *nats.Conn, log *slog.Logger) (*Service, error) {
	svc, err := micro.AddService(nc, micro.Config{
		Name:        "chatcoord",
		Version:     chat.Release,
		Description: "names, invitations and sessions of natter",
	})
	if err != nil {
		return nil, fmt.Errorf("announce the service: %w", err)
	}
	s := &Service{nc: nc, svc: svc, log: log, slots: make(chan struct{}, atOnce)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Stop takes no further requests and waits for those under way.
func (s *Service) Stop() {
	if err := s.svc.Stop(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		s.log.Debug("stop the service", "err", err)
	}
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

// Ignored counts requests that were not answered because they asked for the answer
// to be sent somewhere else, or were not addressed by anybody.
func (s *Service) Ignored() uint64 { return s.ignored.Load() }

// Handle serves a route. An error of fn that is a *chat.Error is the answer; any
// other is a fault: it is logged, and the asker reads "internal error".
func Handle[Q, R any](s *Service, r chat.Request[Q, R], fn func(ctx context.Context, c Caller, q Q) (R, error)) error {
	name := r.Kind
	if r.From() != chat.AUser {
		name = string(r.From()) + "-" + r.Kind
	}
	serve := func(req micro.Request) {
		s.slots <- struct{}{}
		s.wg.Go(func() {
			defer func() { <-s.slots }()
			c, ok := caller(r.Route, req)
			if !ok {
				s.ignored.Add(1)
				s.log.Debug("request ignored", "subject", req.Subject(), "reply", req.Reply())
				return
			}
			s.answer(req, r.Route, func(ctx context.Context) (any, error) {
				var q Q
				if err := decode(req.Data(), &q); err != nil {
					return nil, err
				}
				return fn(ctx, c, q)
			})
		})
	}
	err := s.svc.AddEndpoint(name, micro.HandlerFunc(serve),
		micro.WithEndpointSubject(r.Wildcard()),
		micro.WithEndpointMetadata(map[string]string{"description": r.Doc, "subject": r.Pattern()}))
	if err != nil {
		return fmt.Errorf("serve %s: %w", r.Pattern(), err)
	}
	return nil
}

func (s *Service) answer(req micro.Request, r *chat.Route, work func(context.Context) (any, error)) {
	ctx, cancel := context.WithTimeout(s.ctx, handleFor)
	defer cancel()
	reply, err := work(ctx)
	if err == nil {
		err = req.RespondJSON(reply)
		if err != nil {
			s.log.Error("answer", "subject", req.Subject(), "err", err)
		}
		return
	}
	var told *chat.Error
	if !errors.As(err, &told) {
		s.log.Error("request failed", "subject", req.Subject(), "err", err)
		told = chat.Errorf(chat.Internal, "The coordinator reports an internal error; its log says more.")
	}
	body, _ := json.Marshal(told) // strings only
	if err := req.Error(string(told.Code), oneLine(told.Text), body); err != nil {
		s.log.Error("answer", "subject", req.Subject(), "err", err)
	}
}

// caller finds out who asks. It is false if the answer would go anywhere but into
// the asker's own inbox.
func caller(r *chat.Route, req micro.Request) (Caller, bool) {
	route, a, ok := chat.Parse(req.Subject())
	if !ok || route != r {
		return Caller{}, false
	}
	inbox := chat.Inbox(a.User)
	switch r.From() {
	case chat.Anyone:
		inbox = chat.ImportInbox
	case chat.Operator:
		inbox = chat.AdminInbox
	}
	if !strings.HasPrefix(req.Reply(), inbox+".") {
		return Caller{}, false
	}
	return Caller{User: a.User, Origin: origin(r, req.Headers())}, true
}

// origin reads what the server says of a request that came from another account.
func origin(r *chat.Route, h micro.Headers) Origin {
	var o Origin
	if r.From() == chat.Anyone {
		_ = json.Unmarshal([]byte(h.Get("Nats-Request-Info")), &o) // what is not there stays empty
	}
	return o
}

// decode reads a payload, which must be one JSON object. Its error says which
// field is wrong; what was sent is not repeated.
func decode(data []byte, v any) error {
	if len(data) > chat.MaxPayload {
		return chat.Errorf(chat.TooLong, "The request has %d bytes; the limit is %d.", len(data), chat.MaxPayload)
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

func kind(goType string) string {
	switch {
	case strings.HasPrefix(goType, "[]"):
		return "list"
	case strings.HasPrefix(goType, "int"), strings.HasPrefix(goType, "uint"):
		return "whole number"
	case goType == "bool":
		return "true or false"
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
