package presence

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"natter/chat"
)

// Names asked for and not taken are counted as everything else in the lobby: of IPv6 for a
// household, which has more addresses than anybody could ask for.
func TestReservationsOfAHousehold(t *testing.T) {
	s := Service{Config: Config{ConnLimits: ConnLimits{Reserved: 2}}}
	now := time.Now()
	for i, c := range []struct {
		from string
		ok   bool
	}{
		{"[2001:db8::1]:4711", true},
		{"[2001:db8::2]:4711", true},
		{"[2001:db8::3]:4711", false},
		{"2001:db8::4", false},
		{"[2001:db8:0:1::1]:4711", true},
		{"192.0.2.1:4711", true},
		{"192.0.2.1:4712", true},
		{"192.0.2.1", false},
		{"192.0.2.2:4711", true},
	} {
		_, err := s.mayReserve(chat.Name(fmt.Sprintf("eve%d", i)), c.from, chat.EnterRequest{}, now)
		if c.ok != (err == nil) || err != nil && !errors.Is(err, &chat.Error{Code: chat.Rate}) {
			t.Errorf("%s: %v", c.from, err)
		}
	}
}
