package chat

import "time"

// HelloRequest is the first request of every connection of a user, unless the name was taken
// in the lobby a moment ago.
type HelloRequest struct {
	Proto int  `json:"proto"`
	Name  Name `json:"name"` // as typed; its user is the subject's
	// Presence is what the user has chosen, if that is known; "" leaves it as it is.
	Presence Presence `json:"presence,omitempty"`
	// Sessions are the ids of those that the asker takes for open or proposed, to hear
	// how they have ended; at most MaxKnown.
	Sessions []string `json:"sessions,omitempty"`
	// Terminal is a random text, at most MaxTerminal bytes, that the asker's program has
	// drawn when it started: the same one comes back after a lost connection, another one
	// is another terminal of the same user. Who has left with one comes again with another.
	Terminal string `json:"terminal,omitempty"`
	// Takeover has another terminal of the user signed out. One that was signed out so
	// cannot do it any more: its request may have come late. It draws another text.
	Takeover bool   `json:"takeover,omitempty"`
	Identity string `json:"identity,omitempty"` // public identity key, kept with the account
	Place    *Place `json:"place,omitempty"`    // where the asker is connected, as the server says
	Kept     *Kept  `json:"kept,omitempty"`     // who comes for the first time, but not from the lobby
}

// Kept says that the asker has started with a ticket of an earlier run. The coordinator
// refuses what the lobby would have refused: a name that another key has by now.
type Kept struct {
	Key string `json:"key"` // public: the ticket's
}

// Place is a connection: a NATS server and its number for it.
type Place struct {
	Server     string `json:"server"` // its id
	Connection uint64 `json:"connection"`
}

// HelloReply is everything that the user should know.
type HelloReply struct {
	Returning bool      `json:"returning"` // the name belonged to this key before
	LastSeen  time.Time `json:"last_seen"` // when a returning user was here last: the login before this one, or now if their name was not free meanwhile
	Back      bool      `json:"back"`      // the user was present already: a connection came back
	Presence  Presence  `json:"presence"`
	Blocks    []Block   `json:"blocks,omitempty"` // whom the user blocks, by name
	Sessions  []Session `json:"sessions"`         // open and proposed; of those that ended in the last minute the ones that were asked for, those that the user did not come back to, and those during whose end a user was lost who is back
	Revision  uint64    `json:"revision"`         // that Sessions and Presence are true at
	// Installation is the id of the server's state, for which alone a revision counts: with
	// another one, all that the asker knows is of another state, and over.
	Installation string    `json:"installation"`
	Came         uint64    `json:"came"` // that the asker has this place at: another terminal that comes later has a greater one
	Now          time.Time `json:"now"`  // by the coordinator's clock, which tickets go by: the asker's own may be wrong
	Rules        Rules     `json:"rules"`
}

// Rules are the limits that the coordinator was started with.
type Rules struct {
	MaxText       int           `json:"max_text"`       // bytes
	MaxGroup      int           `json:"max_group"`      // members, the host included
	InviteTimeout time.Duration `json:"invite_timeout"` // nanoseconds
	Grace         time.Duration `json:"grace"`          // nanoseconds
	MessageRate   int           `json:"message_rate"`   // messages a second that one member may send for long; 0: no limit
	DirectRate    int           `json:"direct_rate"`    // direct messages a second, the same
}

// Presence is whether others see a user.
type Presence string

// The presences. Until a user has chosen, nobody sees them.
const (
	Undecided  Presence = ""
	Visible    Presence = "visible"
	HiddenAway Presence = "hidden"
)

// PresenceRequest chooses whether others see the user.
type PresenceRequest struct {
	Presence     Presence `json:"presence"`
	Revision     uint64   `json:"revision,omitempty"`     // of what the asker knows; 0: not checked
	Installation string   `json:"installation,omitempty"` // that of Revision
}

// Done answers a request that has nothing to say but that it was carried out.
type Done struct {
	Revision uint64 `json:"revision"`
}

