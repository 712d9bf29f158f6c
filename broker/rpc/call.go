package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"natter/chat"
)

// tryFor is how long a try of a call waits. Requests are safe to repeat, so a coordinator
// that dies with one in its hands costs the asker only this. One that is held up gets its
// share of the tries until the broker notices, so there are many of them, first in quick
// succession, but fewer than a coordinator allows one asker at once.
func tryFor(try int) time.Duration {
	if try < 4 {
		return 500 * time.Millisecond
	}
	return time.Second
}

// restFor is how long the answers to the other tries are waited for when one was refused.
const restFor = 2 * time.Second

// maxAnswer bounds an answer, in bytes: none of a coordinator is nearly as long.
const maxAnswer = 4 << 20

// maxValues bounds the values in what somebody else has sent: what they are decoded to takes much
// more memory than their text, and the longest list of a coordinator has not so many.
const maxValues = 1 << 17

// maxRefusal bounds a refusal, in bytes.
const maxRefusal = 64 << 10

var errTooMuch = errors.New("it is longer than any of the protocol")

// Decode decodes what may be hostile, of at most so many bytes. What has more, or more values than
// anything of the protocol, is refused before there is any of it.
func Decode(data []byte, most int, v any) error {
	if len(data) > most || values(data) > maxValues {
		return errTooMuch
	}
	return json.Unmarshal(data, v)
}

// values is about how many values a text in JSON has.
func values(data []byte) int {
	n, quoted, escaped := 1, false, false
	for _, b := range data {
		switch {
		case escaped:
			escaped = false
		case b == '"':
			quoted = !quoted
		case quoted:
			escaped = b == '\\'
		case b == ',', b == '[', b == '{':
			n++
		}
	}
	return n
}

// Call sends a request and waits for its answer until ctx is done. A caller that asks too fast
// is throttled: Call asks again when the coordinator says, if there is time. Its error is
// a *chat.Error: the coordinator's own, NotConnected while the connection is down, or
// Timeout when no coordinator answers.
func Call[Q, R any](ctx context.Context, nc *nats.Conn, r chat.Request[Q, R], a chat.Address, q Q) (R, error) {
	return call(ctx, nc, r, a, q, tryFor)
}

// CallOnce is Call for what is not to be done twice: it waits for the one answer.
func CallOnce[Q, R any](ctx context.Context, nc *nats.Conn, r chat.Request[Q, R], a chat.Address, q Q) (R, error) {
	return call(ctx, nc, r, a, q, func(int) time.Duration { return handleFor })
}

func call[Q, R any](ctx context.Context, nc *nats.Conn, r chat.Request[Q, R], a chat.Address, q Q, tryFor func(int) time.Duration) (R, error) {
	var reply R
	data, err := json.Marshal(q)
	if err != nil {
		return reply, fmt.Errorf("encode %s: %w", r.Pattern(), err)
	}
	if err := tooLong(data); err != nil { // the server would close the connection for good
		return reply, err
	}
	for {
		msg, err := ask(ctx, nc, r.Subject(a), data, tryFor)
		if err != nil {
			return reply, err
		}
		if !refused(msg) {
			err := Decode(msg.Data, maxAnswer, &reply)
			if errors.Is(err, errTooMuch) {
				return reply, chat.Errorf(chat.Internal, "The coordinator's answer is too long.")
			}
			if err != nil {
				return reply, fmt.Errorf("decode the answer to %s: %w", r.Pattern(), err)
			}
			return reply, nil
		}
		told := &chat.Error{}
		if Decode(msg.Data, maxRefusal, told) != nil || told.Text == "" {
			told = chat.Errorf(chat.Internal, "The coordinator reports an internal error.")
		}
		if told.Code != chat.Rate || !pause(ctx, told.Wait) {
			return reply, told
		}
	}
}

// pause waits as long as the coordinator wants. It is false at once if ctx is done before.
func pause(ctx context.Context, wait time.Duration) bool {
	if until, ok := ctx.Deadline(); ok && time.Until(until) <= wait {
		return false
	}
	select {
	case <-time.After(max(wait, tryFor(0))):
		return true
	case <-ctx.Done():
		return false
	}
}

