package chat

import "time"

// HelloRequest is the first request on every connection of a user, unless the name was taken in
// the lobby just before.
type HelloRequest struct {
	Proto int  `json:"proto"`
	Name  Name `json:"name"` // as typed; its user is the subject's
	// Presence is the user's choice, if it is known; "" leaves it as it is.
	Presence Presence `json:"presence,omitempty"`
	// Sessions are the ids of the sessions that the asker believes to be open or proposed. The
	// reply says which of them have ended. At most MaxKnown.
	Sessions []string `json:"sessions,omitempty"`
	// Terminal is a random text, at most MaxTerminal bytes, that the asker's program draws at its
	// start. It stays the same after a lost connection; another text is another terminal of the
	// same user. A user who has left comes back with another text.
	Terminal string `json:"terminal,omitempty"`
	// Takeover signs out another terminal of the user. A terminal that was signed out this way
	// must draw another text first: its request may be a late one.
	Takeover bool   `json:"takeover,omitempty"`
	Identity string `json:"identity,omitempty"` // public identity key, kept with the account
	Place    *Place `json:"place,omitempty"`    // where the asker is connected, as the server says
	Kept     *Kept  `json:"kept,omitempty"`     // of the first hello, if it does not follow a request in the lobby
}

// Kept says that the asker's program has started with a ticket of an earlier run. The coordinator
// checks what the lobby would have checked: whether the name belongs to another key by now.
type Kept struct {
	Key string `json:"key"` // the public key of the ticket
}

// Place is a connection: a NATS server and its number for it.
type Place struct {
	Server     string `json:"server"` // its id
	Connection uint64 `json:"connection"`
}

