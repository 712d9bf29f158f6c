package chat

import "time"

// Proto is the version of the protocol; both sides of a Hello must have the same.
const Proto = 1

// Release is the version of the programs.
const Release = "0.1.0"

// Limits and times. Those with a flag are defaults.
const (
	DefaultURL        = "nats://127.0.0.1:4222"
	MaxText           = 16 << 10         // bytes of one message (--max-message)
	MaxPayload        = 64 << 10         // bytes of one request
	MaxKnown          = 64               // sessions that a hello asks for
	MaxTerminal       = 64               // bytes of what a hello calls its terminal
	MaxIdentity       = 100              // bytes of a public identity key
	MaxBlocks         = 200              // users whom one user can block
	MaxFrame          = 64               // messages in one frame
	MaxFrameText      = 32 << 10         // bytes of all texts in a frame of several messages
	MaxReceipts       = 64               // receipts in one frame
	MaxGroup          = 16               // members of a group, its host included (--max-group)
	InviteTimeout     = 60 * time.Second // an invitation waits so long (--invite-timeout)
	Grace             = 30 * time.Second // a name outlives its connection so long (--grace)
	Hold              = time.Minute      // a new name asked for in the lobby is reserved so long, and its first ticket lives so long
	HelloIn           = 15 * time.Second // who has taken a name in the lobby connects in this time, and a user's connection says hello
	TicketConns       = 8                // connections with one key
	LobbyConns        = 64               // connections in the lobby from one address, at once
	LobbyIdle         = 30 * time.Second // one in the lobby is closed so long after its last use
	MaxReserved       = 32               // names asked for from one address and not taken yet
	MaxReservedByPass = 3                // the same with one use of a pass
	MaxSides          = 4                // connections of one user beside the terminals
	RefusalDelay      = 300 * time.Millisecond
	UserTicketTTL     = 12 * time.Hour
	MemberTicketTTL   = 23 * time.Hour      // less than a name outlives its user at least: it passes to nobody while one is good
	NameTTL           = 30 * 24 * time.Hour // an account outlives its last login so long (--name-ttl)
	PassTTL           = 24 * time.Hour      // a pass is good so long (--ttl)
	MaxUses           = 500                 // new users that one pass lets in, at most (--uses)
	MuteFor           = time.Hour           // a mute lasts so long
	DirectTimeout     = 2 * time.Second     // the receiver of a direct message answers in this time, and then acknowledges the text in this time
	DirectRepeat      = 10 * time.Minute    // a text of which it is not known whether it arrived can be sent again so long, and is shown once
)

// Defaults of what one user may do for long, a second (--rate and the like); a short burst may be
// BurstFactor times as much, and LobbyFactor times in the lobby: a whole office behind one
// address comes back at once.
const (
	RequestRate = 20   // requests of one user, or of one address in the lobby (--rate)
	InviteRate  = 1    // invitations among them (--rate-invites)
	ListRate    = 5    // lists among them (--rate-lists)
	DirectRate  = 10   // direct messages (--rate-direct)
	MessageRate = 1000 // messages of one member (--rate-messages)
	BurstFactor = 10
	LobbyFactor = 50
)

// directUnit is how many bytes of a direct message count as one message.
const directUnit = 4 << 10

// DirectCost is how much a direct message of so many bytes on the wire counts against
// DirectRate.
func DirectCost(size int) int { return 1 + size/directUnit }

// RotationText is what the old login key of a user signs when a new one takes its place.
func RotationText(u User, key string) []byte {
	return []byte("natter/v1 rotate\x00" + string(u) + "\x00" + key)
}

// StateRoot is where the coordinator keeps its records, outside of chat.>.
const StateRoot = "natter.state"
