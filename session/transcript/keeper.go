package transcript

import (
	"os"
	"strings"
	"sync"
	"time"

	"natter/chat"
	"natter/internal/private"
	"natter/session"
)

const (
	// syncEvery is how often a file is synchronised while it is written.
	syncEvery = time.Second
	// closing is how long a disk may take at the end of the program.
	closing = 5 * time.Second
	// most lines wait for a disk that is slow; further ones are missing.
	most = 1 << 16
	// correspondents whose files are open at once.
	correspondents = 16
)

// Own is what the user said in the chat.
type Own struct {
	Session string // id
	At      time.Time
	Text    string
}

// OwnBye is the user's own bye.
type OwnBye struct{ Session string }

// DirectMessage is a direct message, from the user or to them.
type DirectMessage struct {
	From, To chat.Name
	Text     string
	Failed   bool // one's own, that did not arrive
	Unknown  bool // one's own, of which that is not known
}

// Keeper writes the transcripts of one user. A nil Keeper keeps nothing.
type Keeper struct {
	dir    string
	me     chat.Name
	server string
	failed func(error)

	mu      sync.Mutex
	waiting []happening
	dropped int
	closed  bool
	wake    chan struct{}
	done    chan struct{} // closed when run has ended; nil before Start

	// Of run alone.
	open    *file
	session string // of open
	directs map[chat.User]*file
}

// happening is an event and when it was heard of.
type happening struct {
	at time.Time
	e  any
}

// Open prepares to write into dir, which is made if it is not there. What others can
// read is refused.
func Open(dir string) (*Keeper, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, chat.Errorf(chat.Arguments, "The transcript cannot be written: %s: %v.", dir, private.Cause(err))
	}
	if err := private.CheckDir(dir); err != nil {
		return nil, err
	}
	return &Keeper{dir: dir, wake: make(chan struct{}, 1), directs: map[chat.User]*file{}}, nil
}

// Start begins to write what Take is given. Failed is called, once for each file, with
// the reason why a line cannot be written; it must not block.
func (k *Keeper) Start(me chat.Name, server string, failed func(error)) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.me, k.server, k.failed = me, server, failed
	k.done = make(chan struct{})
	go k.run(k.done)
}

// Take notes a session.Event or one of this package's own: what is worth keeping is
// written in the order of the calls. It never blocks.
func (k *Keeper) Take(e any) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.closed:
		return
	case len(k.waiting) >= most:
		k.dropped++
		return
	}
	k.waiting = append(k.waiting, happening{time.Now().UTC(), e})
	k.poke()
}

func (k *Keeper) poke() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Close writes what waits and closes the files. A disk that hangs is waited for a few
// seconds; the program ends without it then.
func (k *Keeper) Close() {
	if k == nil {
		return
	}
	k.mu.Lock()
	k.closed = true
	k.poke()
	done := k.done
	k.mu.Unlock()
	if done == nil {
		return
	}
	select {
	case <-done:
	case <-time.After(closing):
	}
}

// run is the only one that touches files.
func (k *Keeper) run(done chan<- struct{}) {
	defer close(done)
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		select {
		case <-k.wake:
		case <-tick.C:
			k.each((*file).sync)
		}
		if k.work() {
			k.each((*file).close)
			return
		}
	}
}

// work writes what waits, and reports whether that was the last of it.
func (k *Keeper) work() (last bool) {
	k.mu.Lock()
	todo, dropped, last := k.waiting, k.dropped, k.closed
	k.waiting, k.dropped = nil, 0
	k.mu.Unlock()
	for _, h := range todo {
		k.take(h.at, h.e)
	}
	if dropped > 0 && k.open != nil {
		k.open.missing += dropped
		k.tell(k.open, errSlow)
	}
	return last
}

// each does something with every open file.
func (k *Keeper) each(do func(*file) error) {
	if k.open != nil {
		k.tell(k.open, do(k.open))
	}
	for _, w := range k.directs {
		k.tell(w, do(w))
	}
}

var errSlow = chat.Errorf(chat.Internal, "the disk is too slow")

// tell says once per file that it cannot be written.
func (k *Keeper) tell(w *file, err error) {
	if err != nil && !w.told {
		w.told = true
		k.failed(private.Cause(err))
	}
}

