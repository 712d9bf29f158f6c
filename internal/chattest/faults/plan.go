package faults

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"time"
)

// Kind is a kind of fault.
type Kind string

// The kinds. The first ones concern one user, the others what serves them.
const (
	KillUser     Kind = "kill a user's program, which starts again"
	LoseUser     Kind = "kill a user's program for good"
	FreezeUser   Kind = "a user's line stands still"
	CutUser      Kind = "a user's line is cut"
	MuteUser     Kind = "what a user sends does not arrive"
	DeafenUser   Kind = "what is sent to a user does not arrive"
	SlowUser     Kind = "a user's line is slow and stalls"
	KillServer   Kind = "kill -9 a server, which starts again"
	StopServer   Kind = "stop a server for a while (SIGSTOP)"
	KillReplica  Kind = "kill -9 a coordinator, which starts again"
	StopReplica  Kind = "stop a coordinator for a while (SIGSTOP)"
	RollServers  Kind = "restart every server in good order, one after the other"
	RollReplicas Kind = "restart every coordinator in good order, one after the other"
	PartServer   Kind = "a server is cut off from the others and from its users"
	HalfServer   Kind = "what a server sends does not arrive, what others send to it does"
)

// Fault is one fault of a plan.
type Fault struct {
	At   time.Duration
	For  time.Duration
	Kind Kind
	Who  int // index of the user, server or replica; modulo how many there are
}

// Plan is the faults of a run, by time.
type Plan struct {
	Seed   uint64
	Length time.Duration
	Faults []Fault
}

// Draw draws a plan of a length among kinds. About one fault begins every five seconds,
// none so late that its repair does not fit in.
func Draw(seed uint64, length time.Duration, kinds []Kind) Plan {
	rng := rand.New(rand.NewPCG(seed, 0))
	p := Plan{Seed: seed, Length: length}
	for range max(2, int(length/(5*time.Second))) {
		f := Fault{
			At:   time.Duration(rng.Float64() * 0.9 * float64(length)).Round(time.Millisecond),
			Kind: kinds[rng.IntN(len(kinds))], Who: rng.IntN(1 << 16),
		}
		f.For = time.Duration((0.5 + 5*rng.Float64()) * float64(time.Second)).Round(time.Millisecond)
		if rng.IntN(5) == 0 {
			f.For += 8 * time.Second // some last longer than the grace time
		}
		p.Faults = append(p.Faults, f)
	}
	sort.Slice(p.Faults, func(i, j int) bool { return p.Faults[i].At < p.Faults[j].At })
	return p
}

// String is the plan in words.
func (p Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, %s:", p.Seed, p.Length)
	for _, f := range p.Faults {
		fmt.Fprintf(&b, "\n  %7s for %6s  %s (%d)", f.At, f.For, f.Kind, f.Who)
	}
	return b.String()
}
