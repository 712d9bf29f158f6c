package coord

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"natter/broker/ticket"
)

// revoker revokes tickets at an existing NATS: it signs the account of the users again, in place of
// the operator.
type revoker struct {
	nc      *nats.Conn // in the system account
	account string
	deputy  nkeys.KeyPair
}

// Revoke implements presence.Revoker. Revocations by others stay.
func (r *revoker) Revoke(ctx context.Context, void map[string]time.Time, over []string) error {
	if len(void) == 0 && len(over) == 0 {
		return nil
	}
	about := "$SYS.REQ.ACCOUNT." + r.account + ".CLAIMS."
	have, err := r.nc.RequestWithContext(ctx, about+"LOOKUP", nil)
	if err != nil {
		return fmt.Errorf("ask for the account: %w", err)
	}
	text, err := ticket.Revoke(string(have.Data), r.deputy, void, over)
	if err != nil || text == string(have.Data) {
		return err
	}
	answer, err := r.nc.RequestWithContext(ctx, about+"UPDATE", []byte(text))
	if err != nil {
		return fmt.Errorf("update the account: %w", err)
	}
	var reply struct {
		Error *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(answer.Data, &reply); err != nil || reply.Error != nil {
		return fmt.Errorf("update the account: the server answers %.200q", answer.Data)
	}
	return nil
}
