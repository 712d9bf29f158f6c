package ui

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"natter/chat"
	"natter/client"
	"natter/internal/flags"
)

// Options are the choices of one run.
type Options struct {
	In       io.Reader
	Out      io.Writer
	Terminal bool // In and Out are a terminal: prompts without LF, the bell
	CutsAt   int  // In is a terminal that drops what a line has beyond so many bytes; 0: nothing is dropped

	Name      string           // tried first, instead of asking
	Presence  chat.Presence    // Undecided: ask
	Accept    Policy           // of invitations
	ByeExits  bool             // the end by bye ends the program
	Echo      bool             // one's own messages are shown
	Time      bool             // lines carry the time
	Bell      bool             // one bell per invitation
	Linger    time.Duration    // after the end of input; Forever
	Strict    bool             // an error line makes the exit code 1
	KeepGoing bool             // a /wait that ends in vain does not end the program
	New       bool             // of a program that does one thing: the name may be new
	Listen    bool             // there is no input: nothing is asked, no menu is shown
	Home      string           // shown as ~
	Now       func() time.Time // nil: time.Now
	Log       *slog.Logger     // of faults; nil: none

	Secret func(hidden bool) // hides what is typed, or shows it again; nil: never hidden
}

// Forever is a Linger without end.
const Forever time.Duration = -1

// The exit codes of a run, from the table of all, flags.Exits.
const (
	ExitOK          = flags.ExitOK
	ExitFailure     = flags.ExitFailure
	ExitUsage       = flags.ExitUsage
	ExitName        = flags.ExitName
	ExitDenied      = flags.ExitDenied
	ExitUnreachable = flags.ExitUnreachable
	ExitSignedOut   = flags.ExitSignedOut
	ExitRefused     = flags.ExitRefused
	ExitUnknown     = flags.ExitUnknown
)

// state is the step of the dialog: it decides what a Reply means.
type state int

const (
	atName state = iota
	atPassphrase
	atTakeover // the name is signed in on another terminal
	atPresence
	atMenu
	atLeave // choice 3, which may have been meant for a chat that others have just ended
	atUser
	atGroup
	inviting // waits for answers to one's own invitation, or for the others of an accepted one
	chatting
)

// front is the plain front end. It belongs to the goroutine of Run.
type front struct {
	o     Options
	c     *client.Client
	out   *printer
	me    chat.User
	name  chat.Name
	grace time.Duration

	state    state
	showMenu bool // the menu is to be shown before the next prompt
	asked    bool // the prompt is shown, and no line was read since

	// what the next line waits for
	asking   string         // the question under way, in words
	ordered  bool           // events that change the state wait for its answer
	deferred []client.Event // events that came during the question; see event
	await    await
	wait     *waiting
	held     *input // a line that was read while an answer was awaited; see peek
	tally    tally
	roster   map[chat.User]chat.Entry // what /wait user knows; nil until it is asked

	invitations []chat.Session     // that wait for the user's answer, oldest first
	proposal    chat.Session       // while inviting
	open        *chat.Session      // while chatting
	free        []chat.Name        // what the picker shows
	endedBefore string             // the session whose end was told already
	byes        map[chat.User]bool // who has said bye and not taken it back, the user included
	ending      string             // the session that the user's own Quit or /leave ends
	cutShort    bool               // others have ended the chat, and no line has come since

	directs    []Command // to be sent; the first one is being sent
	lastDirect chat.Name
	more       []excerpted // what /more shows, the next one first
	hinted     bool        // how to write Quit was explained

	locked  locked
	refused error  // why the last name was not to be had
	over    string // the name that is signed in elsewhere: see atTakeover
	known   bool   // the presence was remembered, and no line has come since
	leaving bool
	gone    bool        // the client has said goodbye
	exited  atomic.Bool // the same, set before the loop knows
	eof     bool
	done    bool
	code    int

	base    context.Context // the context of questions
	results chan func()     // what is to be done now that they are answered
	pending sync.WaitGroup
	timers  timers
}

// await is a session whose outcome is awaited before the next line is read. If it takes long,
// because people must decide, only scripts wait for it.
type await struct {
	session string
	soon    bool
}

// waiting is a /wait that has not ended.
type waiting struct{ want want }

// excerpted is the rest of a text that was too long to be shown. A text of another member is kept
// until they write another one that long; a text of the user that did not arrive is kept until it
// is shown.
type excerpted struct {
	who, text string
	unsent    bool
}

// timers are the timers of the loop; a nil channel never fires.
type timers struct {
	slow   <-chan time.Time // the question takes long
	wait   <-chan time.Time
	linger <-chan time.Time
}

// slowAfter is how long an answer may take before the user is told what the program waits for.
const slowAfter = 2 * time.Second

