package delivery

import (
	"fmt"

	"natter/session"
)

func describe(in Input) string {
	switch in.Kind {
	case Say:
		return "say " + in.Text
	case FrameIn:
		m := in.Frame.Messages
		return fmt.Sprintf("frame of %s %s..%s %v", in.From, number(m[0].N), number(m[len(m)-1].N), in.Frame.Receipts)
	case Receipt:
		return fmt.Sprintf("receipt of %s: %s", in.From, number(in.N))
	case Announced:
		a := in.Announce
		return fmt.Sprintf("%s announces have %s first %s acked %s ask %v", in.From, number(a.Have), number(a.First), number(a.Acked), a.Ask)
	case Fetched:
		m := in.Frame.Messages
		return fmt.Sprintf("fetched of %s %s..%s", in.From, number(m[0].N), number(m[len(m)-1].N))
	case Stored:
		return fmt.Sprintf("stored %s..%s %v", number(in.First), number(in.Last), in.Stored)
	}
	return [...]string{"tick", "say", "bye", "drain", "flush", "close", "joined", "join failed", "link down", "link up", "link closed", "published", "unsent",
		"frame", "receipt", "announced", "bye said", "asked", "record", "over", "stored", "store failed", "fetched", "fetch done", "fetch failed"}[in.Kind]
}

func describeEffect(e Effect) string {
	name := [...]string{"", "publish", "receipt", "ask for receipts", "announce", "bye", "join", "store", "fetch", "drained", "all bye", "tell", "moved"}[e.Kind]
	switch e.Kind {
	case Publish, Store:
		return fmt.Sprintf("%s %s..%s %v", name, number(e.First), number(e.Last), e.For)
	case SendReceipt:
		return fmt.Sprintf("%s to %s: %s", name, e.To, number(e.N))
	case SendAnnounce:
		return fmt.Sprintf("%s to %q ask %v", name, e.To, e.Announce.Ask)
	case Tell:
		if t, ok := e.Event.(session.Texts); ok {
			return fmt.Sprintf("shows %q..%q", t.Messages[0].Text, t.Messages[len(t.Messages)-1].Text)
		}
		return fmt.Sprintf("tells %T %+v", e.Event, e.Event)
	}
	return name
}
