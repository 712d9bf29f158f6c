package broker

// Recent remembers the last keys that it was given, at most as many as it was made for.
type Recent[K comparable] struct {
	most int
	keys map[K]struct{}
	ring []K // in the order in which they came; when it is full, next is the oldest
	next int
}

// NewRecent makes a Recent for so many keys.
func NewRecent[K comparable](most int) *Recent[K] {
	return &Recent[K]{most: most, keys: map[K]struct{}{}}
}

// Has reports whether a key is among them.
func (r *Recent[K]) Has(k K) bool {
	_, ok := r.keys[k]
	return ok
}

// Add remembers a key, and forgets the oldest one if there are too many. It reports
// whether the key is new.
func (r *Recent[K]) Add(k K) bool {
	if r.Has(k) {
		return false
	}
	r.keys[k] = struct{}{}
	if len(r.ring) < r.most {
		r.ring = append(r.ring, k)
		return true
	}
	delete(r.keys, r.ring[r.next])
	r.ring[r.next] = k
	r.next = (r.next + 1) % r.most
	return true
}
