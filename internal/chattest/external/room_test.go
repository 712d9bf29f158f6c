package external_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"natter/internal/doctor"
	"natter/internal/setup"
)

// TestTooLittleRoom starts coordinators where the streams cannot be made, and reads what they
// and the doctor say.
func TestTooLittleRoom(t *testing.T) {
	t.Parallel()
	little := func(in *installation, most int) {
		confs := in.confs()
		for i := range confs {
			name := fmt.Sprintf("node-%d.conf", i+1)
			if len(confs) == 1 {
				name = "nats.conf"
			}
			in.change(name, fmt.Sprint("max_file_store: ", setup.StorePerNode), fmt.Sprint("max_file_store: ", most))
		}
	}
	for name, test := range map[string]struct {
		nodes       int
		plant       func(*installation)
		says        string
		check, what string
	}{
		"the account": {1, func(in *installation) { in.relimit(600_000_000) }, "no room left for the streams", "JetStream", "may store 572 MiB"},
		"the server":  {1, func(in *installation) { little(in, 600_000_000) }, "has no JetStream for the account", "JetStream", "has none"},
		"its streams": {1, func(in *installation) { in.relimit(-1); little(in, 600_000_000) }, "no room left for the streams", "room", "natter-1 may keep 572 MiB, of which 512 MiB are taken or reserved"},
		// A cluster may make some that are too many, if it is asked for them in quick succession.
		"a cluster": {3, func(in *installation) { little(in, 200_000_000) }, "not enough servers with room", "room", "natter-2 may keep 190 MiB, of which 0 MiB are taken or reserved"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := plan(t, test.nodes)
			test.plant(in)
			in.run()
			p := start(t, chatcoord, "--server", in.urls, "--keys", in.dir)
			select {
			case <-p.done:
			case <-time.After(2 * timeout): // a cluster is waited for
				t.Fatal("it does not end")
			}
			text, _ := p.output()
			if code := p.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(text, test.says) || strings.Contains(text, "nats:") {
				t.Errorf("exit code %d: %s", code, text)
			}
			found(t, in.examine(), doctor.Fail, test.check, test.what)
		})
	}
}
