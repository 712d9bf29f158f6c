package store

import (
	"context"
	"errors"

	"natter/broker"
	"natter/chat"
)

// step is a rule that waits for its turn.
type step struct {
	ctx      context.Context
	rule     func() (change, error)
	done     chan outcome
	answered bool // owned by the log's goroutine
}

// change is what a rule wants: a record for a key of a table. Without a table there
// is nothing to store.
type change struct {
	table     anyTable
	key       string
	data      []byte
	tombstone tombstone
	apply     func(revision uint64) // tentatively
}

type outcome struct {
	revision uint64
	err      error
}

var errBusy = chat.Errorf(chat.Timeout, "The coordinator could not carry this out in time; try again.")

// Step runs a rule and commits the record that it returns; chat.ErrUnchanged returns the
// record as it is. The rule may run several times, on the view that it is handed,
// and must depend on nothing else that changes. The revision returned is one at
// which the record was true. Any other error of the rule is returned as it is, once
// it is certain that what the rule saw is what is stored.
//
// An error with code Timeout says that the step was not carried out before ctx ended,
// or that its record may have been stored and nothing is left to tell.
func Step[R any](ctx context.Context, t *Table[R], rule func(View) (key string, r R, err error)) (Row[R], error) {
	var row Row[R]
	s := &step{ctx: ctx, done: make(chan outcome, 1)}
	s.rule = func() (change, error) {
		key, r, err := rule(tentative)
		if err != nil && !errors.Is(err, chat.ErrUnchanged) {
			return change{}, err
		}
		row = Row[R]{Key: key, Record: r}
		if err != nil {
			return change{}, nil
		}
		return t.change(key, r)
	}
	o := t.log.hand(s)
	if o.err != nil {
		return Row[R]{}, o.err
	}
	row.Revision = o.revision
	return row, nil
}

// Update is Step for a rule that changes one record; one that is not there is the zero R.
func (t *Table[R]) Update(ctx context.Context, key string, rule func(View, R) (R, error)) (Row[R], error) {
	return Step(ctx, t, func(v View) (string, R, error) {
		row, _ := t.Get(v, key)
		after, err := rule(v, row.Record)
		return key, after, err
	})
}

// hand gives a step to the log and waits for what becomes of it.
func (l *Log) hand(s *step) outcome {
	storing := l.watch.Storing()
	if storing.Err() != nil {
		return outcome{err: broker.Told(storing, errBusy)}
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel() // who was refused does not see it done later
	defer l.watch.Doubt()()
	s.ctx = ctx
	select {
	case l.steps <- s:
	case <-ctx.Done():
		return outcome{err: errBusy}
	case <-l.stop.Done():
		return outcome{err: errBusy}
	}
	select {
	case o := <-s.done:
		return o
	case <-ctx.Done():
	case <-storing.Done():
	case <-l.stop.Done():
	}
	select {
	case o := <-s.done: // both at once
		return o
	default:
		return outcome{err: broker.Told(storing, errBusy)}
	}
}

// answer tells what has become of the step, once.
func (s *step) answer(o outcome) {
	if !s.answered {
		s.answered = true
		s.done <- o
	}
}