// ListRequest asks for the roster as it is at Revision or later.
type ListRequest struct {
	Revision     uint64 `json:"revision,omitempty"`     // the asker has seen this one
	Installation string `json:"installation,omitempty"` // that of Revision
	Watch        bool   `json:"watch,omitempty"`        // also send presence notices from now on
}

// ListReply is the roster: every other user that the asker may see, by name.
type ListReply struct {
	Users    []Entry `json:"users"`
	Revision uint64  `json:"revision"`
}

// Entry is a line of a roster. A user who chats with nobody is available.
type Entry struct {
	Name    Name   `json:"name"`
	Busy    bool   `json:"busy,omitempty"`
	With    []Name `json:"with,omitempty"`    // the partners whom the viewer may see, by name
	Someone bool   `json:"someone,omitempty"` // partners whom the viewer may not see
}

// InviteRequest proposes a session.
type InviteRequest struct {
	Guests []string `json:"guests"` // names in any case; two or more make a group
	// Session is the id that the session is to have, 32 random hexadecimal digits: asking
	// again under it asks for nothing new. "": the coordinator draws one.
	Session string `json:"session,omitempty"`
}

// AnswerRequest accepts or denies an invitation.
type AnswerRequest struct {
	Session string `json:"session"`
	Accept  bool   `json:"accept"`
}

// SessionRequest names a session.
type SessionRequest struct {
	Session string `json:"session"`
}

// EndRequest ends a session.
type EndRequest struct {
	Session string `json:"session"`
	Reason  Reason `json:"reason"` // ByQuit or ByBye
}

// JoinRequest asks for a member's ticket, bound to a key made for this session.
type JoinRequest struct {
	Session string `json:"session"`
	Key     string `json:"key"`             // public nkey (U...)
	Epoch   int    `json:"epoch,omitempty"` // that the asker knows: a replica that is behind would hand out the channel before
	// Again says that the asker's program has been started anew, and does not know how far
	// an earlier one had counted: the reply has a new incarnation.
	Again bool `json:"again,omitempty"`
	// Terminal is that of the asker's hello: none whose place another one has taken gets a
	// ticket.
	Terminal string `json:"terminal,omitempty"`
}

// JoinReply is a member's ticket for the session's present channel.
type JoinReply struct {
	Ticket      Ticket `json:"ticket"`
	Channel     string `json:"channel"`
	Incarnation int    `json:"incarnation,omitempty"` // the member's: its messages count from FirstOf(Incarnation) + 1
}

// StoreRequest stores messages of the asker in the mailboxes of other members, and deletes
// the ones that those members have acknowledged meanwhile.
type StoreRequest struct {
	Session  string    `json:"session"`
	For      []User    `json:"for,omitempty"`
	Messages []Message `json:"messages,omitempty"` // in order
	// Received is, for each member, the sequence up to which they have received everything
	// that was stored.
	Received map[User]uint64 `json:"received,omitempty"`
}

// StoreReply says that everything is stored, and under which sequence for each member.
type StoreReply struct {
	Stored map[User]uint64 `json:"stored,omitempty"`
}

// StoredMessages is one record of a mailbox, as it is stored and as it is fetched. The header
// Nats-Subject ends with the user who sent the messages, and Nats-Sequence orders the records.
type StoredMessages struct {
	Messages []Message `json:"messages"`
	Lost     bool      `json:"lost,omitempty"` // messages that were stored here are lost: the server's state was damaged
}

// LostMessages is the record in the place of stored messages that are lost.
const LostMessages = `{"messages":[],"lost":true}`

// FetchRequest asks for the messages in the asker's mailbox, and deletes the ones that the
// asker has. After the end of a session these are messages of members who had left it before.
type FetchRequest struct {
	Session string `json:"session"`
	Inbox   string `json:"inbox"`          // a subject in the asker's inbox
	Have    uint64 `json:"have,omitempty"` // the sequence up to which the asker has everything
}

