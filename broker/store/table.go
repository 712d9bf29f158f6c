package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"natter/chat"
)

// Row is a record with its key and the revision of its last change.
type Row[R any] struct {
	Key      string
	Revision uint64
	Record   R
}

// Change is a record before and after a step. Records are values: they are shared
// and never modified.
type Change[R any] struct {
	Row[R]
	Before R
	Known  bool // there was a record before
	Own    bool // this replica made the step
}

// Table is the records of one kind in a Log: those of the subjects
// natter.state.<kind>.<key>.
type Table[R any] struct {
	kind      string
	cfg       TableConfig[R]
	log       *Log
	committed rows[R] // guarded by log.mu; only the log's goroutine changes it
	pending   rows[R] // what steps under way have put in place of committed ones; the log's goroutine's own
	changes   []Change[R]
}

// TableConfig says what a table must know of its records.
type TableConfig[R any] struct {
	Gone       func(R) bool     // the record is a tombstone: kept for those who ask for its key, then purged
	Index      func(R) []string // the words under which By finds the record
	Tombstones func(R) []string // and those under which it finds a tombstone, as long as there is one; nil: none
	Changed    func(Change[R])  // called in the order of revisions on the log's goroutine: must neither block nor Step
}

type rows[R any] struct {
	byKey   map[string]Row[R]
	byIndex map[string][]string // the keys under each word, sorted
	alive   int
}

// View says whether rows are read as they are or, inside a rule, as they will be.
type View int

// The views. A rule is handed the one that it must read; everybody else reads Committed.
const (
	Committed View = iota
	tentative
)

// NewTable adds a table to a log. Tables are added before the log runs.
func NewTable[R any](l *Log, kind string, cfg TableConfig[R]) *Table[R] {
	t := &Table[R]{kind: kind, cfg: cfg, log: l}
	t.reset()
	l.tables[kind] = t
	return t
}

// Get finds a record, tombstones included.
func (t *Table[R]) Get(v View, key string) (Row[R], bool) {
	if v == Committed {
		t.log.mu.RLock()
		defer t.log.mu.RUnlock()
	} else if row, ok := t.pending.byKey[key]; ok {
		return row, true
	}
	row, ok := t.committed.byKey[key]
	return row, ok
}

// Sync waits until this replica has seen everything that was stored when it was
// asked to.
func (t *Table[R]) Sync(ctx context.Context) error { return t.log.Sync(ctx) }

// Installation is that of the log.
func (t *Table[R]) Installation() string { return t.log.Installation() }

// Len counts the records that are not tombstones.
func (t *Table[R]) Len(v View) int {
	if v == Committed {
		t.log.mu.RLock()
		defer t.log.mu.RUnlock()
		return t.committed.alive
	}
	n := t.committed.alive + t.pending.alive
	for key := range t.pending.byKey {
		if row, ok := t.committed.byKey[key]; ok && !t.gone(row.Record) {
			n--
		}
	}
	return n
}

// By finds the records under an index word, ordered by key. Tombstones have words of their
// own.
func (t *Table[R]) By(v View, word string) []Row[R] {
	if v == Committed {
		t.log.mu.RLock()
		defer t.log.mu.RUnlock()
		return t.committed.by(word, nil)
	}
	found := t.committed.by(word, t.pending.byKey)
	if changed := t.pending.by(word, nil); len(changed) > 0 {
		found = append(found, changed...)
		slices.SortFunc(found, func(a, b Row[R]) int { return strings.Compare(a.Key, b.Key) })
	}
	return found
}

// Snapshot returns the committed records that are not tombstones, in no order.
func (t *Table[R]) Snapshot() []Row[R] {
	t.log.mu.RLock()
	defer t.log.mu.RUnlock()
	all := make([]Row[R], 0, t.committed.alive)
	for _, row := range t.committed.byKey {
		if !t.gone(row.Record) {
			all = append(all, row)
		}
	}
	return all
}

func (t *Table[R]) gone(r R) bool { return t.cfg.Gone != nil && t.cfg.Gone(r) }

func (t *Table[R]) subject(key string) string { return chat.StateRoot + "." + t.kind + "." + key }

// anyTable is what the log asks of a table without knowing its records.
type anyTable interface {
	commit(c change, revision uint64, own bool) (gone bool, err error)
	replaceTombstone(key string, revision uint64) (change, error)
	revert(key string)
	forget(key string, revision uint64)
	announce()
	keys() map[string]bool
	subject(key string) string
	revision(key string) uint64
}

