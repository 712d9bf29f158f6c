package faults

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// What a record is about.
const (
	Born    = "born"    // a life of a user begins: they have their name
	Dead    = "dead"    // a life ends, without a goodbye
	Said    = "said"    // the user's program took Text to send it
	Failed  = "failed"  // the user was told that Text was not delivered
	Heard   = "heard"   // the user was shown Text from From
	Opened  = "opened"  // a chat began, as the user was told
	Ended   = "ended"   // a chat was over, as the user was told
	Left    = "left"    // From left the chat, as the user was told
	Invited = "invited" // the user was asked
	Over    = "over"    // an invitation ended without a chat: Reason
	Open    = "open"    // at the end of the run, the chat that the user is in
	Out     = "out"     // the user was told that the server no longer wants them
	Robbed  = "robbed"  // somebody with another key got the name
	Listed  = "listed"  // a list was shown: Members
)

// Record is one thing that a user did or saw.
type Record struct {
	At      time.Duration `json:"at"` // since the run began, by the monotonic clock
	Who     string        `json:"who"`
	Life    int           `json:"life"` // of the user's program: 1, 2, ...
	What    string        `json:"what"`
	Session string        `json:"session,omitempty"`
	Members []string      `json:"members,omitempty"`
	From    string        `json:"from,omitempty"`
	Text    string        `json:"text,omitempty"`
	Reason  string        `json:"reason,omitempty"`
}

// Log collects the records of a run, in the order in which they were made.
type Log struct {
	began time.Time

	mu      sync.Mutex
	records []Record
}

// NewLog begins a run.
func NewLog() *Log { return &Log{began: time.Now()} }

// Add notes a record, with the time.
func (l *Log) Add(r Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.At = time.Since(l.began)
	l.records = append(l.records, r)
}

// Records are those made so far.
func (l *Log) Records() []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Record(nil), l.records...)
}

// Take returns the records made so far, and forgets them.
func (l *Log) Take() []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.records
	l.records = nil
	return taken
}

// Write writes records as JSON lines.
func Write(w io.Writer, records []Record) error {
	e := json.NewEncoder(w)
	for _, r := range records {
		if err := e.Encode(r); err != nil {
			return fmt.Errorf("write records: %w", err)
		}
	}
	return nil
}

// Read reads what Write has written.
func Read(r io.Reader) ([]Record, error) {
	d := json.NewDecoder(bufio.NewReader(r))
	var records []Record
	for {
		var one Record
		err := d.Decode(&one)
		if errors.Is(err, io.EOF) {
			return records, nil
		}
		if err != nil {
			return records, fmt.Errorf("read records: %w", err)
		}
		records = append(records, one)
	}
}
