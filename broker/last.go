package broker

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Last reads the last record of a subject from the stream's leader. A direct get, which the
// library prefers, is answered by any server of a replicated stream, also by one that is
// behind and does not know it. errors.Is finds jetstream.ErrMsgNotFound.
func Last(ctx context.Context, nc *nats.Conn, stream, subject string) (data []byte, revision uint64, err error) {
	return record(ctx, nc, stream, map[string]any{"last_by_subj": subject})
}

// Next finds the sequence of the first record from a sequence on, asking the leader too.
func Next(ctx context.Context, nc *nats.Conn, stream string, from uint64) (revision uint64, err error) {
	_, revision, err = record(ctx, nc, stream, map[string]any{"seq": from, "next_by_subj": ">"})
	return revision, err
}

func record(ctx context.Context, nc *nats.Conn, stream string, which map[string]any) (data []byte, revision uint64, err error) {
	q, err := json.Marshal(which)
	if err != nil {
		return nil, 0, err
	}
	m, err := nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, q)
	if err != nil {
		return nil, 0, err
	}
	var reply struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Sequence uint64 `json:"seq"`
			Data     []byte `json:"data"`
		} `json:"message"`
	}
	switch err := json.Unmarshal(m.Data, &reply); {
	case err != nil:
		return nil, 0, fmt.Errorf("the answer of %s: %w", stream, err)
	case reply.Error != nil && reply.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, 0, jetstream.ErrMsgNotFound
	case reply.Error != nil:
		return nil, 0, reply.Error
	}
	return reply.Message.Data, reply.Message.Sequence, nil
}
