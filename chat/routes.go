package chat

// The families: chat. and who sends to whom. The server forwards direct messages through another
// account, so that nobody learns who is subscribed (docs/adr/0019).
var (
	lobbyFamily   = &family{pattern: "chat.lobby.{kind}", from: Anyone, to: Coordinator}
	coordFamily   = &family{pattern: "chat.coord.{kind}.{user}", from: AUser, to: Coordinator}
	adminFamily   = &family{pattern: "chat.admin.{kind}", from: Operator, to: Coordinator}
	watchFamily   = &family{pattern: "chat.watch.{kind}", from: Observer, to: Coordinator}
	userFamily    = &family{pattern: "chat.user.{user}.{kind}", from: Coordinator, to: AUser}
	dmFamily      = &family{pattern: "chat.dm.{to}.{user}", from: AUser, to: AUser, arrives: "_DM.{to}.{user}"}
	talkFamily    = &family{pattern: "chat.session.{session}.{kind}.{user}", from: AMember, to: AMember}
	toFamily      = &family{pattern: "chat.session.{session}.to.{to}.{user}", from: AMember, to: AMember}
	fileFamily    = &family{pattern: "chat.session.{session}.file.{to}.{user}", from: AMember, to: AMember}
	mailboxFamily = &family{pattern: "chat.mailbox.{session}.{user}", from: Coordinator, to: Observer}
	auditFamily   = &family{pattern: "chat.audit.{kind}", from: Coordinator, to: Observer}
)

// The routes. A reply subject is never trusted: see Grant and Inbox.
var (
	// Enter asks for a name. Its answer is sealed to the asker's curve key, because
	// all clients in the lobby share one inbox.
	Enter = request[EnterRequest, Sealed](lobbyFamily, "enter", "asks for a name and, with a hello, takes it; the answer is a ticket, or why there is none")

	Hello       = request[HelloRequest, HelloReply](coordFamily, "hello", "makes the user present, or present again after a lost connection; the answer has the user's sessions and the server's limits")
	SetPresence = request[PresenceRequest, Done](coordFamily, "presence", "chooses whether others see the user")
	List        = request[ListRequest, ListReply](coordFamily, "list", "asks for the users that the asker may see")
	Invite      = request[InviteRequest, SessionReply](coordFamily, "invite", "proposes a session to one user or several")
	Answer      = request[AnswerRequest, SessionReply](coordFamily, "answer", "accepts or denies an invitation")
	Withdraw    = request[SessionRequest, SessionReply](coordFamily, "withdraw", "takes an invitation back")
	Join        = request[JoinRequest, JoinReply](coordFamily, "join", "asks for a member's ticket to an open session")
	End         = request[EndRequest, SessionReply](coordFamily, "end", "ends a session for all its members")
	Leave       = request[SessionRequest, SessionReply](coordFamily, "leave", "leaves a group; the others go on under a new epoch")
	Store       = request[StoreRequest, StoreReply](coordFamily, "store", "stores messages in the mailboxes of members who cannot receive them now")
	Fetch       = request[FetchRequest, FetchReply](coordFamily, "fetch", "fetches the messages in the asker's mailbox; they arrive in the inbox that the request names")
	Renew       = request[RenewRequest, Ticket](coordFamily, "renew", "asks for a new ticket before the old one expires")
	Rotate      = request[RotateRequest, Ticket](coordFamily, "rotate", "changes the login key, signed by the old one; the answer is the new key's ticket, if the user is present")
	BlockUser   = request[BlockRequest, BlocksReply](coordFamily, "block", "blocks a user, for ever or for a time")
	UnblockUser = request[UnblockRequest, BlocksReply](coordFamily, "unblock", "ends a block")
	Blocked     = request[BlocksRequest, BlocksReply](coordFamily, "blocked", "lists the users whom the asker blocks")
	Exit        = request[ExitRequest, Done](coordFamily, "exit", "signs the user out")

	AdminUsers    = request[AdminRequest, AdminUsersReply](adminFamily, "users", "lists every present user")
	AdminSessions = request[AdminRequest, AdminSessionsReply](adminFamily, "sessions", "lists every open session and every invitation")

	AdminKick   = request[KickRequest, KickReply](adminFamily, "kick", "signs users out; they may sign in again")
	AdminBan    = request[BanRequest, KickReply](adminFamily, "ban", "bans a name, a key or a network, and signs out the users whom the ban covers")
	AdminUnban  = request[UnbanRequest, BansReply](adminFamily, "unban", "ends bans; the answer has the bans that were ended")
	AdminBans   = request[AdminRequest, BansReply](adminFamily, "bans", "lists the bans")
	AdminFree   = request[FreeRequest, FreeReply](adminFamily, "free", "takes a name from its owner; anybody can take it afterwards")
	AdminDelete = request[DeleteRequest, Done](adminFamily, "delete", "deletes an account; nobody can take its name")
	AdminPass   = request[PassRequest, PassReply](adminFamily, "pass", "makes a pass, which new users need where they must be invited")
	AdminUnpass = request[UnpassRequest, Done](adminFamily, "unpass", "revokes a pass")
	AdminLog    = request[LogRequest, LogReply](adminFamily, "log", "reads the audit log, a part at a time")

	WatchSession = request[WatchRequest, WatchReply](watchFamily, "session", "asks who is in a session, and on which channel")

	UserSession  = notice[SessionNotice](userFamily, "session", "a session or an invitation of the user has changed: the whole record")
	UserPresence = notice[PresenceNotice](userFamily, "presence", "users have come, left or changed status; only for users who asked, at most four times a second")
	UserHeld     = notice[HeldNotice](userFamily, "held", "invitations to the user were held back: too many came at once")
	UserServer   = notice[ServerNotice](userFamily, "server", "the server stops, or the receiver is signed out")

	Direct = notice[DirectMessage](dmFamily, "", "one step of a message to one user without a session")

	Said    = notice[[]byte](talkFamily, "msg", "a frame of a member's messages")
	Signal  = notice[MemberSignal](talkFamily, "sig", "a member's state after a lost connection, or bye")
	Whisper = notice[MemberSignal](toFamily, "", "a receipt (a decimal number) or a member's state, for one other member")
	Chunk   = notice[[]byte](fileFamily, "", "a piece of a file")

	Stored = notice[StoredMessages](mailboxFamily, "", "messages that a member has stored in mailboxes; the session is its id")

	AuditRequest = notice[Audit](auditFamily, "request", "a request")
	AuditAction  = notice[Audit](auditFamily, "action", "an action")
	AuditRefused = notice[Audit](auditFamily, "refused", "a refusal, and why")
	AuditServer  = notice[Audit](auditFamily, "server", "an event of the server")
	AuditError   = notice[Audit](auditFamily, "error", "an error")
)
