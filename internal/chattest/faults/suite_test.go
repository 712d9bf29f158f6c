//go:build faults

package faults_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"natter/internal/chattest/faults"
)

var (
	runs   = flag.Int("faults.runs", 2, "random schedules of each kind of installation")
	length = flag.Duration("faults.length", 20*time.Second, "length of a schedule")
	seed   = flag.Uint64("faults.seed", 0, "seed of the first schedule; 0 draws one")
	keep   = flag.String("faults.keep", "", "directory for the records of runs in which something was wrong")
	again  = flag.String("faults.judge", "", "records of an earlier run, to be judged again")
	plant  = flag.String("faults.plant", "", "a fault in natter's place, to see the judge object: lose, twice, leak; careless: servers do not wait for their disks")
)

// The programs, built once.
var natsServer, chatcoord string

func build(t *testing.T) {
	t.Helper()
	if chatcoord != "" {
		return
	}
	dir, err := os.MkdirTemp("", "natter-faults-")
	if err != nil {
		t.Fatal(err)
	}
	built = dir
	natsServer, chatcoord = filepath.Join(dir, "nats-server"), filepath.Join(dir, "chatcoord")
	for out, pkg := range map[string]string{natsServer: "github.com/nats-io/nats-server/v2", chatcoord: "natter/cmd/chatcoord"} {
		if text, err := exec.Command("go", "build", "-o", out, pkg).CombinedOutput(); err != nil {
			t.Fatalf("go build %s: %v\n%s", pkg, err, text)
		}
	}
}

var ofUsers = []faults.Kind{faults.KillUser, faults.LoseUser, faults.FreezeUser, faults.CutUser, faults.MuteUser, faults.DeafenUser, faults.SlowUser}

// TestEmbedded runs random schedules on one coordinator with its own server.
func TestEmbedded(t *testing.T) {
	schedules(t, true, embeddedServer, append([]faults.Kind{faults.KillServer, faults.KillServer, faults.StopServer}, ofUsers...))
}

// TestCluster runs them on three NATS servers and two coordinators.
func TestCluster(t *testing.T) {
	schedules(t, true, cluster, append([]faults.Kind{
		faults.KillServer, faults.StopServer, faults.KillReplica, faults.KillReplica, faults.StopReplica, faults.RollServers, faults.RollReplicas,
	}, ofUsers...))
}

// TestAgain judges the records of an earlier run.
func TestAgain(t *testing.T) {
	if *again == "" {
		t.Skip("no records are named: -faults.judge FILE")
	}
	f, err := os.Open(*again)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := faults.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range faults.Judge(records) {
		t.Error(found)
	}
}

// schedules performs as many as were asked for, beside each other where an installation needs
// nothing for itself alone.
func schedules(t *testing.T, beside bool, install func(testing.TB) *servers, kinds []faults.Kind) {
	build(t)
	first := *seed
	if first == 0 {
		first = rand.Uint64N(1_000_000) + 1
	}
	for i := range *runs {
		plan := faults.Draw(first+uint64(i), *length, kinds)
		t.Run(fmt.Sprint(plan.Seed), func(t *testing.T) {
			if beside {
				t.Parallel()
			}
			perform(t, install(t), plan)
		})
	}
}

// perform plays a plan, and judges what was seen and what is left behind.
func perform(t *testing.T, s *servers, plan faults.Plan) {
	before, log := fresh(t, s), faults.NewLog()
	rng := rand.New(rand.NewPCG(plan.Seed, 1))
	var cast []*user
	for _, name := range []string{"alice", "bob", "carol", "dave", "erin", "frank", "gina", "hugo"} {
		u := newUser(t, log, name, s.addresses)
		soon, cancel := context.WithTimeout(t.Context(), timeout)
		err := u.live(soon)
		cancel()
		if err != nil {
			t.Fatalf("%s does not come in: %v", name, err)
		}
		t.Cleanup(u.die)
		cast = append(cast, u)
	}
	ctx, cancel := context.WithTimeout(t.Context(), plan.Length)
	defer cancel()
	var wg sync.WaitGroup
	for i, u := range cast {
		own := rand.New(rand.NewPCG(plan.Seed, uint64(i)+2))
		wg.Go(func() { u.talk(ctx, own) })
	}
	wg.Go(func() {
		for ctx.Err() == nil {
			churn(ctx, cast, rng)
			cast[rng.IntN(len(cast))].steal(ctx)
			for range departures {
				select {
				case <-time.After(10 * time.Second / departures):
				case <-ctx.Done():
				}
				depart(ctx, cast, rng)
			}
		}
	})
	inflict(ctx, t, s, cast, plan)
	wg.Wait()
	end(t, s, cast, log)
	leave(t, cast)
	idle(t, s, before, leeway)
	judged(t, plan, log)
}

// inflict makes the faults happen at their times, and ends them.
func inflict(ctx context.Context, t *testing.T, s *servers, cast []*user, plan faults.Plan) {
	began := time.Now()
	var wg sync.WaitGroup
	one := &sync.Mutex{} // one server at a time: more than that no cluster of three survives
	for _, f := range plan.Faults {
		wg.Go(func() {
			select {
			case <-time.After(f.At - time.Since(began)):
				happen(t, s, cast, f, one)
			case <-ctx.Done():
			}
		})
	}
	wg.Wait()
}

