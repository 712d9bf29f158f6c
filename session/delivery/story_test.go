package delivery

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"natter/chat"
	"natter/session"
)

var update = flag.Bool("update", false, "record the outcomes of the stories anew")

// TestStories plays the scripts in testdata. A line is a command; what follows from it is
// recorded below it, indented. Commands:
//
//	begin NAME...         a session of these members, who join
//	NAME joins [RUN]      its connection is up; anew, as incarnation RUN
//	NAME says TEXT [N]    N times, numbered
//	deliver               everything under way arrives, and what follows from it
//	drop NAME             what is under way to NAME is lost, and all until "reach NAME"
//	reach NAME
//	wait DURATION         time passes, what is sent arrives
//	lost NAME, back NAME  the coordinator tells all others
//	full, free            the coordinator stores nothing, or again
//	anew NAME             the program is killed and begun anew
//	down NAME, up NAME    the connection is interrupted, and back
//	hear NAME SIGNAL      as if NAME had sent a signal to all: "have N first N ask"
//	show                  prints the cores
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 8 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "frames.txt") {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			before, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			after := tell(t, string(before))
			if *update {
				if err := os.WriteFile(file, []byte(after), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(before, []byte(after)) {
				t.Errorf("%s is told otherwise now:\n%s", file, after)
			}
		})
	}
}

// story is a session on paper: nothing happens but by a command.
type story struct {
	t            *testing.T
	out          strings.Builder
	now          Time
	s            chat.Session
	cores        map[chat.Name]*Core
	names        []chat.Name
	flight       []parcel
	cut          map[chat.Name]bool
	incarnations map[chat.Name]int
	full         bool
	store        []simStored
	stored       uint64
	pending      []func()
}

// parcel is something under way.
type parcel struct {
	to chat.Name
	in Input
}

func tell(t *testing.T, script string) string {
	st := &story{t: t, now: time.Second, cores: map[chat.Name]*Core{}, cut: map[chat.Name]bool{}, incarnations: map[chat.Name]int{}}
	for line := range strings.Lines(script) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "  ") {
			continue // the outcome
		}
		fmt.Fprintln(&st.out, line)
		if f := strings.Fields(line); len(f) > 0 && f[0] != "#" {
			st.command(f)
		}
	}
	return st.out.String()
}

func (st *story) say(format string, args ...any) {
	fmt.Fprintf(&st.out, "  "+format+"\n", args...)
}

func (st *story) command(f []string) {
	switch f[0] {
	case "begin":
		st.begin(f[1:])
	case "deliver":
		st.settle()
	case "drop":
		st.cut[chat.Name(f[1])] = true
		st.flight = slices.DeleteFunc(st.flight, func(p parcel) bool { return st.cut[p.to] })
	case "reach":
		delete(st.cut, chat.Name(f[1]))
	case "wait":
		d, err := time.ParseDuration(f[1])
		if err != nil {
			st.t.Fatal(err)
		}
		st.wait(d)
	case "lost", "back":
		st.lost(chat.Name(f[1]), f[0] == "lost")
	case "full", "free":
		st.full = f[0] == "full"
	case "anew":
		st.anew(chat.Name(f[1]))
	case "down":
		st.step(chat.Name(f[1]), Input{Kind: LinkDown})
	case "up":
		st.step(chat.Name(f[1]), Input{Kind: LinkUp})
	case "hear":
		st.hear(chat.Name(f[1]), f[2:])
	case "show":
		for _, n := range st.names {
			st.say("%s", st.cores[n])
		}
	default:
		st.person(chat.Name(f[0]), f[1:])
	}
}

func (st *story) begin(names []string) {
	st.s = chat.Session{ID: "0", State: chat.Open}
	for _, n := range names {
		st.s.Members = append(st.s.Members, chat.Member{Name: chat.Name(n), Accepted: true})
		st.names = append(st.names, chat.Name(n))
	}
	for _, n := range st.names {
		st.cores[n] = NewCore(Config{Me: n.User(), Report: true, Rules: chat.Rules{MaxText: chat.MaxText}, Session: st.s})
		st.step(n, Input{Kind: Record, Session: &st.s})
	}
	st.settle()
}

