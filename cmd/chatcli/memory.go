package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	"natter/internal/ui"
)

const (
	// mostHeap is what the program may hold in memory, in bytes: many times what any honest
	// server has it hold. The limits of single messages and lists are elsewhere; this one holds
	// whatever a server thinks of, also in the NATS library, which allocates what a server announces.
	mostHeap = 96 << 20
	// heapEnds is how long the program has to end once that is exceeded.
	heapEnds = 2 * time.Second
)

// tooMuch is why the program ends whose server sends more than it takes.
type tooMuch struct{}

// Error says it to the user.
func (tooMuch) Error() string {
	return fmt.Sprintf("the server sends more than chatcli takes (%d MB); the connection is closed. Tell whoever runs the server.", mostHeap>>20)
}

// guardHeap looks at the memory that is in use after each garbage collection, and calls
// exceeded once it is too much.
func guardHeap(most uint64, exceeded func()) {
	debug.SetMemoryLimit(int64(most)) // collections come more often near the limit
	once := sync.OnceFunc(exceeded)
	var afterCollection func()
	afterCollection = func() {
		if heapInUse() > most {
			go once()
			return
		}
		again(afterCollection)
	}
	again(afterCollection)
}

// again calls f after the next garbage collection.
func again(f func()) {
	sentinel := new([16]byte)
	runtime.AddCleanup(sentinel, func(f func()) { f() }, f)
}

// heapInUse is how many bytes the last garbage collection has found to be in use.
func heapInUse() uint64 {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64()
}

// endTooMuch ends the program: in good order if it can within a moment, and else at once.
func (p *program) endTooMuch(end func(error)) {
	end(tooMuch{})
	if c := p.client.Load(); c != nil {
		go c.Close()
	}
	time.Sleep(heapEnds)
	fmt.Fprintln(p.err, "chatcli:", tooMuch{})
	os.Exit(ui.ExitFailure)
}
