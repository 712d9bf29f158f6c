package transfer

import (
	"fmt"
	"time"

	"natter/session/transfer/journal"
	"natter/session/transfer/manifest"
	"natter/session/transfer/tree"
)

const (
	// MaxWindow is how many bytes a receiver lets be under way at most.
	MaxWindow = 16 << 20
	// span is how far ahead of the first piece that is not durable others are wanted, in pieces.
	span = 4096
	// batch is how many pieces are written before they are synced, at the latest syncAfter
	// the first one was: 4 MiB.
	batch     = 32
	syncAfter = time.Second
	// queued is how much time what is wanted may take at the present rate.
	queued = 2 * time.Second
	// reorder is how much later than the State that follows it a piece may arrive.
	reorder = 250 * time.Millisecond
	// pingFirst and pingLast are the pauses after which a silent sender is asked.
	pingFirst = 2 * time.Second
	pingLast  = 8 * time.Second
	// stallAfter is how long nothing moves before the user is told.
	stallAfter = 20 * time.Second
	// retryAfter is the pause before something is written again.
	retryAfter = 5 * time.Second
	// progressEvery is the pause between two figures.
	progressEvery = 500 * time.Millisecond
	// damagedMore is by how many pieces may be damaged more than were good.
	damagedMore = 32
	// vainTries is how often a sender may say that it has sent something of which nothing comes.
	vainTries = 100
	// farewells is how often an end is told before it is up to the other side to ask.
	farewells = 8
)

// ReceiverConfig is what a Receiver needs.
type ReceiverConfig struct {
	ID          ID
	Incarnation uint64 // see Message
	Summary     manifest.Summary
	Accepted    bool  // in an earlier run: the journal is replayed next
	MaxSize     int64 // of a content whose size is not known before; 0: no limit
	Memory      int64 // bytes for pieces under way, at most MaxWindow; 0: MaxWindow

	piece int64 // size of a piece, in tests
}

type phase uint8

const (
	offered   phase = iota // the list is not complete, or the user has not decided
	receiving              // pieces are wanted
	verified               // the root is right, and being recorded
	placing                // the files get their names
	placed                 // they have them, and that is being recorded
	done                   // the sender is told
	over                   // nothing more is sent or taken
)

var phases = [...]string{"offered", "receiving", "verified", "placing", "placed", "done", "over"}

// Receiver is one receiver's part of a transfer. See the package comment.
type Receiver struct {
	cfg   ReceiverConfig
	phase phase
	list  *manifest.Reader // before the user has decided
	page  again

	content content
	parts   parts
	disk    disk
	flow    flow
	figures figures
	end     again // telling the sender of the end
	said    Time
	reason  Reason

	outbox
}

// disk is what the disk is doing.
type disk struct {
	busy   bool // syncing or recording
	first  Time // when the first piece was written that is not synced
	paused Reason
	retry  Time
	told   bool // of the pause
}

// flow is what is asked of the sender.
type flow struct {
	up          bool
	incarnation uint64 // of the sender
	seq         uint64 // of our last Want
	window      int    // pieces
	max         int
	shared      bool
	ping        again
	damaged     int // less the good ones
	vain        int // how often pieces were lost since the last good one
	toggled     Time
	meter       meter
}

type figures struct {
	have    int64 // bytes that are verified
	moved   Time  // when the last one was
	stalled bool
	next    Time // Progress may be told
	dirty   bool
}

// NewReceiver makes the receiver of an offer, or of one that an earlier run has accepted: then
// Replay comes next. The first input is LinkUp.
func NewReceiver(cfg ReceiverConfig) (*Receiver, error) {
	list, err := manifest.NewReader(cfg.Summary)
	if err != nil {
		return nil, err
	}
	if cfg.piece == 0 {
		cfg.piece = tree.PieceSize
	}
	r := &Receiver{cfg: cfg, list: list, outbox: outbox{id: cfg.ID, incarnation: cfg.Incarnation}}
	r.content = content{piece: cfg.piece, most: cfg.MaxSize, size: cfg.Summary.Size}
	if cfg.MaxSize <= 0 {
		r.content.most = tree.MaxSize
	}
	if cfg.Accepted {
		r.phase, r.list = receiving, nil
	}
	r.flow.window = 2
	r.page.stop()
	r.end.stop()
	r.flow.ping.stop()
	r.flow.limit(cfg.Memory, cfg.piece)
	return r, nil
}

// Replay takes the records of the journal, before the first step.
func (r *Receiver) Replay(rec journal.Record) error {
	switch rec.Kind {
	case journal.Root:
		r.content.size, r.content.rooted, r.content.root = int64(rec.First), true, rec.Hashes[0]
	case journal.Finished:
		r.phase = done
		r.content.root = rec.Hashes[0]
	case journal.Pieces:
		for k, h := range rec.Hashes {
			i := rec.First + uint64(k)
			if i < r.parts.low() {
				continue
			}
			p := r.parts.at(i)
			if p == nil {
				return fmt.Errorf("the journal has piece %d, but not %d", i, r.parts.low())
			}
			if p.state != durable {
				*p = part{state: durable, hashed: true, hash: h}
				r.figures.have += int64(r.content.length(i))
			}
			r.parts.advance()
		}
	}
	return nil
}

