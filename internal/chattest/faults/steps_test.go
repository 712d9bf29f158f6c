//go:build faults

package faults_test

import (
	"context"
	"errors"
	"slices"

	"natter/chat"
	"natter/client"
	"natter/session"
)

// operation is something that people do.
type operation struct {
	name   string
	people int
	grace  string            // "" is as for others
	flags  []string          // of the coordinator
	before func(*play)       // what was so before
	do     func(*play) error // with how many steps the coordinator does this
	after  func(*play)       // what all are told and may expect
}

var operations = []operation{
	{name: "a new name", people: 2,
		before: func(p *play) { must(p.T, p.all[1].live()) },
		do:     func(p *play) error { return p.soon(p.all[0].enter) },
		after:  func(p *play) { must(p.T, p.all[0].SetPresence(p.Context(), true)) },
	},
	{name: "presence", people: 2,
		before: func(p *play) { must(p.T, p.all[1].live()); must(p.T, p.soon(p.all[0].enter)) },
		do:     func(p *play) error { return p.all[0].SetPresence(p.Context(), true) },
		after:  func(p *play) {},
	},
	{name: "invite", people: 2, before: come,
		do:    func(p *play) (err error) { p.id, err = p.invites(0, 1); return err },
		after: func(p *play) { p.share(p.id, "invited", p.all[1]) },
	},
	{name: "invite the host", people: 2,
		before: func(p *play) { come(p); p.invited(0, 1) },
		do:     func(p *play) error { _, err := p.invites(1, 0); return err },
		after:  func(p *play) { p.share(p.id, "open", p.all...); p.talk(p.all...) },
	},
	{name: "accept", people: 2,
		before: func(p *play) { come(p); p.invited(0, 1) },
		do:     func(p *play) error { return p.answers(1, true) },
		after:  func(p *play) { p.share(p.id, "open", p.all...); p.talk(p.all...) },
	},
	{name: "two accept", people: 3,
		before: func(p *play) { come(p); p.invited(0, 1, 2) },
		do:     func(p *play) error { return errors.Join(p.answers(1, true), p.answers(2, true)) },
		after:  func(p *play) { p.share(p.id, "open", p.all...); p.talk(p.all...) },
	},
	{name: "accept one of two", people: 3,
		before: func(p *play) { come(p); p.invited(2, 1); p.invited(0, 1) },
		do:     func(p *play) error { return p.answers(1, true) },
		after: func(p *play) {
			p.share(p.id, "open", p.all[:2]...)
			p.talk(p.all[:2]...)
			told[session.InvitationEnded](p.all[1], p.at)
			if e, _ := told[session.InvitationEnded](p.all[2], p.at); e.Session.Reason != chat.ByGone {
				p.Errorf("the other invitation ends as %s", e.Session.Reason)
			}
		},
	},
	{name: "deny", people: 2,
		before: func(p *play) { come(p); p.invited(0, 1) },
		do:     func(p *play) error { return p.answers(1, false) },
		after:  func(p *play) { p.share(p.id, string(chat.ByDeny), p.all...) },
	},
	{name: "deny when another one has accepted", people: 3,
		before: func(p *play) { come(p); p.invited(0, 1, 2); must(p.T, p.answers(1, true)) },
		do:     func(p *play) error { return p.answers(2, false) },
		after:  func(p *play) { p.share(p.id, string(chat.ByDeny), p.all...) },
	},
	{name: "withdraw", people: 2,
		before: func(p *play) { come(p); p.invited(0, 1) },
		do:     func(p *play) error { return p.all[0].Withdraw(p.Context(), p.id) },
		after:  func(p *play) { p.share(p.id, string(chat.ByWithdraw), p.all...) },
	},
	{name: "expire", people: 2, flags: []string{"--invite-timeout", "3s"},
		before: func(p *play) { come(p); p.invited(0, 1) },
		do:     func(p *play) error { told[session.InvitationEnded](p.all[0], p.at); return nil },
		after:  func(p *play) { p.share(p.id, string(chat.ByExpiry), p.all...) },
	},
	{name: "quit", people: 2,
		before: chatting,
		do:     func(p *play) error { return p.all[1].Quit(p.Context()) },
		after:  func(p *play) { p.share(p.id, string(chat.ByQuit), p.all...) },
	},
	{name: "leave", people: 3,
		before: chatting,
		do:     func(p *play) error { return p.all[1].Leave(p.Context()) },
		after: func(p *play) {
			p.share(p.id, string(chat.ByLeave), p.all[1])
			for _, a := range []*actor{p.all[0], p.all[2]} {
				told[session.MemberLeft](a, p.at)
				p.share(p.id, "open", a)
			}
			p.talk(p.all[0], p.all[2])
		},
	},
	{name: "exit", people: 2,
		before: come,
		do:     func(p *play) error { return p.all[1].Exit(p.Context()) },
		after:  func(p *play) { p.gone(1); must(p.T, p.all[1].live()) },
	},
	{name: "exit from a chat", people: 2,
		before: chatting,
		do:     func(p *play) error { return p.all[1].Exit(p.Context()) },
		after: func(p *play) {
			p.gone(1)
			p.share(p.id, string(chat.ByQuit), p.all[0])
			must(p.T, p.all[1].live())
		},
	},
	{name: "take over", people: 2,
		before: func(p *play) {
			chatting(p)
			p.all = append(p.all, newActor(p.T, p.s, p.all[0].name))
			p.all[2].keys, p.all[2].over = p.all[0].keys, true
		},
		do: func(p *play) error { return p.all[2].live() },
		after: func(p *play) {
			if e, _ := told[client.SignedOut](p.all[0], p.at); !e.Elsewhere {
				p.Errorf("the other terminal is told %v", e)
			}
			p.all = []*actor{p.all[2], p.all[1]}
			p.share(p.id, "open", p.all...)
			p.talk(p.all...)
		},
	},
	{name: "come back", people: 2,
		before: func(p *play) {
			chatting(p)
			told[session.MemberLost](p.all[0], p.all[1].dies())
			p.all[1].over = true
		},
		do: func(p *play) error { return p.all[1].live() },
		after: func(p *play) {
			told[session.MemberBack](p.all[0], p.at)
			p.share(p.id, "open", p.all...)
			p.talk(p.all...)
		},
	},
	{name: "loss", people: 2, grace: "1s",
		before: chatting,
		do: func(p *play) error {
			p.all[1].dies()
			told[session.Ended](p.all[0], p.at)
			return nil
		},
		after: func(p *play) {
			p.share(p.id, string(chat.ByLoss), p.all[0])
			p.gone(1)
			must(p.T, p.all[1].live())
		},
	},
}

