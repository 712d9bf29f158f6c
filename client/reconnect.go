package client

import (
	"errors"

	"github.com/nats-io/nats.go"

	"natter/broker"
)

// ended handles the end of the user's connection: the library closes it for good after an error that
// it does not know.
func (l *link) ended(nc *nats.Conn) {
	if l.ctx.Err() != nil || nc != l.conn() || l.side != nil {
		return
	}
	l.mu.Lock()
	if l.lostAt.IsZero() {
		l.lostAt = l.pulse.lostSince(awake())
	}
	l.mu.Unlock()
	select {
	case l.dead <- struct{}{}:
	default: // it is on its way
	}
}

// revive replaces a connection that was closed for good. It tries until there is one, or until the
// lobby refuses the user.
func (l *link) revive() {
	for tries := 1; l.ctx.Err() == nil; tries++ {
		if nc := l.conn(); nc == nil || !nc.IsClosed() {
			return
		}
		err := l.redial()
		if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) {
			err = l.replaceTicket()
		}
		if unwanted(err) {
			l.later(func() { l.login.signOut(SignedOut{Reason: err.Error()}) })
			return
		}
		l.log.Debug("a new connection", "user", l.me, "err", err)
		l.rest(broker.ReconnectAfter(tries))
	}
}

// redial connects with the present ticket.
func (l *link) redial() error {
	nc, err := l.dialUser(l.ctx)
	if err != nil {
		return err
	}
	if old, _ := l.replaceConn(nc); old == nil {
		nc.Close()
		return nil
	}
	l.adopt(nc)
	l.later(l.login.again)
	return nil
}

// adopt checks whether a connection was closed for good before it became the user's: then ended was
// not called.
func (l *link) adopt(nc *nats.Conn) {
	if nc.IsClosed() {
		l.ended(nc)
	}
}

// replaceConn replaces the user's connection, and reports whether the former one was lost. A client
// that was signed out or closed meanwhile gets none: it would never be closed.
func (l *link) replaceConn(nc *nats.Conn) (old *nats.Conn, lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.nc == nil || l.ctx.Err() != nil {
		return nil, false
	}
	old, l.nc = l.nc, nc
	return old, !l.lostAt.IsZero()
}
