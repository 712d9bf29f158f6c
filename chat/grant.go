package chat

import (
	"slices"
	"strings"
)

// Grant is what a connection may publish and subscribe: allow-lists, and nothing
// else. A ticket carries one.
type Grant struct {
	Holder        User // whose connection it is; "" if no user's
	Publish       []string
	Subscribe     []string
	DenySubscribe []string // where an allow-list cannot say it: queue groups, whom a user blocks, what observers ask

	// Limits of the connection; 0 is none.
	Subscriptions int
	Payload       int // bytes of one message
}

// Subscriptions that a connection may have at most: those of the product and of the library
// behind requests, and a few for programs of others. A server refuses one more with an error
// that comes later, after which requests without their reply subscription are not answered.
const (
	lobbySubscriptions = 2
	userSubscriptions  = 8
	watchSubscriptions = 32 // the stock nats CLI has one for each thing that it shows
)

const (
	jsonGrowth    = 6       // bytes that one of a text may take as JSON
	messageAround = 2 << 10 // bytes of what is sent with a text
)

// payloadFor is the bytes of the longest message of a connection whose texts have at most so
// many.
func payloadFor(text int) int { return max(MaxPayload, jsonGrowth*text+messageAround) }

// TextFor is the longest text that surely fits into so many bytes.
func TextFor(payload int) int { return (payload - messageAround) / jsonGrowth }

// frameAround is at most what a frame has beside its texts: numbers and receipts.
const frameAround = 8 << 10

// FrameTextFor is the longest text that fits into a frame of so many bytes.
func FrameTextFor(payload int) int { return payload - frameAround }

// WithFrames is a member's grant where texts have at most so many bytes.
func (g Grant) WithFrames(most int) Grant {
	g.Payload = max(most, MaxFrameText) + frameAround
	return g
}

// Equal reports whether two grants give the same rights.
func (g Grant) Equal(o Grant) bool {
	return g.Holder == o.Holder && g.Subscriptions == o.Subscriptions && g.Payload == o.Payload &&
		slices.Equal(g.Publish, o.Publish) && slices.Equal(g.Subscribe, o.Subscribe) && slices.Equal(g.DenySubscribe, o.DenySubscribe)
}

// WithText is a grant of users or members where texts have at most so many bytes.
func (g Grant) WithText(most int) Grant {
	g.Payload = payloadFor(most)
	return g
}

// Inboxes. The broker never checks a reply subject, so a request is served only
// if its reply begins with the inbox of the user in its subject, and those who
// answer may publish to inboxes only. The reserved names keep the coordinator's
// and the operator's inboxes out of every user's reach.
const (
	InboxRoot  = "_IN"
	LobbyInbox = "_IN.lobby"
	StoreInbox = "_IN.coordinator"
	AdminInbox = "_IN.admin"
	// ObserverInboxes is where the inboxes of observers begin, as those of the nats CLI do.
	ObserverInboxes = "_INBOX"
	ImportInbox     = "_R_" // what the lobby's replies look like in the coordinator's account
)

// Inbox is the prefix of a user's inbox.
func Inbox(u User) string { return InboxRoot + "." + string(u) }

// MemberInbox is the prefix of a member's inbox: one for each session.
func MemberInbox(u User, channel string) string { return Inbox(u) + "." + channel }

// inboxToken is how many characters of a public key name an observer's inbox.
const inboxToken = 12

// ObserverInbox is the prefix of the inbox of an observer whose credentials have a public
// key: the nats CLI takes it as --inbox-prefix.
func ObserverInbox(publicKey string) string {
	token := strings.TrimPrefix(publicKey, "U")
	return ObserverInboxes + "." + token[:min(inboxToken, len(token))]
}

// AuditSubjects are the subjects of all audit records.
const AuditSubjects = "chat.audit.>"

// LobbyGrant is for anybody who has no name yet.
func LobbyGrant() Grant {
	return Grant{
		Publish:       publishes(Anyone, Address{}),
		Subscribe:     []string{LobbyInbox + ".>"},
		Subscriptions: lobbySubscriptions,
		Payload:       MaxPayload,
	}
}

// UserGrant is for the connection of a user. The direct messages of those whom the user
// blocks do not reach it: a block costs no bandwidth.
func UserGrant(u User, blocked ...User) Grant {
	a := Address{User: u}
	g := Grant{
		Holder:        u,
		Publish:       publishes(AUser, a),
		Subscribe:     append(subscribes(AUser, a), Inbox(u)+".>"),
		Subscriptions: userSubscriptions,
		Payload:       payloadFor(MaxText),
	}
	for _, b := range blocked {
		g.DenySubscribe = append(g.DenySubscribe, fill(Direct.Arrives(), func(placeholder string) string {
			if placeholder == "{user}" {
				return string(b)
			}
			return "*" // a ticket with many of them is to be short
		}))
	}
	return g
}

// SideGrant is for a connection beside those of a user: it lists users, and sends and hears
// direct messages, and nothing else.
func SideGrant(u User) Grant {
	g := UserGrant(u)
	g.Publish = []string{List.Subject(Address{User: u}), fill(dmFamily.pattern, func(p string) string {
		if p == "{user}" {
			return string(u)
		}
		return "*"
	})}
	g.Subscribe = []string{fill(dmFamily.arrives, func(p string) string {
		if p == "{to}" {
			return string(u)
		}
		return "*"
	}), Inbox(u) + ".>"}
	return g
}

