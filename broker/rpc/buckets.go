package rpc

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"natter/chat"
)

// Buckets keep each of many askers to a rate: so many a second for long, and
// chat.BurstFactor times as many at once. nil keeps nobody to anything.
type Buckets struct {
	rate  rate.Limit
	burst int

	mu  sync.Mutex
	all keyed[rate.Limiter]
}

// NewBuckets makes buckets for a rate per second; nil for 0.
func NewBuckets(perSecond float64) *Buckets {
	if perSecond <= 0 {
		return nil
	}
	b := &Buckets{rate: rate.Limit(perSecond), burst: burst(perSecond, chat.BurstFactor)}
	b.all = newKeyed(refill(chat.BurstFactor), b.fill)
	return b
}

// NewBucketsOf makes buckets for a rate per second that hold so many.
func NewBucketsOf(perSecond float64, size int) *Buckets {
	b := &Buckets{rate: rate.Limit(perSecond), burst: size}
	b.all = newKeyed(time.Duration(float64(size)/perSecond*float64(time.Second)), b.fill)
	return b
}

func burst(perSecond float64, factor int) int { return max(int(float64(factor)*perSecond), 1) }

// refill is how long an empty bucket takes to be full, whatever its rate.
func refill(factor int) time.Duration { return time.Duration(factor) * time.Second }

func (b *Buckets) fill(time.Time) *rate.Limiter { return rate.NewLimiter(b.rate, b.burst) }

// Take takes one out of an asker's bucket and returns 0, or how long it takes until there
// is one.
func (b *Buckets) Take(key string, now time.Time) time.Duration { return b.TakeN(key, 1, now) }

// Wait returns what Take would, and takes nothing.
func (b *Buckets) Wait(key string, now time.Time) time.Duration {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	missing := 1 - b.all.get(key, now).TokensAt(now)
	return max(time.Duration(missing/float64(b.rate)*float64(time.Second)), 0)
}

// TakeN is Take of several at once; of more than a bucket holds it takes all.
func (b *Buckets) TakeN(key string, n int, now time.Time) time.Duration {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return takeN(b.all.get(key, now), min(n, b.burst), now)
}

func take(l *rate.Limiter, now time.Time) time.Duration { return takeN(l, 1, now) }

func takeN(l *rate.Limiter, n int, now time.Time) time.Duration {
	if l.AllowN(now, n) {
		return 0
	}
	missing := float64(n) - l.TokensAt(now)
	return max(time.Duration(missing/float64(l.Limit())*float64(time.Second)), time.Nanosecond)
}

// keyed are values that nobody needs once they have been left alone for some time: a
// bucket is full again by then. They are kept in two generations; what is not asked for
// in one of them goes with it, so that forgetting costs nothing.
type keyed[V any] struct {
	life time.Duration
	make func(now time.Time) *V

	recent, older map[string]*V
	turned        time.Time
}

// mostKeys is how many values a generation has at most. Counting does not stop
// somebody who uses more addresses than that while a bucket fills; this bounds the memory.
const mostKeys = 1 << 16

func newKeyed[V any](life time.Duration, make func(time.Time) *V) keyed[V] {
	return keyed[V]{life: life, make: make, recent: map[string]*V{}}
}

func (k *keyed[V]) get(key string, now time.Time) *V {
	age := now.Sub(k.turned)
	if age >= k.life || len(k.recent) >= mostKeys {
		k.older, k.recent, k.turned = k.recent, map[string]*V{}, now
		if age >= 2*k.life {
			k.older = nil
		}
	}
	v, ok := k.recent[key]
	if !ok {
		if v, ok = k.older[key]; !ok {
			v = k.make(now)
		}
		k.recent[key] = v
	}
	return v
}

func (k *keyed[V]) len() int { return len(k.recent) + len(k.older) }

// somewhere stands for an address that is not known.
const somewhere = "somewhere"

// Network returns what counts as one asker of an address, with a port or without.
func Network(address string) string {
	if at, err := netip.ParseAddrPort(address); err == nil {
		return network(at.Addr().String())
	}
	return network(address)
}

// network is what counts as one asker in the lobby: an address, or of IPv6 what one
// household has.
func network(host string) string {
	const household = 64
	ip, err := netip.ParseAddr(host)
	switch ip = ip.Unmap(); {
	case err != nil:
		return somewhere
	case ip.Is4():
		return ip.String()
	}
	net, _ := ip.WithZone("").Prefix(household) // cannot fail
	return net.String()
}