// List returns the files of the offer once the event Offered was told, and nil after the user
// has decided.
func (r *Receiver) List() *manifest.List {
	if r.list == nil || !r.list.Done() {
		return nil
	}
	return r.list.List()
}

// Accepted reports whether the user has accepted and the transfer has not failed.
func (r *Receiver) Accepted() bool { return r.phase >= receiving && r.phase < over }

// Next is when a Tick is due; a step at another time is harmless.
func (r *Receiver) Next() Time {
	next := never
	if r.flow.up {
		next = min(r.page.at, r.end.at)
	}
	if r.phase != receiving {
		return next
	}
	if r.disk.paused != 0 {
		next = min(next, r.disk.retry)
	} else if r.parts.count.written > 0 && !r.disk.busy {
		next = min(next, r.disk.first+syncAfter)
	}
	if r.figures.dirty {
		next = min(next, r.figures.next)
	}
	if !r.flow.up {
		return next
	}
	if !r.figures.stalled {
		next = min(next, r.figures.moved+stallAfter)
	}
	return min(next, r.parts.due(), r.flow.ping.at)
}

// Step takes an input and appends what is to be done about it to out. Time must not go back.
func (r *Receiver) Step(in Input, now Time, out []Effect) []Effect {
	r.now, r.fx = max(now, r.now), out
	r.take(&in)
	if r.phase == receiving {
		r.write()
		r.sync()
		r.fill()
		r.check()
	}
	out, r.fx = r.fx, nil
	return out
}

func (r *Receiver) take(in *Input) {
	switch in.Kind {
	case MessageIn:
		if in.Message.ID == r.cfg.ID {
			r.message(&in.Message)
		}
	case LinkUp:
		r.linkUp()
	case LinkDown:
		r.flow.up = false
	case Accept:
		if r.phase == offered && r.list.Done() {
			r.phase, r.list = receiving, nil
			r.tell(Event{Kind: Started})
			r.begin()
		}
	case Decline:
		if r.phase == offered {
			r.fail(Denied)
		}
	case Cancel:
		if r.phase < verified {
			r.fail(Stopped)
		}
	case Limit:
		r.flow.limit(in.N, r.content.piece)
	case Tick:
		r.tick()
	default:
		r.disked(in)
	}
}

// begin has pieces come, at first or again.
func (r *Receiver) begin() {
	r.figures.moved = r.now
	r.flow.meter.start(r.now)
	r.flow.ping.start(r.now, pingFirst)
	if !r.fill() {
		r.report()
	}
}

func (r *Receiver) linkUp() {
	r.flow.up = true
	r.parts.lost()
	switch {
	case r.phase == offered && !r.list.Done():
		r.page.start(r.now, 0)
		r.wantPage()
	case r.phase == receiving:
		r.begin()
	case r.phase >= done:
		r.end.start(r.now, 0)
		r.farewell()
	}
}

func (r *Receiver) tell(e Event) {
	e.Have, e.Size = r.figures.have, r.content.size
	r.emit(Effect{Kind: Tell, Event: e})
}

// fail ends the transfer on this side and tells the other.
func (r *Receiver) fail(why Reason) {
	r.finish(why)
	r.end.start(r.now, 0)
	r.farewell()
}

// finish ends the transfer.
func (r *Receiver) finish(why Reason) {
	r.phase, r.reason, r.list, r.parts.list = over, why, nil, nil
	r.page.stop()
	r.tell(Event{Kind: Ended, Reason: why})
	r.emit(Effect{Kind: Over})
}

// farewell tells the sender of the end when it is time.
func (r *Receiver) farewell() {
	if r.phase < done || !r.flow.up || !r.end.due(r.now, pingLast) {
		return
	}
	if r.end.tries >= farewells {
		r.end.stop()
	}
	r.sayEnd()
}

// sayEnd tells the sender of the end, at most once a second.
func (r *Receiver) sayEnd() {
	if r.said > 0 && r.now < r.said+time.Second {
		return
	}
	r.said = r.now
	if r.reason == 0 {
		r.send("", Message{Kind: Done, Root: r.content.root})
	} else {
		r.send("", Message{Kind: Stop, Reason: r.reason})
	}
}

// String prints a receiver so that a trace reads as a story.
func (r *Receiver) String() string {
	n, _ := r.content.pieces()
	return fmt.Sprintf("%s low %d of %d, %+v window %d seq %d up %v shared %v disk %+v root %v", phases[r.phase], r.parts.low(), n, r.parts.count, r.flow.window, r.flow.seq, r.flow.up, r.flow.shared, r.disk, r.content.rooted)
}
