package presence

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"natter/broker/rpc"
	"natter/chat"
)

// DirectQueue is the queue group in which coordinators count direct messages.
const DirectQueue = "direct"

// fasterThan is how many times the rate a user may send direct messages: messages that were sent
// in time may arrive together.
const fasterThan = 1.5

// maxAnswer is how many bytes an answer to a direct message has at most. What is larger
// counts as a message.
const maxAnswer = 256

// Directs counts the direct messages of each sender. These do not pass the coordinator, so
// it receives a copy and reports a sender who is far over the rate. It knows nothing of blocks
// and receivers, so a sender learns nothing from it. It is safe for use by several goroutines.
//
// There must be a subscriber in any case: the server would answer a request to a user who does not
// exist with "no responders", and one to a hidden user not at all.
type Directs struct {
	texts, asks, answers *rpc.Buckets
	over                 func(chat.User)

	mu   sync.Mutex
	told map[chat.User]time.Time
}

// NewDirects returns a counter for a rate of direct messages a second; 0 is no limit. over
// is called with a sender who is faster, at most once in ten seconds.
func NewDirects(perSecond int, over func(chat.User)) *Directs {
	most := fasterThan * float64(perSecond)
	return &Directs{
		texts: rpc.NewBuckets(most), asks: rpc.NewBuckets(most), answers: rpc.NewBuckets(2 * most),
		over: over, told: map[chat.User]time.Time{},
	}
}

// Listen counts what arrives on a connection with chat.TappingGrant.
func (d *Directs) Listen(nc *nats.Conn) error {
	_, err := nc.QueueSubscribe(chat.Direct.Wildcard(), DirectQueue, func(m *nats.Msg) {
		if _, a, ok := chat.Parse(m.Subject); ok {
			d.Count(a, m.Data, time.Now())
		}
	})
	if err != nil {
		return err
	}
	return rpc.Settle(nc)
}

// Count counts one message.
func (d *Directs) Count(a chat.Address, data []byte, now time.Time) {
	wait := time.Duration(0)
	switch kindOf(data) {
	case answering:
		wait = d.answers.Take(string(a.User)+" "+string(a.To), now) // as many as the other one has asked for
	case asking:
		wait = d.asks.Take(string(a.User), now)
	default:
		wait = d.texts.TakeN(string(a.User), chat.DirectCost(len(data)), now)
	}
	if wait > 0 && d.due(a.User, now) {
		d.over(a.User)
	}
}

// tellAgain is how long a sender who was reported is not reported again.
const tellAgain = 10 * time.Second

// due reports whether a sender who is too fast has not been reported yet.
func (d *Directs) due(u chat.User, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if last, ok := d.told[u]; ok && now.Sub(last) < tellAgain {
		return false
	}
	for other, at := range d.told {
		if now.Sub(at) >= tellAgain {
			delete(d.told, other)
		}
	}
	d.told[u] = now
	return true
}

type directKind int

const (
	texting directKind = iota
	asking
	answering
)

// kindOf tells the steps of a direct message apart. What is none counts as a text.
func kindOf(data []byte) directKind {
	var step struct {
		N    uint64 `json:"n"`
		Ask  uint64 `json:"ask"`
		Here uint64 `json:"here"`
		Ack  uint64 `json:"ack"`
		Text string `json:"text"`
	}
	switch {
	case len(data) > maxAnswer || json.Unmarshal(data, &step) != nil || step.Text != "" || step.N > 0:
		return texting
	case step.Ask > 0:
		return asking
	case step.Here > 0 || step.Ack > 0:
		return answering
	}
	return texting
}
