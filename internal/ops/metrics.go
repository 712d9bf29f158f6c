package ops

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"natter/broker"
	"natter/broker/store"
	"natter/chat"
)

// Source is a coordinator as the figures see it. Each function may be called at any
// time, by several at once; one that is nil is not asked.
type Source struct {
	Ready     func() error // a sentence that says why it cannot serve now; must be there
	Users     func() (online, lost int)
	Sessions  func() (open, invitations int)
	Steps     func() store.LogMetrics
	Ignored   func() uint64                              // requests that were not answered: see broker.Service
	Refused   func() map[string]uint64                   // requests that were over a limit, by class
	Lobby     func() (now int, closed map[string]uint64) // connections without a user: see presence.Service.Lobby
	Minted    func() uint64                              // tickets
	Told      func() uint64                              // notices to users
	Dropped   func() uint64                              // lines of the console
	Connected func() map[string]bool
	Streams   func() map[string]broker.Usage
	AtLimit   func() []string // a sentence for each stream that is at its limit

	// Certificate is when the certificate expires, and a sentence about it; the zero time:
	// there is none.
	Certificate func() (expires time.Time, status string)
}

// The figures that the source is asked for. The page docs/operations.md lists them
// all; a test keeps it true.
var (
	usersOnline = figure("natter_users_online", "Users who hold a name, the lost ones included. The same on every replica.")
	usersLost   = figure("natter_users_lost", "Users who have lost their connection and are waited for. The same on every replica.")
	open        = figure("natter_sessions_open", "Open sessions. The same on every replica.")
	invitations = figure("natter_invitations_waiting", "Invitations that somebody has yet to answer. The same on every replica.")
	revision    = figure("natter_revision", "The last change of the state that this replica knows.")
	committed   = figure("natter_steps_committed_total", "Changes of the state that this replica has made.")
	repeated    = figure("natter_steps_repeated_total", "Steps that were run again because another replica was faster, or the store did not answer.")
	ignored     = figure("natter_requests_ignored_total", "Requests that were not answered, because their answer would have gone to somebody else.")
	limited     = figure("natter_requests_limited_total", "Requests that were over a limit, most of them not even answered.", "limit")
	inLobby     = figure("natter_lobby_connections", "Connections in the lobby, of those who have no name yet.")
	closed      = figure("natter_lobby_closed_total", "Connections without a user that this replica has closed, by reason: not used (idle), too many from one address (address), or hardly a connection left (room).", "reason")
	minted      = figure("natter_tickets_minted_total", "Tickets that this replica has made.")
	told        = figure("natter_notices_sent_total", "Notices that this replica has sent to users.")
	dropped     = figure("natter_console_lines_dropped_total", "Lines that the console did not show because it was behind.")
	connected   = figure("natter_broker_connected", "Whether a connection to the broker is up: 1 or 0.", "link")
	messages    = figure("natter_stream_messages", "Messages in a stream. Absent while the broker cannot be reached.", "stream")
	expires     = figure("natter_certificate_expiry_timestamp_seconds", "When the certificate must have been replaced, in seconds since 1970; of --tls auto, its CA. Absent without one.")
	full        = figure("natter_stream_full", "Whether a stream is at its limit and refuses what is new: 1 or 0. Absent while the broker cannot be reached.", "stream")
	bytes       = figure("natter_stream_bytes", "Bytes of a stream. Absent while the broker cannot be reached.", "stream")
)

func figure(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// meters are the figures that come about one at a time.
type meters struct {
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
	commits  prometheus.Histogram
}

// The buckets, in seconds: a commit takes a quarter of a millisecond on a local disk, a
// refused invitation 300 ms on purpose, and nothing more than ten seconds.
var (
	requestBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	commitBuckets  = []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5}
)

func newMeters() meters {
	return meters{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "natter_requests_total", Help: "Requests that this replica has answered, by route and by outcome: ok, or the code of the error.",
		}, []string{"route", "outcome"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "natter_request_duration_seconds", Help: "How long requests were worked on, by route.", Buckets: requestBuckets,
		}, []string{"route"}),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "natter_commit_duration_seconds", Help: "How long it took to store the steps that waited together.", Buckets: commitBuckets,
		}),
	}
}

// Answered counts a request: see broker.Service.Observe.
func (s *Server) Answered(route, outcome string, took time.Duration) {
	s.meters.requests.WithLabelValues(route, outcome).Inc()
	s.meters.took.WithLabelValues(route).Observe(took.Seconds())
}

// Committed counts an attempt to commit: see store.Log.Observe.
func (s *Server) Committed(took time.Duration) { s.meters.commits.Observe(took.Seconds()) }

func (s *Server) register() {
	build := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "natter_build_info", Help: "Always 1; the label is the version of the program.", ConstLabels: prometheus.Labels{"version": chat.Release},
	}, func() float64 { return 1 })
	s.registry.MustRegister(
		build, s.meters.requests, s.meters.took, s.meters.commits, sourced{s},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
}

// sourced collects what the source says when it is asked.
type sourced struct{ *Server }

// Describe implements prometheus.Collector.
func (sourced) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		usersOnline, usersLost, open, invitations, revision, committed, repeated,
		ignored, limited, inLobby, closed, minted, told, dropped, connected, messages, bytes, full, expires,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c sourced) Collect(to chan<- prometheus.Metric) {
	s := c.source.Load()
	if s == nil {
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	s.gauges(gauge)
	s.counters(func(d *prometheus.Desc, n uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	})
	s.ofBroker(gauge)
}

type setter func(d *prometheus.Desc, v float64, labels ...string)

func (s *Source) gauges(set setter) {
	if s.Users != nil {
		online, lost := s.Users()
		set(usersOnline, float64(online))
		set(usersLost, float64(lost))
	}
	if s.Sessions != nil {
		opened, waiting := s.Sessions()
		set(open, float64(opened))
		set(invitations, float64(waiting))
	}
	if s.Lobby != nil {
		now, _ := s.Lobby()
		set(inLobby, float64(now))
	}
	if s.Certificate != nil {
		if at, _ := s.Certificate(); !at.IsZero() {
			set(expires, float64(at.Unix()))
		}
	}
	if s.Steps != nil {
		set(revision, float64(s.Steps().Revision))
	}
}

func (s *Source) counters(set func(d *prometheus.Desc, n uint64, labels ...string)) {
	if s.Steps != nil {
		steps := s.Steps()
		set(committed, steps.Committed)
		set(repeated, steps.Repeated)
	}
	if s.Refused != nil {
		for limit, n := range s.Refused() {
			set(limited, n, limit)
		}
	}
	if s.Lobby != nil {
		_, ended := s.Lobby()
		for reason, n := range ended {
			set(closed, n, reason)
		}
	}
	for d, count := range map[*prometheus.Desc]func() uint64{ignored: s.Ignored, minted: s.Minted, told: s.Told, dropped: s.Dropped} {
		if count != nil {
			set(d, count())
		}
	}
}

func (s *Source) ofBroker(set setter) {
	if s.Connected != nil {
		for link, up := range s.Connected() {
			set(connected, oneIf(up), link)
		}
	}
	if s.Streams != nil {
		for stream, use := range s.Streams() {
			set(messages, float64(use.Messages), stream)
			set(bytes, float64(use.Bytes), stream)
			set(full, oneIf(use.Full), stream)
		}
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