// ask sends a request again and again until there is an answer, to whichever try: on a slow
// line, or from a coordinator with much to do, that of the first comes when the next one has
// been sent already.
func ask(ctx context.Context, nc *nats.Conn, subject string, data []byte, tryFor func(int) time.Duration) (*nats.Msg, error) {
	tries := &tries{nc: nc, came: make(chan answer)}
	all, cancel := context.WithCancel(ctx)
	defer tries.wg.Wait()
	defer cancel()
	for n := 0; ctx.Err() == nil; n++ {
		tries.send(all, subject, data)
		msg, err := tries.wait(ctx, tryFor(n))
		switch {
		case msg != nil:
			return tries.rest(ctx, msg), nil
		case errors.Is(err, nats.ErrMaxPayload):
			return nil, chat.Errorf(chat.TooLong, "That is too long to be sent.")
		case err != nil:
			return nil, chat.Errorf(chat.NotConnected, "Not connected to the server.")
		}
	}
	if !nc.IsConnected() {
		return nil, chat.Errorf(chat.NotConnected, "Not connected to the server.")
	}
	return nil, chat.Errorf(chat.Timeout, "The coordinator does not answer.")
}

// tries are those of one request that wait for an answer.
type tries struct {
	nc   *nats.Conn
	wg   sync.WaitGroup
	came chan answer
	open int
}

type answer struct {
	msg *nats.Msg
	err error
}

func (t *tries) send(ctx context.Context, subject string, data []byte) {
	t.open++
	t.wg.Go(func() {
		msg, err := t.nc.RequestWithContext(ctx, subject, data)
		select {
		case t.came <- answer{msg, err}:
		case <-ctx.Done():
		}
	})
}

// wait waits for an answer as long as a try may take. It returns neither an answer nor an
// error if there is to be another one.
func (t *tries) wait(ctx context.Context, long time.Duration) (*nats.Msg, error) {
	late := time.NewTimer(long)
	defer late.Stop()
	for {
		select {
		case a := <-t.came:
			t.open--
			switch {
			case a.err == nil:
				return a.msg, nil
			case !errors.Is(a.err, nats.ErrNoResponders) && ctx.Err() == nil:
				return nil, a.err
			case t.open == 0: // a coordinator that is starting
				late.Reset(100 * time.Millisecond)
			}
		case <-late.C:
			return nil, nil
		case <-ctx.Done():
			return nil, nil
		}
	}
}

// rest is the answer that counts. Of a request that was refused another try may have been
// carried out, before or afterwards: what is under way is waited for, but not for long.
func (t *tries) rest(ctx context.Context, first *nats.Msg) *nats.Msg {
	late := time.NewTimer(restFor)
	defer late.Stop()
	for t.open > 0 && refused(first) {
		select {
		case a := <-t.came:
			t.open--
			if a.err == nil && !refused(a.msg) {
				return a.msg
			}
		case <-late.C:
			return first
		case <-ctx.Done():
			return first
		}
	}
	return first
}

func refused(msg *nats.Msg) bool { return msg.Header.Get(micro.ErrorCodeHeader) != "" }

// Settle waits until the server has dealt with everything that was sent, and returns
// what it did not permit. Other errors that a connection has noted do not count: anybody
// who may send it something can cause one, with a header that cannot be read.
func Settle(nc *nats.Conn) error {
	if err := nc.FlushTimeout(2 * time.Second); err != nil {
		return err
	}
	if err := nc.LastError(); errors.Is(err, nats.ErrPermissionViolation) {
		return err
	}
	return nil
}

// Tell publishes a notice.
func Tell[M any](nc *nats.Conn, r chat.Notice[M], a chat.Address, m M) error {
	return TellAll(nc, r, []chat.Address{a}, m)
}

// TellAll publishes a notice to several addresses, and encodes it once.
func TellAll[M any](nc *nats.Conn, r chat.Notice[M], to []chat.Address, m M) error {
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode %s: %w", r.Pattern(), err)
	}
	for _, a := range to {
		if err := nc.Publish(r.Subject(a), data); err != nil {
			return err
		}
	}
	return nil
}