// Run serves the user until they leave, and returns the exit code. When ctx ends, it signs the user
// out and returns ExitOK.
func Run(ctx context.Context, c *client.Client, o Options) int {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f := newFront(ctx, o)
	f.c = c
	lines := make(chan input)
	if !o.Listen {
		go read(ctx, o.In, o.CutsAt, lines)
	}
	f.start()
	f.loop(ctx, lines)
	f.reveal()
	cancel()
	f.part(context.WithoutCancel(ctx))
	f.pending.Wait()
	return f.code
}

func newFront(ctx context.Context, o Options) *front {
	return &front{
		o:       o,
		out:     &printer{w: o.Out, terminal: o.Terminal, time: o.Time, now: o.Now},
		base:    ctx,
		results: make(chan func()),
		eof:     o.Listen,
	}
}

// loop handles lines (when one may be read), events, answers and timers.
func (f *front) loop(ctx context.Context, lines <-chan input) {
	events := f.c.Events()
	for !f.done && f.out.err == nil {
		var in <-chan input
		switch {
		case f.ready():
			f.prompt()
			if f.held != nil {
				f.release()
				continue
			}
			in = lines
		case f.peeks():
			in = lines
		}
		select {
		case l := <-in:
			f.take(l)
		case e, ok := <-events:
			if !ok {
				events = nil
				f.closed()
				continue
			}
			f.event(e)
		case result := <-f.results:
			result()
		case <-f.timers.slow:
			f.timers.slow = nil
			f.out.notice("* Waiting for " + f.asking + ".")
		case <-f.timers.wait:
			f.waitTimedOut()
		case <-f.timers.linger:
			f.leave(f.code)
		case <-ctx.Done():
			return
		}
	}
	if f.out.err != nil {
		f.code = ExitFailure
	}
}

// closed ends the program when the client has closed by itself.
func (f *front) closed() {
	if f.leaving {
		return // the user has asked for it; the answer follows
	}
	f.done, f.gone = true, true
	if f.code == ExitOK {
		f.code = ExitFailure
	}
}

// ready reports whether a line may be read.
func (f *front) ready() bool {
	blocked := f.await.session != "" && (f.await.soon || !f.o.Terminal)
	return f.asking == "" && !blocked && f.wait == nil && !f.leaving && !f.eof
}

// peeks reports whether the next line is read although an answer of other people is awaited: a
// script may withdraw its invitation.
func (f *front) peeks() bool {
	return f.asking == "" && f.await.session != "" && !f.await.soon && f.held == nil && f.wait == nil && !f.leaving && !f.eof
}

// take handles a line, or keeps it until the awaited answer has come.
func (f *front) take(l input) {
	if f.ready() || Parse(l.text).Verb == Cancel {
		f.input(l)
		return
	}
	f.held = &l
}

// release handles the line that was kept.
func (f *front) release() {
	l := *f.held
	f.held = nil
	f.input(l)
}

// ask runs a question to the server in another goroutine. Its result, a function that the loop
// calls, may be nil. Until then no line is read and no chat begins or ends.
func (f *front) ask(what string, question func(context.Context) func()) {
	f.ordered = true
	f.askFreely(what, question)
}

// askFreely is ask for questions that may take long while the chat goes on: no line is read, but
// events are handled as they come.
func (f *front) askFreely(what string, question func(context.Context) func()) {
	f.asking = what
	f.timers.slow = time.After(slowAfter)
	f.beside(question, func() {
		f.asking, f.ordered, f.timers.slow = "", false, nil
	})
}

// beside runs a question in another goroutine. The loop then calls first after and then the result.
func (f *front) beside(question func(context.Context) func(), after func()) {
	f.pending.Go(func() {
		result := question(f.base)
		select {
		case f.results <- func() {
			after()
			if result != nil {
				result()
			}
			f.catchUp()
			f.leaveNow()
		}:
		case <-f.base.Done():
		}
	})
}

// catchUp handles the events that were put off while a question was under way.
func (f *front) catchUp() {
	for !f.ordered && len(f.deferred) > 0 {
		e := f.deferred[0]
		f.deferred = f.deferred[1:]
		f.handle(e)
	}
}

// failed tells the user why a line of input was not carried out. A fault is logged whole.
func (f *front) failed(err error) {
	if e := (*chat.Error)(nil); !errors.As(err, &e) {
		f.o.Log.Error("internal error", "user", f.me, "err", err)
	}
	f.fail(problem(err))
}

// fail tells the user what is wrong with a line of input.
func (f *front) fail(sentence string) {
	f.out.notice(sentence)
	if f.o.Strict && f.code == ExitOK {
		f.code = ExitFailure
	}
}