func (st *story) anew(n chat.Name) {
	st.incarnations[n]++
	st.flight = slices.DeleteFunc(st.flight, func(p parcel) bool { return p.to == n })
	st.cores[n] = NewCore(Config{Me: n.User(), Rejoin: true, Report: true, Rules: chat.Rules{MaxText: chat.MaxText}, Session: st.s})
	st.step(n, Input{Kind: Record, Session: &st.s})
}

func (st *story) person(n chat.Name, f []string) {
	switch f[0] {
	case "says":
		times := 1
		if len(f) > 2 {
			times, _ = strconv.Atoi(f[2])
		}
		for i := range times {
			text := f[1]
			if times > 1 {
				text = fmt.Sprint(text, i+1)
			}
			if a := st.cores[n].Admit(); a != Admitted {
				st.say("%s may not speak: %d", n, a)
				return
			}
			st.step(n, Input{Kind: Say, Text: text, At: 1767225600000 + int64(st.now/ms)})
		}
	case "bye":
		st.step(n, Input{Kind: Bye, Yes: true})
	case "flushes":
		st.step(n, Input{Kind: Flush})
	case "leaves":
		st.step(n, Input{Kind: Drain})
		st.step(n, Input{Kind: Tick})
	default:
		st.t.Fatalf("%s does what? %v", n, f)
	}
}

// hear has everybody hear a signal as from n.
func (st *story) hear(n chat.Name, f []string) {
	var a Announcement
	for i, word := range f {
		if i+1 < len(f) {
			v, _ := strconv.ParseUint(f[i+1], 10, 64)
			switch word {
			case "have":
				a.Have = v
			case "first":
				a.First = v
			}
		}
		a.Ask = a.Ask || word == "ask"
	}
	for _, to := range st.names {
		if to != n {
			st.flight = append(st.flight, parcel{to, Input{Kind: Announced, From: n.User(), Announce: a}})
		}
	}
}

// wait lets time pass, with everything arriving as it is sent.
func (st *story) wait(d Time) {
	end := st.now + d
	st.settle()
	for {
		next := never
		for _, c := range st.cores {
			next = min(next, c.Next())
		}
		if next > end {
			break
		}
		st.now = max(st.now, next)
		for _, n := range st.names {
			if st.cores[n].Next() <= st.now {
				st.step(n, Input{Kind: Tick})
			}
		}
		st.settle()
	}
	st.now = end
}

func (st *story) settle() {
	for len(st.flight) > 0 || len(st.pending) > 0 {
		if len(st.flight) > 0 {
			p := st.flight[0]
			st.flight = st.flight[1:]
			if !st.cut[p.to] && !st.cut[chat.Name(p.in.From)] {
				st.step(p.to, p.in)
			}
			continue
		}
		do := st.pending[0]
		st.pending = st.pending[1:]
		do()
	}
}

func (st *story) lost(n chat.Name, lost bool) {
	st.s.Members = slices.Clone(st.s.Members)
	for i, m := range st.s.Members {
		if m.Name == n {
			st.s.Members[i].Lost = lost
		}
	}
	for _, other := range st.names {
		if other != n {
			st.step(other, Input{Kind: Record, Session: &st.s})
		}
	}
}

// step runs a step, and writes down what is of interest.
func (st *story) step(n chat.Name, in Input) {
	c := st.cores[n]
	for _, e := range c.Step(in, st.now, nil) {
		st.do(n, c, e)
	}
	if err := c.check(); err != nil {
		st.t.Error(err)
	}
}