// take writes what is worth keeping.
func (k *Keeper) take(at time.Time, e any) {
	switch e := e.(type) {
	case session.Opened:
		k.begin(at, e.Session)
	case session.Texts:
		for _, m := range e.Messages {
			k.add(e.Session, Line{Kind: Said, At: at, From: e.From, N: m.N, Sent: m.At, Text: m.Text})
		}
	case Own:
		k.add(e.Session, Line{Kind: Said, At: at, From: k.me, Sent: e.At, Text: e.Text})
	case session.NotDelivered:
		if !e.Kept { // else it may arrive yet
			k.add(e.Session, Line{Kind: failed(true, e.Unknown), At: at, From: k.me, Text: e.Text})
		}
	case OwnBye:
		k.add(e.Session, Line{Kind: Bye, At: at, From: k.me})
	case session.Bye:
		kind := Bye
		if e.Back {
			kind = NoBye
		}
		k.add(e.Session, Line{Kind: kind, At: at, From: e.From})
	case DirectMessage:
		k.direct(at, e)
	default:
		k.members(at, e)
	}
}

// members is take for who comes and goes, and the end.
func (k *Keeper) members(at time.Time, e any) {
	switch e := e.(type) {
	case session.MemberLeft:
		k.add(e.Session.ID, Line{Kind: Left, At: at, From: e.Name, Reason: e.Reason})
	case session.MemberLost:
		k.add(e.Session.ID, Line{Kind: Lost, At: at, From: e.Name})
	case session.MemberBack:
		k.add(e.Session.ID, Line{Kind: Back, At: at, From: e.Name})
	case session.Ended:
		k.add(e.Session.ID, Line{Kind: Ended, At: at, Reason: e.Session.Reason, By: by(e.Session)})
		k.end(e.Session.ID)
	}
}

// failed is the kind of a line with one's own text.
func failed(failed, unknown bool) Kind {
	switch {
	case unknown:
		return Unknown
	case failed:
		return Failed
	}
	return Said
}

func by(s chat.Session) []chat.Name {
	var names []chat.Name
	for _, u := range s.By {
		names = append(names, s.NameOf(u))
	}
	return names
}

// begin opens the file of a chat.
func (k *Keeper) begin(at time.Time, s chat.Session) {
	if k.open != nil {
		k.end(k.session)
	}
	k.session = s.ID
	k.open = &file{
		dir: k.dir, base: s.At.UTC().Format("20060102-150405") + "-" + harmless(s.Short()),
		head: Line{Kind: Chat, At: at, Session: s.ID, Class: s.Class, Server: k.server, Me: k.me, Members: s.Others(k.me.User())},
	}
	k.tell(k.open, k.open.open())
}

// harmless makes a part of a file's name of what the server calls a session.
func harmless(id string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' {
			return r
		}
		return '_'
	}, id)
}

// add writes a line of the open chat.
func (k *Keeper) add(id string, l Line) {
	if k.open != nil && id == k.session {
		k.tell(k.open, k.open.write(l))
	}
}

func (k *Keeper) end(id string) {
	if k.open != nil && id == k.session {
		k.tell(k.open, k.open.close())
		k.open = nil
	}
}

// direct writes a direct message into the file of who it is from, or to.
func (k *Keeper) direct(at time.Time, d DirectMessage) {
	with, l := d.From, Line{Kind: Said, At: at, From: d.From, Text: d.Text}
	if d.From.User() == k.me.User() {
		with = d.To
	}
	l.Kind = failed(d.Failed, d.Unknown)
	w := k.directs[with.User()]
	if w == nil {
		w = &file{
			dir: k.dir, base: "direct-" + string(with.User()),
			head: Line{Kind: Direct, At: at, Server: k.server, Me: k.me, Members: []chat.Name{with}},
		}
		k.room()
		k.directs[with.User()] = w
	}
	k.tell(w, w.write(l))
}

// room closes the files of direct messages if there are many.
func (k *Keeper) room() {
	if len(k.directs) < correspondents {
		return
	}
	for _, w := range k.directs {
		k.tell(w, w.close())
	}
	clear(k.directs)
}