// commit takes a record from the stream, or one of our own that was acknowledged.
func (t *Table[R]) commit(c change, revision uint64, own bool) (bool, error) {
	var r R
	if err := json.Unmarshal(c.data, &r); err != nil {
		return false, fmt.Errorf("record %s at revision %d: %w", t.subject(c.key), revision, err)
	}
	before, known := t.committed.byKey[c.key]
	row := Row[R]{c.key, revision, r}
	t.put(&t.committed, row)
	t.drop(&t.pending, c.key)
	if c.tombstone != second || !known || !t.gone(before.Record) { // or the first one was missed
		t.changes = append(t.changes, Change[R]{Row: row, Before: before.Record, Known: known, Own: own})
	}
	return t.gone(r), nil
}

// change is what a record wants to be stored.
func (t *Table[R]) change(key string, r R) (change, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return change{}, fmt.Errorf("encode %s: %w", t.subject(key), err)
	}
	c := change{table: t, key: key, data: data, apply: func(revision uint64) { t.put(&t.pending, Row[R]{key, revision, r}) }}
	if t.gone(r) {
		c.tombstone = first
	}
	return c, nil
}

// replaceTombstone is a second tombstone for the one of a revision, if that still stands.
func (t *Table[R]) replaceTombstone(key string, revision uint64) (change, error) {
	row, ok := t.Get(tentative, key)
	if !ok || row.Revision != revision {
		return change{}, nil
	}
	c, err := t.change(key, row.Record)
	c.tombstone = second
	return c, err
}

// announce tells what has been committed; the log holds no lock.
func (t *Table[R]) announce() {
	changes := t.changes
	t.changes = nil
	for _, c := range changes {
		if t.cfg.Changed != nil {
			t.cfg.Changed(c)
		}
	}
}

// revert makes the tentative record what the committed one is.
func (t *Table[R]) revert(key string) { t.drop(&t.pending, key) }

// forget drops a tombstone that nothing has taken the place of.
func (t *Table[R]) forget(key string, revision uint64) {
	for _, r := range []*rows[R]{&t.committed, &t.pending} {
		if row, ok := r.byKey[key]; ok && row.Revision <= revision {
			t.drop(r, key)
		}
	}
}

func (t *Table[R]) keys() map[string]bool {
	keys := make(map[string]bool, len(t.committed.byKey))
	for k := range t.committed.byKey {
		keys[k] = true
	}
	return keys
}

// revision is that of the committed record; only the log's goroutine, which alone changes it, asks.
func (t *Table[R]) revision(key string) uint64 { return t.committed.byKey[key].Revision }

func (t *Table[R]) reset() {
	for _, r := range []*rows[R]{&t.committed, &t.pending} {
		*r = rows[R]{byKey: map[string]Row[R]{}, byIndex: map[string][]string{}}
	}
}

func (t *Table[R]) put(r *rows[R], row Row[R]) {
	t.drop(r, row.Key)
	r.byKey[row.Key] = row
	if !t.gone(row.Record) {
		r.alive++
	}
	for _, word := range t.words(row.Record) {
		keys := r.byIndex[word]
		if i, found := slices.BinarySearch(keys, row.Key); !found {
			r.byIndex[word] = slices.Insert(keys, i, row.Key)
		}
	}
}

func (t *Table[R]) drop(r *rows[R], key string) {
	old, ok := r.byKey[key]
	if !ok {
		return
	}
	delete(r.byKey, key)
	if !t.gone(old.Record) {
		r.alive--
	}
	for _, word := range t.words(old.Record) {
		keys := r.byIndex[word]
		i, found := slices.BinarySearch(keys, key)
		switch {
		case !found:
		case len(keys) == 1:
			delete(r.byIndex, word)
		default:
			r.byIndex[word] = slices.Delete(keys, i, i+1)
		}
	}
}

// by returns the rows under a word, without those whose keys are in the other map.
func (r *rows[R]) by(word string, without map[string]Row[R]) []Row[R] {
	keys := r.byIndex[word]
	if len(keys) == 0 {
		return nil
	}
	found := make([]Row[R], 0, len(keys))
	for _, key := range keys {
		if _, not := without[key]; !not {
			found = append(found, r.byKey[key])
		}
	}
	return found
}

func (t *Table[R]) words(r R) []string {
	index := t.cfg.Index
	if t.gone(r) {
		index = t.cfg.Tombstones
	}
	if index == nil {
		return nil
	}
	return index(r)
}