// HelloReply has everything that the client needs to begin.
type HelloReply struct {
	Returning bool      `json:"returning"` // the name belonged to this key before
	LastSeen  time.Time `json:"last_seen"` // when a returning user was last present; now, if they still were
	Back      bool      `json:"back"`      // the user was present already
	Presence  Presence  `json:"presence"`
	Blocks    []Block   `json:"blocks,omitempty"` // whom the user blocks, by name
	Sessions  []Session `json:"sessions"`         // open and proposed; of those that ended in the last minute, the requested ones, and the ones that ended while the user was lost
	Revision  uint64    `json:"revision"`         // of Sessions and Presence
	// Installation is the id of the server's state. Revisions of different installations cannot be
	// compared: with another one, everything that the client knows is over.
	Installation string    `json:"installation"`
	Came         uint64    `json:"came"` // the revision of this hello: a terminal that comes later has a greater one
	Now          time.Time `json:"now"`  // by the coordinator's clock, which decides when tickets expire
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

// Presence says whether others see a user.
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

// Done is the answer to a request that was carried out and has no other result.
type Done struct {
	Revision uint64 `json:"revision"`
}

// ListRequest asks for the roster as it is at Revision or later.
type ListRequest struct {
	Revision     uint64 `json:"revision,omitempty"`     // the newest that the asker has seen
	Installation string `json:"installation,omitempty"` // that of Revision
	Watch        bool   `json:"watch,omitempty"`        // also send presence notices from now on
}

// ListReply is the roster: the other users whom the asker may see, by name.
type ListReply struct {
	Users    []Entry `json:"users"`
	Revision uint64  `json:"revision"`
}

// Entry is a line of a roster.
type Entry struct {
	Name    Name   `json:"name"`
	Busy    bool   `json:"busy,omitempty"`
	With    []Name `json:"with,omitempty"`    // the partners whom the viewer may see, by name
	Someone bool   `json:"someone,omitempty"` // partners whom the viewer may not see
}

// InviteRequest proposes a session.
type InviteRequest struct {
	Guests []string `json:"guests"` // names in any case; two or more make a group
	// Session is the id that the session is to have, 32 random hexadecimal digits: a repeated request
	// with it has no further effect. "": the coordinator draws one.
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
	Epoch   int    `json:"epoch,omitempty"` // the newest that the asker knows: a replica that is behind must not return a former channel
	// Again says that the asker's program has been started again and does not know how far it
	// had counted before: the reply has a new incarnation.
	Again bool `json:"again,omitempty"`
	// Terminal is that of the asker's hello: a terminal that was signed out by another one gets no
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

// ExitRequest signs the asker out.
type ExitRequest struct {
	Revision     uint64 `json:"revision,omitempty"`     // of what the asker knows; 0: not checked
	Installation string `json:"installation,omitempty"` // that of Revision
}

// SessionReply is a session after a step.
type SessionReply struct {
	Session  Session `json:"session"`
	Revision uint64  `json:"revision"`
}

// SessionNotice tells a user that one of their sessions or invitations has changed. It has the
// whole record, so a repeated or missed notice does no harm: the receiver compares it with what it
// knew before.
type SessionNotice struct {
	Session      Session `json:"session"`
	Revision     uint64  `json:"revision"`
	Installation string  `json:"installation"` // that of Revision
}

// PresenceNotice has the changes of the roster since the last one.
type PresenceNotice struct {
	Changed  []Entry `json:"changed,omitempty"` // who have come, or have a new status
	Gone     []Name  `json:"gone,omitempty"`
	Revision uint64  `json:"revision"`
}

// HeldNotice says that invitations to the receiver were held back, because there were too many.
type HeldNotice struct {
	Invitations int `json:"invitations"` // since the last one of these
}

// ServerNotice says that the server stops (chats go on when it is back), that the receiver is
// signed out, or that the coordinator does not know the receiver.
type ServerNotice struct {
	Stopping  bool       `json:"stopping,omitempty"`
	SignedOut *SignedOut `json:"signed_out,omitempty"`
	Unknown   bool       `json:"unknown,omitempty"` // the receiver must say hello
}

// SignedOut says that the user, or one terminal of the user, is signed out.
type SignedOut struct {
	Reason string `json:"reason,omitempty"` // the operator's, in words
	By     *Place `json:"by,omitempty"`     // the place of the terminal that signs all others out
	// Revision is that of By's hello: terminals that have come later ignore the notice; see Came.
	Revision     uint64 `json:"revision,omitempty"`
	Installation string `json:"installation,omitempty"` // that of Revision
}

// Block hides a user from another one. A block with an end is a mute.
type Block struct {
	Name  Name      `json:"name"`
	Until time.Time `json:"until,omitzero"`
}

// Holds reports whether a block has not ended.
func (b Block) Holds(now time.Time) bool { return b.Until.IsZero() || now.Before(b.Until) }

// BlockRequest blocks a user, or with a duration mutes them.
type BlockRequest struct {
	Name string        `json:"name"`
	For  time.Duration `json:"for,omitempty"` // nanoseconds; 0: until it is ended
}

// UnblockRequest ends a block.
type UnblockRequest struct {
	Name string `json:"name"`
}

// BlocksRequest asks for the users whom the asker blocks.
type BlocksRequest struct{}

// BlocksReply lists the users whom the asker blocks, by name.
type BlocksReply struct {
	Blocks   []Block `json:"blocks"`
	Revision uint64  `json:"revision"`
}

// RotateRequest changes the login key of the asker's account.
type RotateRequest struct {
	Key string `json:"key"` // the new public login key
	// Signature is the old key's, over RotationText; it is stored with the account.
	Signature []byte `json:"signature"`
}

// DirectMessage is one of the four steps of a direct message: the sender asks whether the receiver
// takes it (Ask), the receiver answers (Here), the sender sends the text (N and Text), and the
// receiver acknowledges it (Ack). Without an answer the text is not sent. All four steps have the
// sender's Incarnation. Messages with the same N and Incarnation are the same message, which is
// shown once.
//
// Before a program beside a user's terminals (see SideGrant) writes to somebody, it sends Wrote to
// them, on the subject from the user to the user: so the receiver may answer although the user is
// hidden.
type DirectMessage struct {
	// Incarnation is a random text that the sender's program draws at its start, at most
	// MaxTerminal bytes; each incarnation has numbers of its own.
	Incarnation string `json:"incarnation,omitempty"`

	Ask  uint64 `json:"ask,omitempty"`  // the N that the sender is about to send
	Here uint64 `json:"here,omitempty"` // the Ask that is answered
	N    uint64 `json:"n,omitempty"`    // the sender's number for it, growing
	Name Name   `json:"name,omitempty"` // the sender's name as they write it; its user is the subject's
	Text string `json:"text,omitempty"`
	Ack  uint64 `json:"ack,omitempty"` // the N that has arrived

	Wrote User `json:"wrote,omitempty"` // to the user's own terminals: the user whom the program is about to write to
}

// Message is a message of a member in a session.
type Message struct {
	N    uint64    `json:"n"` // counts per sender and session, from 1, in a later incarnation from FirstOf it
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// MemberSignal is what a member sends to all other members, or to one, beside messages.
type MemberSignal struct {
	Sync    *Sync `json:"sync,omitempty"`    // the sender's state
	Bye     *bool `json:"bye,omitempty"`     // says bye, or takes it back
	Receipt bool  `json:"receipt,omitempty"` // asks for a receipt at once
}

// Sync is the state of a member whose connection has come up. Its receiver sends again what is
// missing, and answers with a Sync of its own if Ask is set.
type Sync struct {
	Have  map[User]uint64 `json:"have"`            // the last N that it has from each member
	First uint64          `json:"first"`           // the lowest N of its own that somebody may still lack, or its next
	Acked map[User]uint64 `json:"acked,omitempty"` // the last N of its own that each member has acknowledged, if only in an earlier incarnation
	Ask   bool            `json:"ask,omitempty"`   // the receiver shall answer with its own
}

// AdminRequest asks for a part of a list: an answer must fit into one message.
type AdminRequest struct {
	After string `json:"after,omitempty"` // the part behind this user, this session's id, or this target of a ban
}

// Target is whom a kick or a ban is for: exactly one of the fields is set.
type Target struct {
	Name    string `json:"name,omitempty"`
	Key     string `json:"key,omitempty"`     // public login key
	Network string `json:"network,omitempty"` // an address, or a prefix such as 10.1.0.0/16
}

// KickRequest signs users out; they may sign in again.
type KickRequest struct {
	Target Target `json:"target"`
	Reason string `json:"reason,omitempty"`
}

// KickReply lists the users who were signed out.
type KickReply struct {
	Users []Name `json:"users"`
	// Until is when the last of their tickets runs out, if the coordinator cannot revoke
	// tickets: until then they can still reach the server with them.
	Until time.Time `json:"until,omitzero"`
}

// BanRequest bans a target, and signs out the users whom the ban covers.
type BanRequest struct {
	Target Target        `json:"target"`
	Reason string        `json:"reason,omitempty"`
	For    time.Duration `json:"for,omitempty"` // nanoseconds; 0: until it is ended
}

// UnbanRequest ends bans.
type UnbanRequest struct {
	Target Target `json:"target"`
}

// Ban is a ban of a target.
type Ban struct {
	Target Target    `json:"target"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
	Until  time.Time `json:"until,omitzero"` // zero: until it is ended
}

// BansReply lists bans by target: name, key or network, as it is written.
type BansReply struct {
	Bans []Ban `json:"bans"`
	More bool  `json:"more,omitempty"` // behind the last one
}

// FreeRequest takes a name from its owner; anybody can take it afterwards.
type FreeRequest struct {
	Name   string `json:"name"`
	Reason string `json:"reason,omitempty"`
}

// FreeReply says when the name can be taken.
type FreeReply struct {
	Free time.Time `json:"free"` // when every ticket of its former owner is void
}

// DeleteRequest deletes an account. Nobody can take its name.
type DeleteRequest struct {
	Name   string `json:"name"`
	Reason string `json:"reason,omitempty"`
}

// PassRequest makes a pass, which is part of a link and lets new users in.
type PassRequest struct {
	Uses int           `json:"uses,omitempty"` // how many new users; 0 is 1
	For  time.Duration `json:"for,omitempty"`  // nanoseconds; 0 is PassTTL
}

// UnpassRequest revokes a pass.
type UnpassRequest struct {
	ID string `json:"id"` // its PassID: the pass itself is sent only in the answer to PassRequest
}

// PassReply is a new pass.
type PassReply struct {
	Pass    string    `json:"pass"`
	Uses    int       `json:"uses"`
	Expires time.Time `json:"expires"`
}

// AdminUser is a present user, for the operator.
type AdminUser struct {
	Name       Name      `json:"name"`
	Key        string    `json:"key"`    // public login key
	Status     string    `json:"status"` // available, busy
	Presence   Presence  `json:"presence"`
	With       []Name    `json:"with,omitempty"`
	Address    string    `json:"address"`    // IP; of a newcomer with the port
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

// WatchReply lists the members who can send and receive in a session.
type WatchReply struct {
	Channel string `json:"channel,omitempty"` // of the members' subjects; "" if the session is not open
	Users   []Name `json:"users,omitempty"`   // the members who have not left
}

// Audit is a record of the audit log: a request, an action, a refusal. Text is a sentence for
// people; the other fields say the same to programs. Messages are not in it: observers who may see
// them subscribe to their subjects.
type Audit struct {
	Time    time.Time `json:"time"`
	Kind    string    `json:"kind"`  // request, action, refused, server, error
	Event   string    `json:"event"` // session.start and so on
	Text    string    `json:"text"`
	User    Name      `json:"user,omitempty"`
	Users   []Name    `json:"users,omitempty"`
	Asked   Name      `json:"asked,omitempty"` // the username that was asked for; it may belong to somebody else
	Session string    `json:"session,omitempty"`
	Channel string    `json:"channel,omitempty"` // of an open session: the token in its members' subjects
	Class   Class     `json:"class,omitempty"`
	Address string    `json:"address,omitempty"`
	Code    Code      `json:"code,omitempty"`
	Count   int       `json:"count,omitempty"` // refusals of one kind and user that this is, if more than one
}
