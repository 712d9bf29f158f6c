package chat

// The families: chat. + who talks to whom.
var (
	lobbyFamily = &family{"chat.lobby.{kind}", Anyone, Coordinator}
	coordFamily = &family{"chat.coord.{kind}.{user}", AUser, Coordinator}
	adminFamily = &family{"chat.admin.{kind}", Operator, Coordinator}
	userFamily  = &family{"chat.user.{user}.{kind}", Coordinator, AUser}
	dmFamily    = &family{"chat.dm.{to}.{user}", AUser, AUser}
	talkFamily  = &family{"chat.session.{session}.{kind}.{user}", AMember, AMember}
	fileFamily  = &family{"chat.session.{session}.file.{to}.{user}", AMember, AMember}
	auditFamily = &family{"chat.audit.{kind}", Coordinator, Observer}
)

// The routes. A reply subject is never trusted: see Grant and Inbox.
var (
	// Enter asks for a name. Its answer is sealed to the asker's curve key, because
	// everybody in the lobby shares one inbox.
	Enter = request[EnterRequest, Sealed](lobbyFamily, "enter", "asks for a name; the answer is a user's ticket or why not")

	Hello       = request[HelloRequest, HelloReply](coordFamily, "hello", "takes the name that the ticket holds, or takes its place again after a lost connection; the answer is everything that the user should know")
	SetPresence = request[PresenceRequest, Done](coordFamily, "presence", "chooses whether others see the user")
	List        = request[ListRequest, ListReply](coordFamily, "list", "asks for the users that the asker may see")
	Invite      = request[InviteRequest, SessionReply](coordFamily, "invite", "proposes a session to one user or several")
	Answer      = request[AnswerRequest, SessionReply](coordFamily, "answer", "accepts or denies an invitation")
	Withdraw    = request[SessionRequest, SessionReply](coordFamily, "withdraw", "takes an invitation back")
	Join        = request[JoinRequest, JoinReply](coordFamily, "join", "asks for a member's ticket to an open session")
	End         = request[EndRequest, SessionReply](coordFamily, "end", "ends a session for all its members")
	Leave       = request[SessionRequest, SessionReply](coordFamily, "leave", "leaves a group; the others go on under a new epoch")
	Renew       = request[RenewRequest, Ticket](coordFamily, "renew", "asks for a new ticket before the old one expires")
	Exit        = request[ExitRequest, Done](coordFamily, "exit", "gives the name free and leaves")

	AdminUsers    = request[AdminRequest, AdminUsersReply](adminFamily, "users", "lists every present user")
	AdminSessions = request[AdminRequest, AdminSessionsReply](adminFamily, "sessions", "lists every open session and every invitation")

	UserSession  = notice[SessionNotice](userFamily, "session", "a session or an invitation of the user has changed: the whole record")
	UserPresence = notice[PresenceNotice](userFamily, "presence", "users have come, gone or changed status; only to those who asked, at most four times a second")
	UserServer   = notice[ServerNotice](userFamily, "server", "the server stops")

	Direct = notice[DirectMessage](dmFamily, "", "one message to one user without a session, or its acknowledgement the other way")

	Said   = notice[Message](talkFamily, "msg", "what a member says")
	Signal = notice[MemberSignal](talkFamily, "sig", "receipts, where a member stands after a lost connection, bye")
	Chunk  = notice[[]byte](fileFamily, "", "a piece of a file")

	AuditRequest = notice[Audit](auditFamily, "request", "what somebody asked for")
	AuditAction  = notice[Audit](auditFamily, "action", "what was done")
	AuditRefused = notice[Audit](auditFamily, "refused", "what was refused, and why")
	AuditServer  = notice[Audit](auditFamily, "server", "what happened to the server itself")
	AuditError   = notice[Audit](auditFamily, "error", "what went wrong")
)
