package transfer

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// simJudge says what must not have happened. The rules:
//
//   - identical: what gets its name has the root that was told, and is the source unless the
//     sender lies;
//   - resent: pieces that were recorded do not come again, but for those whose record was lost
//     in a crash, at most a batch for each;
//   - memory: neither side has more pieces in memory than its window;
//   - once: an end is told once in each life, and is the same in all;
//   - rest: once everything has healed, everything arrives, and nothing is left to do;
//   - fair: nobody fails without a reason.
type simJudge struct {
	found []string
	ends  map[string]Reason // at the sender
}

func (j *simJudge) wrong(rule, format string, args ...any) {
	j.found = append(j.found, rule+": "+fmt.Sprintf(format, args...))
}

// place checks what gets its name.
func (j *simJudge) place(s *sim, r *simReceiver) {
	var got []byte
	n := (r.core.content.size + simPiece - 1) / simPiece
	for i := range uint64(n) {
		got = append(got, r.disk.durable[i]...)
	}
	switch {
	case int64(len(got)) != r.core.content.size, s.summary.Size >= 0 && r.core.content.size != s.summary.Size:
		j.wrong("identical", "%s places %d bytes, %d were told and %d offered", r.name, len(got), r.core.content.size, s.summary.Size)
	case rootOf(got) != r.core.content.root:
		j.wrong("identical", "%s places what has another root", r.name)
	case s.plan.liar == 0 && !bytes.Equal(got, s.content):
		j.wrong("identical", "%s places something else", r.name)
	}
}

func (j *simJudge) toldReceiver(s *sim, r *simReceiver, e Event) {
	if r.ended && r.why != e.Reason {
		j.wrong("once", "%s is told %v after %v", r.name, e.Reason, r.why)
	}
	r.ended, r.why = true, e.Reason
	if e.Reason == 0 && !r.placed {
		j.wrong("identical", "%s is told of the end before", r.name)
	}
	if fair := e.Reason == 0 || r.denies && e.Reason == Denied || s.plan.liar > 0 && e.Reason >= Changed && e.Reason <= TooLarge || s.sender.gone; !fair {
		j.wrong("fair", "%s fails: %v", r.name, e.Reason)
	}
}

func (j *simJudge) toldSender(s *sim, e Event) {
	if e.Kind != Ended {
		return
	}
	if j.ends == nil {
		j.ends = map[string]Reason{}
	}
	who := fmt.Sprint(e.Who, " in life ", s.sender.life)
	if _, again := j.ends[who]; again {
		j.wrong("once", "%s ends twice at the sender", who)
	}
	j.ends[who] = e.Reason
	if r := s.receivers[s.receiver(e.Who)]; e.Reason == 0 && !r.placed {
		j.wrong("identical", "%s has it, the sender is told, and it has not", e.Who)
	}
}

func (j *simJudge) checkReceiver(s *sim, r *simReceiver) {
	c := r.core
	var n counts
	for i := range c.parts.list {
		p := &c.parts.list[i]
		switch p.state {
		case wanted:
			n.wanted++
		case held:
			n.held++
		case writing:
			n.writing++
		case written:
			n.written++
		case syncing:
			n.syncing++
		}
		if (p.data != nil) != (p.state == held) || p.state > wanted && !p.hashed {
			j.wrong("invariant", "%s: piece %d is %+v", r.name, c.parts.low()+uint64(i), *p)
		}
	}
	if c.phase == receiving && n != c.parts.count {
		j.wrong("invariant", "%s counts %+v, there are %+v", r.name, c.parts.count, n)
	}
	if n.held+n.writing > c.flow.max+1 || n.writing+n.written > batch {
		j.wrong("memory", "%s: %+v with a window of %d", r.name, n, c.flow.max)
	}
}

func (j *simJudge) checkSender(s *sim) {
	c := s.sender.core
	n := c.group.lane.flight + c.group.lane.reading + c.hash.reading
	for _, p := range c.peers {
		n += p.lane.flight + p.lane.reading
		if p.queue.Len() > maxWanted {
			j.wrong("memory", "%s wants %d", p.user, p.queue.Len())
		}
	}
	if n > allLanes+run || len(c.source.pieces) > kept {
		j.wrong("memory", "the sender has %d pieces in memory, and %d of a stream", n, len(c.source.pieces))
	}
}

// finish judges the end.
func (j *simJudge) finish(s *sim) {
	if len(j.found) > 0 {
		return
	}
	for _, r := range s.receivers {
		if !r.ended && !s.sender.gone {
			j.wrong("rest", "%s has not ended: %v; %s", r.name, r.core, s.sender.core)
		}
		if r.core != nil && !r.dead && r.core.Next() != never && !s.sender.gone {
			j.wrong("rest", "%s waits for %v at %v: %s", r.name, r.core.Next(), s.Now, r.core)
		}
		if s.plan.liar == 0 && r.resent > batch*(r.breaks+1) {
			j.wrong("resent", "%s: %d pieces in spite of %d interruptions", r.name, r.resent, r.breaks)
		}
	}
	if !s.sender.dead && s.sender.core.Next() != never {
		j.wrong("rest", "the sender waits for %v at %v: %s", s.sender.core.Next(), s.Now, s.sender.core)
	}
}

func itoa(n uint64) string { return strconv.FormatUint(n, 10) }

// String prints a message so that a trace reads as a story.
func (m Message) String() string {
	name := map[Kind]string{Offer: "offer", Page: "page", Hashes: "hashes", Piece: "piece", Complete: "complete", State: "state", Noted: "noted", WantPage: "want page", Want: "want", Done: "done", Stop: "stop", Bye: "bye"}[m.Kind]
	var b strings.Builder
	fmt.Fprint(&b, name)
	switch m.Kind {
	case Page, Piece, WantPage:
		fmt.Fprint(&b, " ", m.Index)
	case Hashes:
		fmt.Fprint(&b, " ", m.Index, " and ", len(m.Hashes), " size ", m.Size)
	case State:
		fmt.Fprint(&b, " ", m.Seq, " before ", m.Index, " shared ", m.Shared)
	case Want:
		fmt.Fprint(&b, " ", m.Seq, " shared ", m.Shared, " durable ", m.Durable, " ", m.Ranges, " ", m.Reason)
	case Stop:
		fmt.Fprint(&b, " ", m.Reason)
	}
	return b.String()
}

func describeEffect(e Effect) string {
	name := strings.Split(" send tell over keep write sync record place listen read cache", " ")[e.Kind]
	switch e.Kind {
	case Send:
		return name + " " + string(e.To) + " " + e.Message.String()
	case Tell:
		return fmt.Sprintf("tell %d %s %v %d/%d", e.Event.Kind, e.Event.Who, e.Event.Reason, e.Event.Have, e.Event.Size)
	case WritePiece, CacheHashes:
		return name + " " + itoa(e.Index)
	case ReadPieces:
		return fmt.Sprint(name, " ", e.To, " ", e.Index, " and ", e.Count)
	}
	return name
}