func happen(t *testing.T, s *servers, cast []*user, f faults.Fault, one *sync.Mutex) {
	u := cast[f.Who%len(cast)]
	bad := func(flaw faults.Flaw) {
		u.line(flaw)
		<-time.After(f.For)
		u.line(faults.Flaw{})
	}
	switch f.Kind {
	case faults.KillUser, faults.LoseUser:
		u.die()
		if f.Kind == faults.LoseUser {
			return
		}
		<-time.After(min(f.For, 9*time.Second))
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		if err := u.live(ctx); err != nil {
			t.Errorf("%s does not come back: %v", u.name, err)
		}
	case faults.FreezeUser:
		bad(faults.Flaw{HoldUp: true, HoldDown: true})
	case faults.CutUser:
		bad(faults.Flaw{Cut: true})
	case faults.MuteUser:
		bad(faults.Flaw{HoldUp: true})
	case faults.DeafenUser:
		bad(faults.Flaw{HoldDown: true})
	case faults.SlowUser:
		bad(faults.Flaw{Delay: 300 * time.Millisecond, Jitter: 150 * time.Millisecond, Stall: 0.02, StallFor: 2 * time.Second})
	case faults.RollServers:
		one.Lock()
		defer one.Unlock()
		roll(s.brokers...)
		s.settled()
	case faults.RollReplicas:
		one.Lock()
		defer one.Unlock()
		roll(s.replicas...)
		s.settled()
	default:
		one.Lock()
		defer one.Unlock()
		hurt(s, f)
	}
}

// roll restarts programs in good order, one after the other.
func roll(all ...*program) {
	for _, p := range all {
		p.end(syscall.SIGTERM)
		p.start()
	}
}

func hurt(s *servers, f faults.Fault) {
	among := s.brokers
	if f.Kind == faults.KillReplica || f.Kind == faults.StopReplica {
		among = s.replicas
	}
	n := f.Who % len(among)
	p := among[n]
	switch f.Kind {
	case faults.PartServer, faults.HalfServer:
		how := whole
		if f.Kind == faults.HalfServer {
			how = half
		}
		s.part(n, true, how)
		<-time.After(f.For)
		s.part(n, false, how)
	case faults.KillServer, faults.KillReplica:
		p.end(syscall.SIGKILL)
		<-time.After(min(f.For, 2*time.Second))
		p.start()
	case faults.StopServer, faults.StopReplica:
		p.signal(syscall.SIGSTOP)
		<-time.After(f.For)
		p.signal(syscall.SIGCONT)
	}
	s.settled()
}

// end ends all faults, brings everybody back, and notes how it stands.
func end(t *testing.T, s *servers, cast []*user, log *faults.Log) {
	bounded := func(do func(context.Context)) {
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		do(ctx)
	}
	bounded(func(ctx context.Context) {
		for _, u := range cast {
			u.line(faults.Flaw{})
			if u.client() == nil {
				if err := u.live(ctx); err != nil {
					t.Errorf("%s does not come back: %v", u.name, err)
				}
			}
		}
	})
	began := time.Now()
	bounded(func(ctx context.Context) {
		if err := settle(ctx, cast); err != nil {
			t.Error(err)
		}
	})
	t.Logf("settled in %s", time.Since(began).Round(time.Millisecond))
	bounded(func(ctx context.Context) { closing(ctx, cast) })
	for _, u := range cast {
		if now := u.in(); now.ID != "" {
			u.note(faults.Record{What: faults.Open, Session: now.ID})
		}
	}
}

// judged fails the test for everything that must not have happened.
func judged(t *testing.T, plan faults.Plan, log *faults.Log) {
	records := planted(log.Records())
	heard, said := 0, 0
	for _, r := range records {
		switch r.What {
		case faults.Heard:
			heard++
		case faults.Said:
			said++
		}
	}
	t.Logf("seed %d: %d records, %d messages said, %d shown", plan.Seed, len(records), said, heard)
	found := faults.Judge(records)
	for _, f := range found {
		t.Error(f)
	}
	if len(found) > 0 || t.Failed() {
		t.Logf("%s\nrepeat it: make faults FAULTS='-faults.seed %d -faults.runs 1 -faults.length %s'", plan, plan.Seed, plan.Length)
		kept(t, plan.Seed, records)
	}
}

// planted breaks the records where that was asked for, so that the judge is seen to object.
func planted(records []faults.Record) []faults.Record {
	for i := len(records) - 1; i >= 0; i-- {
		if records[i].What != faults.Heard {
			continue
		}
		switch *plant {
		case "lose":
			return append(records[:i:i], records[i+1:]...)
		case "twice":
			return append(records[:i:i], append([]faults.Record{records[i]}, records[i:]...)...)
		}
	}
	return records
}

func kept(t *testing.T, seed uint64, records []faults.Record) {
	if *keep == "" {
		return
	}
	test, _, _ := strings.Cut(t.Name(), "/")
	name := filepath.Join(*keep, fmt.Sprintf("%s-%d.jsonl", test, seed))
	f, err := os.Create(name)
	if err != nil {
		t.Log(err)
		return
	}
	defer f.Close()
	if err := faults.Write(f, records); err != nil {
		t.Log(err)
	}
	t.Logf("the records are in %s", name)
}
