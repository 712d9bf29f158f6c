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
	// mostHeap is how much memory the program may use, in bytes: many times what it needs with an
	// honest server. Single messages and lists have limits of their own; this one covers everything
	// that a server can cause, also in the NATS library, which allocates what a server announces.
	mostHeap = 96 << 20
	// heapEnds is how long the program may take to end once the limit is exceeded.
	heapEnds = 2 * time.Second
)

// tooMuch is the error of a program whose server sends too much.
type tooMuch struct{}

// Error returns the sentence for the user.
func (tooMuch) Error() string {
	return fmt.Sprintf("the server sends more than chatcli takes (%d MB); the connection is closed. Tell whoever runs the server.", mostHeap>>20)
}

// guardHeap checks the memory in use after each garbage collection, and calls exceeded once it is too
// much.
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

// heapInUse returns how many bytes the last garbage collection has found in use.
func heapInUse() uint64 {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64()
}

// endTooMuch ends the program: in order if that is possible within a moment, otherwise at once.
func (p *program) endTooMuch(end func(error)) {
	end(tooMuch{})
	if c := p.client.Load(); c != nil {
		go c.Close()
	}
	time.Sleep(heapEnds)
	fmt.Fprintln(p.err, "chatcli:", tooMuch{})
	os.Exit(ui.ExitFailure)
}
