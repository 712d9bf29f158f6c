package transcript

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"natter/chat"
)

// suffix is how the name of a transcript ends.
const suffix = ".jsonl"

// file is one transcript that is written to.
type file struct {
	dir, base string // its name, but for a number and the suffix
	head      Line

	f        *os.File        // nil: not open yet, or closed
	had      map[saying]bool // what was in it before this run
	torn     bool            // its end is not that of a line
	unsynced bool
	missing  int  // lines that could not be written
	told     bool // that there are such lines
}

// saying is how something that is told again is known.
type saying struct {
	from chat.User
	n    uint64
	sent int64
}

func (l Line) saying() saying { return saying{l.From.User(), l.N, l.Sent.UnixNano()} }

// open opens the file or makes it. One of the same name that is about something else (of
// another user, at another server) is left alone: the next number is tried.
func (w *file) open() error {
	const most = 1000
	for i := range most {
		name := w.base
		if i > 0 {
			name += "-" + strconv.Itoa(i+1)
		}
		f, err := os.OpenFile(filepath.Join(w.dir, name+suffix), os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		mine, err := w.take(f)
		if mine && err == nil {
			return nil
		}
		w.f = nil
		err = errors.Join(err, f.Close())
		if err != nil {
			return err
		}
	}
	return errors.New("there are too many files of that name")
}

// take looks at a file that was just opened, and begins to write or goes on if it is the
// one that is meant.
func (w *file) take(f *os.File) (mine bool, err error) {
	w.had = map[saying]bool{}
	r := NewReader(f)
	begun := r.Next()
	if begun && !w.about(r.Line) {
		return false, nil
	}
	for w.head.Kind == Chat && r.Next() { // direct messages are not told again
		if r.Line.Kind == Said {
			w.had[r.Line.saying()] = true
		}
	}
	if r.Err != nil {
		return false, r.Err
	}
	if err := f.Chmod(0o600); err != nil {
		return false, err
	}
	w.f = f
	if w.torn, err = torn(f); err != nil {
		return false, err
	}
	switch {
	case !begun:
		err = w.put(w.head)
	case w.head.Kind == Chat:
		_ = w.put(Line{Kind: Resumed, At: time.Now().UTC()}) // the next line says whether it can be written
	}
	return true, err
}

// about reports whether a file that begins with l is about the same.
func (w *file) about(l Line) bool {
	if l.Kind != w.head.Kind || l.Me.User() != w.head.Me.User() {
		return false
	}
	if l.Kind == Chat {
		return l.Session == w.head.Session
	}
	return l.Server == w.head.Server && len(l.Members) == 1 && l.Members[0].User() == w.head.Members[0].User()
}

// torn reports whether a file ends within a line.
func torn(f *os.File) (bool, error) {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false, err
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], info.Size()-1); err != nil && err != io.EOF {
		return false, err
	}
	return last[0] != '\n', nil
}

// write adds a line, and first says how many are missing before it.
func (w *file) write(l Line) error {
	if w.f == nil {
		if err := w.open(); err != nil {
			w.missing++
			return err
		}
	}
	if w.had[l.saying()] && l.N > 0 {
		return nil
	}
	err := w.confess()
	if err == nil {
		err = w.put(l)
	}
	if err != nil {
		w.missing++
	}
	return err
}

// confess says how many lines are missing.
func (w *file) confess() error {
	if w.missing == 0 {
		return nil
	}
	err := w.put(Line{Kind: Missing, At: time.Now().UTC(), Count: w.missing})
	if err == nil {
		w.missing = 0
	}
	return err
}

// put writes a line in one piece, on a line of its own.
func (w *file) put(l Line) error {
	b := l.Encode()
	if w.torn {
		b = append([]byte{'\n'}, b...)
	}
	n, err := w.f.Write(b)
	if n > 0 {
		w.torn = b[n-1] != '\n'
		w.unsynced = true
	}
	return err
}

func (w *file) sync() error {
	if w.f == nil || !w.unsynced {
		return nil
	}
	w.unsynced = false
	return w.f.Sync()
}

func (w *file) close() error {
	if w.f == nil {
		return nil
	}
	err := errors.Join(w.confess(), w.sync(), w.f.Close())
	w.f = nil
	return err
}
