package presence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nkeys"

	"natter/broker"
	"natter/broker/rpc"
	"natter/broker/store"
	"natter/chat"
	"natter/presence/account"
)

// enter answers a request for a name with a ticket, or with the reason for refusing it, which the
// broker would never tell.
func (s *Service) enter(ctx context.Context, c rpc.Caller, q chat.EnterRequest) (chat.Sealed, error) {
	if !nkeys.IsValidPublicCurveKey(q.Seal) {
		return chat.Sealed{}, chat.Errorf(chat.Arguments, `The field "seal" must be a public curve key.`)
	}
	s.anonymous.lobbyIs(c.Origin.Account)
	reply, err := s.admit(ctx, s.origin(ctx, c), q)
	if err != nil {
		var told *chat.Error
		if !errors.As(err, &told) || told.Code == chat.Rate { // clients that must wait ask again by themselves
			return chat.Sealed{}, err
		}
		reply = chat.EnterReply{Error: told}
		rpc.Refused(ctx, told.Code)
	}
	data, err := json.Marshal(reply)
	if err != nil {
		return chat.Sealed{}, err
	}
	return s.sealTo(q.Seal, data)
}

// admit decides who gets a name and its ticket.
func (s *Service) admit(ctx context.Context, from string, q chat.EnterRequest) (chat.EnterReply, error) {
	name, err := chat.ParseName(q.Name)
	asked := string(name)
	if err != nil {
		asked = fmt.Sprintf("%+.60q", q.Name)
	}
	s.Audit.Request(chat.Audit{Event: "user.request", Address: from, Asked: name, Text: fmt.Sprintf("%s asks for the username %s", from, asked)})
	reply, err2 := chat.EnterReply{}, err
	if err2 == nil {
		reply, err2 = s.letIn(ctx, name, from, q)
	}
	s.refusedName(name, asked, from, err2)
	return reply, err2
}

// letIn refuses banned users before they can use a pass. That a name is banned is told only to
// users with a pass.
func (s *Service) letIn(ctx context.Context, name chat.Name, from string, q chat.EnterRequest) (chat.EnterReply, error) {
	err := s.refuseBanned(name, q.Key, from)
	if errors.Is(err, &chat.Error{Code: chat.Reserved}) {
		if uninvited := s.invited(ctx, name, q); uninvited != nil {
			return chat.EnterReply{}, uninvited
		}
	}
	if err == nil {
		err = SameProto(q.Proto)
	}
	if err == nil {
		err = proven(q)
	}
	if err == nil && q.Hello != nil {
		err = validEnterHello(*q.Hello)
	}
	if err != nil {
		return chat.EnterReply{}, err
	}
	if q.Side != "" {
		return s.beside(ctx, name, q)
	}
	return s.enterAs(ctx, name, from, q)
}

// enterAs reserves a name for its key, and with a hello takes it.
func (s *Service) enterAs(ctx context.Context, name chat.Name, from string, q chat.EnterRequest) (reply chat.EnterReply, err error) {
	acc, err := s.reserve(ctx, name, from, q)
	if err != nil {
		return reply, err
	}
	if q.Hello != nil {
		if reply.Hello, err = s.arrive(ctx, name, from, q); err != nil {
			return reply, err
		}
	}
	reply.Ticket, err = s.mint(q.Key, name.User(), acc, nil, time.Now())
	return reply, err
}

func (s *Service) reserve(ctx context.Context, name chat.Name, from string, q chat.EnterRequest) (account.Record, error) {
	if err := s.invited(ctx, name, q); err != nil {
		return account.Record{}, err
	}
	if err := s.owned(ctx, name, q); err != nil {
		return account.Record{}, err
	}
	if row, ok := s.Users.Get(store.Committed, string(name.User())); ok && row.Record.Present() {
		if err := s.held(ctx, name, q); err != nil {
			return account.Record{}, err
		}
	} else if err := Room(s.Users.Len(store.Committed), s.MaxUsers); err != nil {
		return account.Record{}, err
	}
	if err := s.awaitMintable(ctx, q.Key); err != nil {
		return account.Record{}, err
	}
	now := time.Now()
	acc, _, err := s.Accounts.Get(ctx, name.User())
	if err != nil {
		return acc, err
	}
	undo := func() {}
	if !acc.Knows(q.Key) {
		if undo, err = s.mayReserve(name, from, q, now); err != nil {
			return acc, err
		}
	}
	acc, err = s.Accounts.Update(ctx, name.User(), func(r account.Record) (account.Record, error) { return s.reserved(r, name, q, now) })
	if err != nil {
		undo()
	}
	if broker.AtLimit(err) && !acc.Taken() {
		return acc, errNoNames
	}
	if errors.Is(err, &chat.Error{Code: chat.Taken}) {
		return acc, s.taken(ctx, name)
	}
	return acc, err
}

// errNoNames is what newcomers are told when ACCOUNTS is at its limit.
var errNoNames = chat.Errorf(chat.Full, "No new username can be taken: the server has no room for another account. "+
	"Users who have one can come in. Try again later, or ask the server's operator to make room.")

