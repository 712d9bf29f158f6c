package setup

import (
	"bufio"
	"cmp"
	"encoding/json"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"natter/broker"
	"natter/chat"
)

// What a NATS server may lack, as Fit names it.
const (
	OperatorMode = "operator mode"
	JetStream    = "JetStream"
)

const greetingSize = 64 << 10

// Fit reads how the first of the servers that can be reached introduces itself, and returns
// what it lacks, and a *chat.Error that says so and what to do; "" and nil if nothing is seen
// to be missing, or no server is reached.
func Fit(urls string) (lacks string, err error) {
	for part := range strings.SplitSeq(urls, ",") {
		text := strings.TrimSpace(part)
		if !strings.Contains(text, "://") {
			text = "nats://" + text // as the NATS library does
		}
		u, err := url.Parse(text)
		if err != nil || strings.HasPrefix(u.Scheme, "ws") {
			continue
		}
		if g, ok := greet(net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "4222"))); ok {
			return g.lack(broker.Redact(text))
		}
	}
	return "", nil
}

// greeting is what a server says before anything is asked.
type greeting struct {
	ID        string `json:"server_id"`
	Nonce     string `json:"nonce"`
	JetStream bool   `json:"jetstream"`
	Cluster   string `json:"cluster"` // in one, JetStream may be on other servers
}

func (g greeting) lack(server string) (string, error) {
	const write = "chatcoord init --external --out DIR writes one"
	switch {
	case g.Nonce == "": // nobody's signature is asked for
		return OperatorMode, chat.Errorf(chat.Denied, "%s is not in operator mode, and natter needs its accounts and tickets. Start it with a configuration that has them: %s.", server, write)
	case !g.JetStream && g.Cluster == "":
		return JetStream, chat.Errorf(chat.Denied, "%s has no JetStream, and natter keeps its state there. Add a block jetstream { store_dir: … } to its configuration (%s), and restart it.", server, write)
	}
	return "", nil
}

func greet(address string) (g greeting, ok bool) {
	conn, err := net.DialTimeout("tcp", address, broker.DialFor)
	if err != nil {
		return g, false
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(broker.DialFor)) // fails only on a closed connection
	line, err := bufio.NewReader(io.LimitReader(conn, greetingSize)).ReadString('\n')
	text, isInfo := strings.CutPrefix(line, "INFO ")
	if err != nil || !isInfo || json.Unmarshal([]byte(text), &g) != nil {
		return g, false // with TLS from the first byte, it says nothing
	}
	return g, g.ID != ""
}