// FetchReply says how many records are left in the mailbox. The first of them, or all, arrive
// in the inbox, each as StoredMessages; a message with the status 204 or 404 is the last one.
type FetchReply struct {
	Left uint64 `json:"left"` // 0: nothing comes
}

// RenewRequest asks for a new ticket for the key that the account has.
type RenewRequest struct{}

// ExitRequest leaves.
type ExitRequest struct {
	Revision     uint64 `json:"revision,omitempty"`     // of what the asker knows; 0: not checked
	Installation string `json:"installation,omitempty"` // that of Revision
}

// SessionReply is a session after a step.
type SessionReply struct {
	Session  Session `json:"session"`
	Revision uint64  `json:"revision"`
}

// SessionNotice tells a user that one of their sessions or invitations changed. It
// carries the whole record, so repeating or missing one is harmless: the receiver
// compares it with what it knew before.
type SessionNotice struct {
	Session      Session `json:"session"`
	Revision     uint64  `json:"revision"`
	Installation string  `json:"installation"` // that of Revision
}

// PresenceNotice tells a viewer what has changed since the last one.
type PresenceNotice struct {
	Changed  []Entry `json:"changed,omitempty"` // come, or with a new status
	Gone     []Name  `json:"gone,omitempty"`
	Revision uint64  `json:"revision"`
}

// HeldNotice tells that invitations to the receiver were held back, because too many came.
type HeldNotice struct {
	Invitations int `json:"invitations"` // since the last one of these
}

// ServerNotice says that the server stops (chats go on when it is back), or that the
// receiver is signed out, or is not known.
type ServerNotice struct {
	Stopping  bool       `json:"stopping,omitempty"`
	SignedOut *SignedOut `json:"signed_out,omitempty"`
	Unknown   bool       `json:"unknown,omitempty"` // the coordinator does not know the receiver, who is to say hello
}

// SignedOut tells that the user, or one terminal of the user, is no longer wanted.
type SignedOut struct {
	Reason string `json:"reason,omitempty"` // the operator's, in words
	By     *Place `json:"by,omitempty"`     // another terminal of the user has come: all but this one are signed out
	// Revision is that of By's coming: it does not concern who has come since; see Came.
	Revision     uint64 `json:"revision,omitempty"`
	Installation string `json:"installation,omitempty"` // that of Revision
}

// Block keeps a user from hearing of another one. One with an end is a mute.
type Block struct {
	Name  Name      `json:"name"`
	Until time.Time `json:"until,omitzero"`
}

// Holds reports whether a block has not ended.
func (b Block) Holds(now time.Time) bool { return b.Until.IsZero() || now.Before(b.Until) }

// BlockRequest blocks a user, or with a duration mutes them.
type BlockRequest struct {
	Name string        `json:"name"`
	For  time.Duration `json:"for,omitempty"` // nanoseconds; 0: until it is taken back
}

// UnblockRequest takes a block back.
type UnblockRequest struct {
	Name string `json:"name"`
}

// BlocksRequest asks whom one has blocked.
type BlocksRequest struct{}

// BlocksReply is everybody whom the asker blocks, by name.
type BlocksReply struct {
	Blocks   []Block `json:"blocks"`
	Revision uint64  `json:"revision"`
}

// RotateRequest changes the login key of the asker's account.
type RotateRequest struct {
	Key string `json:"key"` // the new public login key
	// Signature is the old key's, over RotationText; a copy stays with the account.
	Signature []byte `json:"signature"`
}

