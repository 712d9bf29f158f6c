// Program bench compares natter with plain nats.go on the same server and prints the
// figures as a table:
//
//	go run ./internal/bench [-only REGEXP] [-short] [-runs N] [-record FILE] [-profile DIR]
//
// The server, an embedded broker with a coordinator, is a child process, so that its
// processor time and memory can be told from those of the clients; the clients are here.
// Both sides of a comparison use the same server at the same time of day: they take turns,
// ours, theirs, ours, theirs, and the result is the median of the ratios of
// neighbours. Their connections have tickets with the same rights and send texts of the
// same length. Everything happens on the loopback address and in a temporary directory,
// and ends after some minutes whatever happens.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

const (
	// timeout is how long everything may take.
	timeout = 20 * time.Minute
	// endLimit is how long clients may take to end when the program is told to.
	endLimit = 10 * time.Second
)

// bench is one call of the program.
type bench struct {
	ctx     context.Context
	size    size
	runs    int
	only    *regexp.Regexp
	profile string // directory for profiles, or ""
	dir     string // for all other files, removed at the end
	table   table
	attacks table
	holding table
}

// size is how much is measured.
type size struct {
	lone    int // messages
	pairs   int
	each    int // messages per pair
	rounds  int // of a group
	logins  int
	invites int
	crowd   int // users
	lists   int
	cut     int // users in chats when the server is killed
	starts  int
	turns   int // with a flood and without
	steady  int // pairs who write for so many
	seconds int
	stall   int // seconds that a member of a group stands still
	group   int // members of the large one
	open    int // pairs in the open loop
	openFor int // seconds of it
	settle  int // seconds until a crowd has its second tickets: the first are for a minute
}

var (
	full  = size{lone: 3000, pairs: 100, each: 20_000, rounds: 4, logins: 320, invites: 200, crowd: 5000, lists: 50, cut: 1000, starts: 3, turns: 5, steady: 1000, seconds: 20, stall: 30, group: 60, open: 200, openFor: 3, settle: 60}
	short = size{lone: 300, pairs: 4, each: 500, rounds: 1, logins: 32, invites: 5, crowd: 40, lists: 5, cut: 4, starts: 1, turns: 1, steady: 4, seconds: 1, stall: 1, group: 12, open: 4, openFor: 1}
)

// scenes are measured one after the other, each with a server of its own. -only matches their names.
var scenes = []struct {
	name string
	play func(*bench) error
}{
	{"lone", (*bench).lone},
	{"pairs", (*bench).pairs},
	{"console", (*bench).console},
	{"open", (*bench).open},
	{"group", (*bench).group},
	{"join", (*bench).join},
	{"memory", (*bench).footprint},
	{"login", (*bench).login},
	{"invite", (*bench).invite},
	{"crowd", (*bench).crowd},
	{"kill", (*bench).kill},
	{"start", (*bench).start},
	{"steady", (*bench).steady},
	{"storm", (*bench).storm},
	{"stall", (*bench).stall},
	{"attack", (*bench).attack},
}

func main() {
	if o := os.Getenv(serverOptions); o != "" {
		end(serve(o))
		return
	}
	end(run())
}

func end(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	b := &bench{size: full}
	quick := flag.Bool("short", false, "small sizes: to see that everything runs, not how fast")
	only := flag.String("only", "", "measure only the scenes whose name matches this `regexp`")
	record := flag.String("record", "", "replace the table in this `file`")
	flag.IntVar(&b.runs, "runs", 5, "turns of each comparison")
	flag.StringVar(&b.profile, "profile", "", "write processor profiles of the last turns to this `directory`")
	flag.Parse()
	if *quick {
		b.size = short
	}
	var err error
	if b.only, err = regexp.Compile(*only); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() {
		stop() // a second signal does not wait
		time.AfterFunc(endLimit, func() {
			_ = os.RemoveAll(b.dir)
			end(errors.New("clients do not end"))
		})
	})
	err = b.measure(ctx)
	fmt.Print(b.table, b.attacks.under("under attack", "alone"), b.holding.under("measured", "next to")) // the results so far
	if err != nil || *record == "" {
		return err
	}
	if len(b.attacks) > 0 {
		if err := put(*record, beginAttacks, finishAttacks, b.attacks.under("under attack", "alone")); err != nil {
			return err
		}
	}
	if len(b.holding) > 0 {
		if err := put(*record, beginHolding, finishHolding, b.holding.under("measured", "next to")); err != nil {
			return err
		}
	}
	if len(b.table) > 0 {
		return b.table.record(*record)
	}
	return nil
}

// measure runs the selected scenes.
func (b *bench) measure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	b.ctx = ctx
	dir, err := os.MkdirTemp("", "natter-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b.dir = dir
	for _, s := range scenes {
		if !b.only.MatchString(s.name) {
			continue
		}
		fmt.Fprintln(os.Stderr, "bench:", s.name)
		if err := s.play(b); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}
