package chattest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker/brokertest"
	"natter/internal/chattest"
)

// BenchmarkMessage measures one lone message of 256 bytes from Say to the receiver's
// event, next to a plain nats.go publish to a subscription on the same server, in
// turns, and reports the medians and their ratio.
func BenchmarkMessage(b *testing.B) {
	in := chattest.Run(b, rates(0, 0))
	alice, bob := in.User("alice"), in.User("bob")
	chattest.Chat(alice, bob)
	text := strings.Repeat("x", 256)

	plain := plainPair(b, in)
	var ours, theirs []time.Duration
	for b.Loop() {
		begin := time.Now()
		if err := alice.Say(text); err != nil {
			b.Fatal(err)
		}
		chattest.Wait[chattest.Text](bob)
		ours = append(ours, time.Since(begin))

		theirs = append(theirs, plain([]byte(text)))
	}
	p50 := func(d []time.Duration) float64 {
		slices.Sort(d)
		return float64(d[len(d)/2].Nanoseconds()) / 1000
	}
	b.ReportMetric(p50(ours), "natter-p50-µs")
	b.ReportMetric(p50(theirs), "nats-p50-µs")
	b.ReportMetric(p50(ours)/p50(theirs), "ratio")
}

// plainPair is a publisher and a subscriber that know nothing of chat.
func plainPair(b *testing.B, in *chattest.Installation) func([]byte) time.Duration {
	b.Helper()
	from := brokertest.Member(b, in.Server, "plain", "bench")
	to := brokertest.Member(b, in.Server, "other", "bench")
	arrived := make(chan *nats.Msg, 1)
	if _, err := to.Subscribe("chat.session.bench.msg.*", func(m *nats.Msg) { arrived <- m }); err != nil {
		b.Fatal(err)
	}
	if err := to.Flush(); err != nil {
		b.Fatal(err)
	}
	return func(data []byte) time.Duration {
		begin := time.Now()
		if err := from.Publish("chat.session.bench.msg.plain", data); err != nil {
			b.Fatal(err)
		}
		<-arrived
		return time.Since(begin)
	}
}

// BenchmarkLogin measures how long somebody new waits from dialling to being seen.
func BenchmarkLogin(b *testing.B) {
	in := chattest.Run(b)
	for i := 0; b.Loop(); i++ {
		in.User(fmt.Sprintf("user%d", i))
	}
}