// DirectMessage is one of the four steps of a direct message: the sender asks whether the
// receiver takes it (Ask), who answers (Here); then the text goes out (N and Text), and is
// acknowledged (Ack). A receiver who does not answer is not sent the text. All four carry
// the sender's Incarnation. The same N of the same Incarnation is the same message: it is
// shown once.
//
// A program beside a user's terminals (see SideGrant) sends them, on the subject from the user
// to the user, Wrote before it writes to somebody: that user may answer, though this one hides.
type DirectMessage struct {
	// Incarnation is a random text that the sender's program draws at its start, at most
	// MaxTerminal bytes; each incarnation has numbers of its own.
	Incarnation string `json:"incarnation,omitempty"`

	Ask  uint64 `json:"ask,omitempty"`  // the N that the sender is about to send
	Here uint64 `json:"here,omitempty"` // the Ask that is answered
	N    uint64 `json:"n,omitempty"`    // the sender's number for it, growing
	Name Name   `json:"name,omitempty"` // how the sender writes the name that the subject vouches for
	Text string `json:"text,omitempty"`
	Ack  uint64 `json:"ack,omitempty"` // the N that has arrived

	Wrote User `json:"wrote,omitempty"` // to the user's own terminals: whom the user is about to write to
}

// Message is what a member says in a session.
type Message struct {
	N    uint64    `json:"n"` // counts per sender and session, from 1, in a later incarnation from FirstOf it
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// MemberSignal is what members tell each other beside messages: all of them, or one.
type MemberSignal struct {
	Sync    *Sync `json:"sync,omitempty"`    // where the sender stands
	Bye     *bool `json:"bye,omitempty"`     // says bye, or takes it back
	Receipt bool  `json:"receipt,omitempty"` // asks for a receipt at once
}

// Sync says where a member stands when its connection has come up. Who reads it
// sends again what is missing, and answers with a Sync of its own if asked.
type Sync struct {
	Have  map[User]uint64 `json:"have"`            // the last N that it has from each member
	First uint64          `json:"first"`           // the lowest N of its own that it still keeps for somebody, or its next
	Acked map[User]uint64 `json:"acked,omitempty"` // the last N of its own that each member has acknowledged, if only in an earlier incarnation
	Ask   bool            `json:"ask,omitempty"`   // please answer with yours
}

// AdminRequest asks for a list, of which an answer has a part: an answer must fit into one
// message.
type AdminRequest struct {
	After string `json:"after,omitempty"` // the part behind this user, this session's id, or this target of a ban
}

// Target is whom an operator means: exactly one of the fields is set.
type Target struct {
	Name    string `json:"name,omitempty"`
	Key     string `json:"key,omitempty"`     // public login key
	Network string `json:"network,omitempty"` // an address, or a prefix such as 10.1.0.0/16
}

// KickRequest signs users out who are here; they may come again.
type KickRequest struct {
	Target Target `json:"target"`
	Reason string `json:"reason,omitempty"`
}

// KickReply says who was signed out.
type KickReply struct {
	Users []Name `json:"users"`
	// Until is when the last of their tickets runs out, if the coordinator cannot revoke
	// tickets: so long whoever holds one can still reach the server with it.
	Until time.Time `json:"until,omitzero"`
}

// BanRequest keeps somebody away, and signs out who is here.
type BanRequest struct {
	Target Target        `json:"target"`
	Reason string        `json:"reason,omitempty"`
	For    time.Duration `json:"for,omitempty"` // nanoseconds; 0: until it is taken back
}

// UnbanRequest takes bans back.
type UnbanRequest struct {
	Target Target `json:"target"`
}

// Ban is what keeps somebody away.
type Ban struct {
	Target Target    `json:"target"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
	Until  time.Time `json:"until,omitzero"` // zero: until it is taken back
}

// BansReply lists bans by target: name, key or network, as it is written.
type BansReply struct {
	Bans []Ban `json:"bans"`
	More bool  `json:"more,omitempty"` // behind the last one
}

// FreeRequest takes a name from its owner, so that anybody can have it.
type FreeRequest struct {
	Name   string `json:"name"`
	Reason string `json:"reason,omitempty"`
}

// FreeReply says from when on the name can be had.
type FreeReply struct {
	Free time.Time `json:"free"` // when every ticket of its former owner is void
}

// DeleteRequest deletes an account. Nobody can have its name any more.
type DeleteRequest struct {
	Name   string `json:"name"`
	Reason string `json:"reason,omitempty"`
}

// PassRequest makes a pass: what a link lets in who has it.
type PassRequest struct {
	Uses int           `json:"uses,omitempty"` // how many new users; 0 is 1
	For  time.Duration `json:"for,omitempty"`  // nanoseconds; 0 is PassTTL
}

// UnpassRequest takes a pass back.
type UnpassRequest struct {
	ID string `json:"id"` // its PassID: the pass itself is sent once, to who made it
}

// PassReply is a new pass.
type PassReply struct {
	Pass    string    `json:"pass"`
	Uses    int       `json:"uses"`
	Expires time.Time `json:"expires"`
}

// AdminUser is a present user as the operator sees them.
type AdminUser struct {
	Name       Name      `json:"name"`
	Key        string    `json:"key"`    // public login key
	Status     string    `json:"status"` // available, busy
	Presence   Presence  `json:"presence"`
	With       []Name    `json:"with,omitempty"`
	Address    string    `json:"address"`    // IP; of who has just come, with the port
	Connection uint64    `json:"connection"` // the broker's number for it
	Server     string    `json:"server"`     // the NATS server's id
	Since      time.Time `json:"since"`
	Lost       bool      `json:"lost,omitempty"` // the connection is lost, the grace time runs
}

// AdminUsersReply lists present users by name.
type AdminUsersReply struct {
	Users []AdminUser `json:"users"`
	More  bool        `json:"more,omitempty"` // behind the last one
}

// AdminSessionsReply lists open sessions and invitations by id.
type AdminSessionsReply struct {
	Sessions []Session `json:"sessions"`
	More     bool      `json:"more,omitempty"` // behind the last one
}

// LogRequest asks for the records of the audit log, oldest first, of which an answer has a
// part.
type LogRequest struct {
	After   uint64    `json:"after,omitempty"` // the part behind this sequence: the last answer's
	Since   time.Time `json:"since,omitzero"`
	Until   time.Time `json:"until,omitzero"`
	User    string    `json:"user,omitempty"`    // a username: records that name it
	Session string    `json:"session,omitempty"` // the beginning of an id
}

// LogReply is a part of the audit log. It may have no records although there are more.
type LogReply struct {
	Records []Audit `json:"records"`
	After   uint64  `json:"after"`             // up to this sequence the audit log was read
	Missing uint64  `json:"missing,omitempty"` // records in this part that the stream does not hold
	More    bool    `json:"more,omitempty"`
}

// WatchRequest asks about a session.
type WatchRequest struct {
	Session string `json:"session"` // its id
}

// WatchReply is who can speak and be heard in a session.
type WatchReply struct {
	Channel string `json:"channel,omitempty"` // of the members' subjects; "" if the session is not open
	Users   []Name `json:"users,omitempty"`   // the members who have not left
}

// Audit is one line for those who watch: a request, an action, a refusal. Text is
// the sentence; the other fields say the same to programs. Messages are not
// repeated here: whoever may see them taps their subjects.
type Audit struct {
	Time    time.Time `json:"time"`
	Kind    string    `json:"kind"`  // request, action, refused, server, error
	Event   string    `json:"event"` // session.start and so on
	Text    string    `json:"text"`
	User    Name      `json:"user,omitempty"`
	Users   []Name    `json:"users,omitempty"`
	Asked   Name      `json:"asked,omitempty"` // the username that somebody asked for, whose it may not be
	Session string    `json:"session,omitempty"`
	Channel string    `json:"channel,omitempty"` // of an open session: the token in its members' subjects
	Class   Class     `json:"class,omitempty"`
	Address string    `json:"address,omitempty"`
	Code    Code      `json:"code,omitempty"`
	Count   int       `json:"count,omitempty"` // refusals of one kind and user that this is, if more than one
}