func come(p *play) {
	for _, a := range p.all {
		must(p.T, a.live())
	}
}

func chatting(p *play) {
	come(p)
	p.id = together(p.T, p.all...)
	p.talk(p.all...)
}

// soon gives something the time that a user has for it.
func (p *play) soon(do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(p.Context(), askFor)
	defer cancel()
	return do(ctx)
}

func (p *play) invites(host int, guests ...int) (id string, err error) {
	var names []string
	for _, n := range guests {
		names = append(names, p.all[n].name)
	}
	s, err := p.all[host].Invite(p.Context(), names...)
	return s.ID, err
}

// invited has somebody invite others, who are told.
func (p *play) invited(host int, guests ...int) {
	p.Helper()
	id, err := p.invites(host, guests...)
	must(p.T, err)
	for _, n := range guests {
		p.share(id, "invited", p.all[n])
	}
	p.id = id
}

func (p *play) answers(n int, accept bool) error { return p.all[n].Answer(p.Context(), p.id, accept) }

// gone waits until somebody else no longer sees a user.
func (p *play) gone(n int) {
	p.Helper()
	p.eventually(func() string {
		seen, err := p.watcher.List(p.Context())
		must(p.T, err)
		if slices.ContainsFunc(seen, func(e chat.Entry) bool { return e.Name == chat.Name(p.all[n].name) }) {
			return p.all[n].name + " has left, and is in the list"
		}
		return ""
	})
}