// AskerGrant is for who holds the key of a name and has not said hello: they may ask the
// coordinator, and say nothing to anybody else.
func AskerGrant(u User) Grant {
	return Grant{
		Holder: u,
		Publish: []string{fill(coordFamily.pattern, func(p string) string {
			if p == "{user}" {
				return string(u)
			}
			return "*"
		})},
		Subscribe:     []string{Inbox(u) + ".>"},
		Subscriptions: lobbySubscriptions,
		Payload:       MaxPayload,
	}
}

// MemberGrant is for the connection of a user to one channel of a session.
func MemberGrant(u User, channel string) Grant {
	a := Address{User: u, Session: channel}
	return Grant{
		Holder:        u,
		Publish:       publishes(AMember, a),
		Subscribe:     append(subscribes(AMember, a), MemberInbox(u, channel)+".>"),
		Subscriptions: userSubscriptions,
		Payload:       payloadFor(MaxText),
	}
}

// noQueueGroups denies subscriptions in all of them: an observer in one would take the
// requests of others.
const noQueueGroups = "> >"

// ObserverGrant is for the stock nats CLI; the inbox is that of ObserverInbox. What observers
// ask is denied: it shows where another one waits for the answer.
func ObserverGrant(inbox string) Grant {
	return Grant{
		Publish:       append(publishes(Observer, Address{}), "$SRV.>"),
		Subscribe:     []string{"chat.>", inbox + ".>"},
		DenySubscribe: append([]string{noQueueGroups}, publishes(Observer, Address{})...),
		Subscriptions: watchSubscriptions,
		Payload:       MaxPayload,
	}
}

// AuditGrant is for those who may read the audit records, and no messages.
func AuditGrant() Grant {
	return Grant{
		Subscribe:     []string{AuditSubjects},
		DenySubscribe: []string{noQueueGroups},
		Subscriptions: watchSubscriptions,
		Payload:       MaxPayload,
	}
}

// OperatorGrant is for the verbs of chatcoord that talk to a running one.
func OperatorGrant() Grant {
	return Grant{
		Publish:       publishes(Operator, Address{}),
		Subscribe:     []string{AdminInbox + ".>"},
		Subscriptions: userSubscriptions,
		Payload:       MaxPayload,
	}
}

// AnsweringGrant is for the coordinator's connection that serves requests: the
// only one that ever uses a reply subject from outside, so it may publish
// nowhere but to inboxes.
func AnsweringGrant() Grant {
	g := Grant{Publish: []string{InboxRoot + ".>", ObserverInboxes + ".>", ImportInbox + ".>"}}
	for _, f := range []*family{coordFamily, lobbyFamily, adminFamily, watchFamily} {
		g.Subscribe = append(g.Subscribe, f.root()+".>")
	}
	g.Subscribe = append(g.Subscribe, "$SRV.>")
	return g
}

// StoringGrant is for the coordinator's connection that keeps state and tells
// users about it.
func StoringGrant() Grant {
	return Grant{
		Publish:   []string{StateRoot + ".>", "$JS.API.>", "$JS.ACK.>", userFamily.root() + ".>", mailboxFamily.root() + ".>", AuditSubjects},
		Subscribe: []string{StoreInbox + ".>"},
	}
}

// TappingGrant is for the console: what is said and kept, and the audit records.
func TappingGrant() Grant {
	return Grant{Subscribe: []string{Said.Wildcard(), Stored.Wildcard(), Direct.Wildcard(), AuditSubjects}}
}

// SystemGrant is for the coordinator's connection to the system account: it hears
// who connects to the account with the public key chatAccount, and who leaves.
func SystemGrant(chatAccount string) Grant {
	return Grant{
		Publish:   []string{"$SYS.REQ.>"},
		Subscribe: []string{"$SYS.ACCOUNT." + chatAccount + ".CONNECT", "$SYS.ACCOUNT." + chatAccount + ".DISCONNECT", StoreInbox + ".>"},
	}
}

// publishes lists what p may publish under its address: its own token where its
// name belongs, anything where it may choose, and only the kinds that exist
// unless the family is open to every kind.
func publishes(p Party, a Address) []string {
	var subjects []string
	for _, r := range table {
		if r.fam.from != p {
			continue
		}
		s := fill(r.fam.pattern, func(placeholder string) string {
			switch placeholder {
			case "{user}":
				return string(a.User)
			case "{session}":
				return a.Session
			case "{kind}":
				if r.fam == coordFamily || r.fam == adminFamily {
					return "*"
				}
				return r.Kind
			}
			return "*"
		})
		if !slices.Contains(subjects, s) {
			subjects = append(subjects, s)
		}
	}
	return subjects
}

// subscribes lists what p receives under its address. A word in the middle is
// spelled out, kind by kind: NATS lets a subscriber write > where the list has *
// as the last token, so chat.session.s.*.* would give away chat.session.s.file.>,
// other members' files and all.
func subscribes(p Party, a Address) []string {
	var subjects []string
	for _, r := range table {
		f := r.fam
		if f.to != p {
			continue
		}
		receiver := "{to}"
		if f.from == Coordinator {
			receiver = "{user}"
		}
		s := fill(f.arriving(), func(placeholder string) string {
			switch {
			case placeholder == receiver:
				return string(a.User)
			case placeholder == "{session}":
				return a.Session
			case placeholder == "{kind}" && strings.HasSuffix(f.arriving(), placeholder):
				return ">"
			case placeholder == "{kind}":
				return r.Kind
			}
			return "*"
		})
		if !slices.Contains(subjects, s) {
			subjects = append(subjects, s)
		}
	}
	return subjects
}

// root is the part of a family's subjects before the first placeholder.
func (f *family) root() string {
	s, _, _ := strings.Cut(f.pattern, ".{")
	return s
}
