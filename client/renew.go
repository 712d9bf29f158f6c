package client

import (
	"time"

	"natter/chat"
)

// reblockAfter is how long the client waits for more changes of blocks before it renews the ticket.
const reblockAfter = 300 * time.Millisecond

// renewals gets a new ticket well before the present one expires, when it is void, or when the blocks
// in it are out of date.
func (l *link) renewals() {
	for {
		_, unblock := l.blocks.inTicket(l.held(), time.Now())
		l.mu.Lock()
		wait := time.Until(l.goodUntil) * 3 / 4
		l.mu.Unlock()
		if !unblock.IsZero() {
			wait = min(wait, time.Until(unblock)+reblockAfter)
		}
		select {
		case <-time.After(max(wait, time.Second)):
		case <-l.blocks.changed:
			l.rest(reblockAfter)
			if same, _ := l.blocks.inTicket(l.held(), time.Now()); same {
				continue
			}
		case <-l.voided:
			l.ticketAgain()
			continue
		case <-l.dead:
			l.revive()
			continue
		case <-l.ctx.Done():
			return
		}
		if err := l.renew(); err != nil {
			l.log.Warn("renew the ticket", "err", err)
		}
	}
}

// renew makes a connection with a new ticket before the old one is closed, so that
// nothing is missed in between.
func (l *link) renew() error {
	ticket, err := call(l.ctx, l, chat.Renew, chat.RenewRequest{})
	if err != nil {
		return err
	}
	l.mu.Lock()
	before, until := l.ticket, l.goodUntil
	l.mu.Unlock()
	l.setTicket(ticket, life(ticket))
	nc, err := l.dialUser(l.ctx)
	if err != nil {
		l.setTicket(before, time.Until(until)) // it is still valid, and the other one may not be
		return err
	}
	old, lost := l.replaceConn(nc)
	if old == nil {
		nc.Close()
		return errNotConnected
	}
	l.keepTicket()
	l.adopt(nc)
	_, err = l.login.hello(l.ctx, chat.HelloRequest{})
	if lost || err != nil { // the old one's reconnect does not count now, and nobody else says hello
		l.later(l.login.again)
	}
	if drained := old.Drain(); drained != nil {
		old.Close()
	}
	return err
}

// ticketAgain gets a ticket in the lobby for a connection that is no longer accepted:
// the present one has expired before it could be renewed, or is void.
func (l *link) ticketAgain() {
	if nc := l.conn(); nc == nil || nc.IsConnected() || !l.outlived() {
		return
	}
	err := l.replaceTicket()
	l.log.Debug("a new ticket", "user", l.me, "err", err)
	switch {
	case err == nil:
		return
	case unwanted(err):
		l.later(func() { l.login.signOut(SignedOut{Reason: err.Error()}) })
	default:
		l.warnRefused(err)
	}
	select { // the server refuses the old one several times a second
	case <-time.After(time.Second):
	case <-l.ctx.Done():
	}
}

// outlived reports whether the present ticket was made after a refused one: refusals of a ticket come
// several at once.
func (l *link) outlived() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ticket.JWT == l.presented
}

func (l *link) replaceTicket() error {
	defer l.lobby.leave()
	in, err := l.enter(l.ctx, true)
	if err != nil { // whether another terminal is there, hello tells
		return err
	}
	if in != nil {
		l.login.letIn()
	}
	l.keepTicket()
	return nil
}
