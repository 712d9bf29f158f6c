package rpc

import (
	"crypto/rand"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"natter/chat"
)

// What "nats micro" shows is answered here, with the types of the library but not by
// it. The library counts a request as done, and as well done, when its handler
// returns, which here is before the work begins; and it answers to wherever a request
// points.

const description = "names, invitations and sessions of natter"

// identity is what tells one replica from another.
func identity() micro.ServiceIdentity {
	return micro.ServiceIdentity{
		Name: "chatcoord", ID: rand.Text(), Version: chat.Release,
		Metadata: map[string]string{"protocol": strconv.Itoa(chat.Proto)},
	}
}

// announce answers those who ask for services: all, those of this name, or this one.
func (s *Service) announce() error {
	for verb, answer := range map[micro.Verb]func() any{
		micro.PingVerb:  func() any { return micro.Ping{ServiceIdentity: s.self, Type: micro.PingResponseType} },
		micro.InfoVerb:  func() any { return s.Info() },
		micro.StatsVerb: func() any { return s.Stats() },
	} {
		for _, address := range [][2]string{{}, {s.self.Name}, {s.self.Name, s.self.ID}} {
			subject, err := micro.ControlSubject(verb, address[0], address[1])
			if err != nil {
				return err
			}
			if err := s.listen(subject, "", func(req *nats.Msg) { s.tell(req, answer()) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// tell answers an observer. It goes to an inbox only: an observer that chose another
// subject would have the coordinator publish there.
func (s *Service) tell(req *nats.Msg, v any) {
	if !strings.HasPrefix(req.Reply, chat.ObserverInboxes+".") {
		s.ignored.Add(1)
		s.log.Debug("request ignored", "subject", req.Subject, "reply", req.Reply)
		return
	}
	data, err := json.Marshal(v)
	if err == nil {
		err = req.Respond(data)
	}
	if err != nil {
		s.log.Warn("answer", "subject", req.Subject, "err", err)
	}
}

// Info describes the service and its endpoints, as "nats micro info" shows them.
func (s *Service) Info() micro.Info {
	info := micro.Info{ServiceIdentity: s.self, Type: micro.InfoResponseType, Description: description, Endpoints: []micro.EndpointInfo{}}
	for _, e := range s.served() {
		info.Endpoints = append(info.Endpoints, micro.EndpointInfo{
			Name: e.name, Subject: e.route.Wildcard(), QueueGroup: micro.DefaultQueueGroup,
			Metadata: map[string]string{
				"description": e.route.Doc, "subject": e.route.Pattern(),
				"request_schema": chat.Schema(e.route.Payload), "reply_schema": chat.Schema(e.route.Reply),
			},
		})
	}
	return info
}

// Stats counts what this replica has answered, as "nats micro stats" shows it.
func (s *Service) Stats() micro.Stats {
	stats := micro.Stats{ServiceIdentity: s.self, Type: micro.StatsResponseType, Started: s.started, Endpoints: []*micro.EndpointStats{}}
	for _, e := range s.served() {
		stats.Endpoints = append(stats.Endpoints, e.stats())
	}
	return stats
}

func (s *Service) served() []*endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endpoints[:len(s.endpoints):len(s.endpoints)]
}

// endpoint is a route that is served, and how that went so far.
type endpoint struct {
	name  string
	route *chat.Route

	mu    sync.Mutex
	count micro.EndpointStats
}

// newEndpoint names an endpoint: by its kind, and those that are not for users also
// by whom they are for.
func newEndpoint(r *chat.Route) *endpoint {
	name := r.Kind
	if r.From() != chat.AUser {
		name = string(r.From()) + "-" + r.Kind
	}
	return &endpoint{name: name, route: r, count: micro.EndpointStats{Name: name, Subject: r.Wildcard(), QueueGroup: micro.DefaultQueueGroup}}
}

func (e *endpoint) note(took time.Duration, told *chat.Error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.count.NumRequests++
	e.count.ProcessingTime += took
	if told != nil {
		e.count.NumErrors++
		e.count.LastError = string(told.Code) + ":" + oneLine(told.Text)
	}
}

func (e *endpoint) stats() *micro.EndpointStats {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.count
	if c.NumRequests > 0 {
		c.AverageProcessingTime = c.ProcessingTime / time.Duration(c.NumRequests)
	}
	return &c
}