// reserved is the rule of reserve.
func (s *Service) reserved(r account.Record, name chat.Name, q chat.EnterRequest, now time.Time) (account.Record, error) {
	after, err := account.Reserve(r, name, q.Key, now, s.settled(), chat.Hold, s.NameTTL)
	if err != nil && !errors.Is(err, chat.ErrUnchanged) {
		return after, err
	}
	anew := err == nil && (r.Key == "" || r.Lapsed(now, s.settled(), s.NameTTL))
	if anew && chat.LooksReserved(name) {
		return r, chat.Errorf(chat.Reserved, "%q looks like a reserved word. Choose another username.", name)
	}
	if anew && s.alike(name, now) {
		return r, chat.Errorf(chat.Taken, "The username %s looks like one that is taken.", name) // see taken
	}
	if err == nil && s.Invited {
		after.Pass, _ = chat.ReadPass(q.Pass, q.Key)
	}
	if q.Hello == nil {
		return after, err
	}
	more, same := account.Remember(after, q.Hello.Presence, q.Hello.Identity)
	if same != nil {
		return after, err
	}
	return more, nil
}

// owned returns an error if a name belongs to another key or, with code NotRegistered, if it
// should be the asker's already and is not. It comes before anything that depends on who is
// present: the answer, and the time that it takes, are the same whether or not its owner is.
func (s *Service) owned(ctx context.Context, name chat.Name, q chat.EnterRequest) error {
	acc, _, err := s.Accounts.Get(ctx, name.User())
	if err != nil {
		return err
	}
	if acc.Key != "" && acc.Key != q.Key && !acc.Lapsed(time.Now(), s.settled(), s.NameTTL) {
		return s.taken(ctx, name)
	}
	if (q.Known || q.Side != "") && !acc.Knows(q.Key) {
		return chat.Errorf(chat.NotRegistered, "The username %s is not yours here. With --new it is taken, if it is free.", name)
	}
	return nil
}

// held returns an error if a present user has the name and either has another key than the asker,
// or is connected and is not to be signed out. Another replica may have changed that a moment ago.
func (s *Service) held(ctx context.Context, name chat.Name, q chat.EnterRequest) error {
	if err := s.Users.Sync(ctx); err != nil {
		s.Log.Warn("look who is present", "err", err)
	}
	row, _ := s.Users.Get(store.Committed, string(name.User()))
	switch r := row.Record; {
	case !r.Present():
		return nil
	case r.Key != q.Key && !s.rekeyed(ctx, r, q.Key):
		return s.taken(ctx, name)
	case r.State == Here && s.live.Connected(q.Key) && !q.Takeover:
		return SignedIn(r)
	}
	return nil
}

// taken returns the error for a name that somebody has or owns, with names that are free.
func (s *Service) taken(ctx context.Context, name chat.Name) error {
	free := Suggest(name, func(n chat.Name) bool {
		return s.unowned(ctx, n.User()) && !chat.LooksReserved(n) && !s.alike(n, time.Now())
	})
	e := chat.Errorf(chat.Taken, "The username %s is already taken. Free: %s. Enter another one. If it is yours, bring its key: chatcli --key FILE.", name, chat.Names(free))
	e.Suggestions = free
	return e
}

// alike reports whether a name looks like that of another account.
func (s *Service) alike(name chat.Name, now time.Time) bool {
	return s.Accounts.Names.Held(name, now, s.settled(), s.NameTTL)
}

// unowned reports whether a name belongs to nobody. It is the same whether or not the owner is
// present, so that suggestions do not tell.
func (s *Service) unowned(ctx context.Context, u chat.User) bool {
	acc, _, err := s.Accounts.Get(ctx, u)
	row, _ := s.Users.Get(store.Committed, string(u))
	free := acc.Key == "" || acc.Lapsed(time.Now(), s.settled(), s.NameTTL)
	return err == nil && free && acc.Deleted.IsZero() && !row.Record.Present() && !s.settled().Before(acc.Freed)
}

// sealTo makes an answer that only the holder of a curve key can read.
func (s *Service) sealTo(receiver string, data []byte) (chat.Sealed, error) {
	box, err := s.seal.Seal(data, receiver)
	if err != nil {
		return chat.Sealed{}, fmt.Errorf("seal the answer: %w", err)
	}
	from, err := s.seal.PublicKey()
	return chat.Sealed{From: from, Box: box}, err
}

// origin is the IP and port that a lobby request came from.
func (s *Service) origin(ctx context.Context, c rpc.Caller) string {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if address := s.live.AddressOf(ctx, c.Origin); address != "" {
		return address
	}
	if ip := net.ParseIP(c.Origin.Host); ip != nil {
		return ip.String()
	}
	return "somebody"
}

// validKey reports whether a text is a user's public key in its only valid form: the decoder
// ignores line feeds, so one key could be written in several ways.
func validKey(public string) bool {
	const length = 56
	return len(public) == length && nkeys.IsValidPublicUserKey(public)
}