func (st *story) do(n chat.Name, c *Core, e Effect) {
	switch e.Kind {
	case Moved:
		return
	case Tell:
		st.say("%-8s %s %s", st.clock(), n, event(e.Event))
		return
	case Publish:
		f := c.frame0(e)
		st.say("%-8s %s -> frame %s..%s %s", st.clock(), n, number(e.First), number(e.Last), receipts(f.Receipts))
		st.sendAll(n, Input{Kind: FrameIn, From: n.User(), Frame: f})
		st.pending = append(st.pending, func() { st.step(n, Input{Kind: Published}) })
		return
	case SendAnnounce:
		for _, to := range st.names {
			if to != n && (e.To == "" || e.To == to.User()) {
				a := c.Standing(to.User())
				a.Ask = e.Announce.Ask
				st.flight = append(st.flight, parcel{to, Input{Kind: Announced, From: n.User(), Yes: e.To == "", Announce: a}})
				st.say("%-8s %s -> %s: have %s, first %s, acked %s%s", st.clock(), n, to, number(a.Have), number(a.First), number(a.Acked), map[bool]string{true: ", and you?"}[a.Ask])
			}
		}
		return
	case SendReceipt:
		st.flight = append(st.flight, parcel{chat.Name(e.To), Input{Kind: Receipt, From: n.User(), N: e.N}})
	case AskReceipts:
		st.sendAll(n, Input{Kind: Asked, From: n.User()})
	case SendBye:
		st.sendAll(n, Input{Kind: ByeSaid, From: n.User(), Yes: e.Yes})
	case Join:
		incarnation := st.incarnations[n]
		st.pending = append(st.pending, func() { st.step(n, Input{Kind: Joined, Epoch: st.s.Epoch, Incarnation: incarnation}) })
	case Store:
		st.stores(n, c, e)
		return
	case Fetch:
		st.pending = append(st.pending, func() { st.fetch(n) })
	}
	st.say("%-8s %s -> %s", st.clock(), n, describeEffect(e))
}

func (st *story) sendAll(n chat.Name, in Input) {
	for _, to := range st.names {
		if to != n {
			st.flight = append(st.flight, parcel{to, in})
		}
	}
}

func (st *story) stores(n chat.Name, c *Core, e Effect) {
	st.say("%-8s %s -> store %s..%s for %v, received %v", st.clock(), n, number(e.First), number(e.Last), e.For, e.Received)
	messages := c.Messages(e.First, e.Last)
	st.pending = append(st.pending, func() {
		if st.full {
			st.say("%-8s the store is full", st.clock())
			st.step(n, Input{Kind: StoreFailed, First: e.First, Last: e.Last})
			return
		}
		kept := map[chat.User]uint64{}
		for _, u := range e.For {
			st.stored++
			kept[u] = st.stored
			st.store = append(st.store, simStored{st.stored, u, n.User(), messages})
		}
		st.store = slices.DeleteFunc(st.store, func(r simStored) bool { upTo, ok := e.Received[r.to]; return ok && r.from == n.User() && r.seq <= upTo })
		st.step(n, Input{Kind: Stored, Stored: kept, First: e.First, Last: e.Last, Received: e.Received})
	})
}

func (st *story) fetch(n chat.Name) {
	for _, r := range st.store {
		if r.to == n.User() {
			st.step(n, Input{Kind: Fetched, From: r.from, Frame: Frame{Messages: r.messages}})
		}
	}
	st.store = slices.DeleteFunc(st.store, func(r simStored) bool { return r.to == n.User() })
	st.step(n, Input{Kind: FetchDone})
}

func (st *story) clock() string {
	return strings.TrimSuffix(fmt.Sprintf("%.3f", (st.now-time.Second).Seconds()), "00")
}

func receipts(all []FrameReceipt) string {
	s := ""
	for _, r := range all {
		s += fmt.Sprintf("@%s=%s", r.From, number(r.N))
	}
	return s
}

func event(e session.Event) string {
	switch e := e.(type) {
	case session.Texts:
		s := fmt.Sprintf("hears %s: %s", e.From, e.Messages[0].Text)
		if n := len(e.Messages); n > 1 {
			s += " .. " + e.Messages[n-1].Text
		}
		return s
	case session.Sent:
		return fmt.Sprintf("is told: %s is %s", e.Text, e.State)
	case session.MessageWaits:
		return fmt.Sprintf("is told: messages wait for %v, offline %v", e.For, e.Offline)
	case session.MessageStored:
		return fmt.Sprintf("is told: messages are stored for %v", e.For)
	case session.NotDelivered:
		return fmt.Sprintf("is told: %s is not delivered so far", e.Text)
	case session.Bye:
		return fmt.Sprintf("is told: %s says bye, taken back %v", e.From, e.Back)
	}
	return fmt.Sprintf("is told %T", e)
}
