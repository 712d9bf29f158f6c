package private_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"natter/internal/private"
)

// TestLockIsOnes: however many there are, and though whoever unlocks removes the file, one
// at a time has the lock.
func TestLockIsOnes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	const each = 100
	var inside, had atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := 0; n < each; {
				unlock, err := private.Lock(path)
				if busy := (*private.LockedError)(nil); errors.As(err, &busy) {
					runtime.Gosched()
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				n++
				had.Add(1)
				if inside.Add(1) != 1 {
					t.Error("two have the lock")
				}
				runtime.Gosched()
				inside.Add(-1)
				if runtime.GOOS != "windows" {
					_ = os.Remove(path)
				}
				unlock()
			}
		})
	}
	wg.Wait()
	if had.Load() != 8*each {
		t.Errorf("the lock was had %d times", had.Load())
	}
}

func TestLockSaysWhoHasIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := private.Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	var busy *private.LockedError
	if _, err := private.Lock(path); !errors.As(err, &busy) || busy.PID != fmt.Sprint(os.Getpid()) || busy.Path != path {
		t.Fatal(err)
	}
	unlock()
	if unlock, err = private.Lock(path); err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestCreateReplacesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	const many = 16
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			switch err := private.Create(path, fmt.Append(nil, i)); {
			case err == nil:
				won.Store(int32(i))
			case !errors.Is(err, fs.ErrExist) || !errors.Is(err, private.ErrFile):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if text, err := private.Read("file", path, private.Small); err != nil || string(text) != fmt.Sprint(won.Load()) {
		t.Fatalf("%s, %v, and %d has won", text, err, won.Load())
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}
