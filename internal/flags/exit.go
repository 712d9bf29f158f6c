package flags

// The exit codes of both programs; what each means is in Exits.
const (
	ExitOK          = 0
	ExitFailure     = 1
	ExitUsage       = 2
	ExitName        = 3
	ExitDataDir     = 3
	ExitDenied      = 4
	ExitUnreachable = 5
	ExitSignedOut   = 6
	ExitInUse       = 6
	ExitRefused     = 7
	ExitUnknown     = 8
)

// Exit is what an exit code means in each program; "" if the program does not use it.
type Exit struct {
	Code               int
	Chatcli, Chatcoord string
}

// Exits is the table of exit codes, in their order. The manual pages and the README say the
// same. A program that a signal has ended exits with 128 and the signal's number.
var Exits = []Exit{
	{ExitOK, "done", "done, or asked to stop and stopped in order"},
	{ExitFailure, "another failure; with --strict also an error line", "another failure; a failed check of doctor or health"},
	{ExitUsage, "the command line or the environment is wrong", "the command line or the environment is wrong"},
	{ExitName, "the username is taken, invalid or somebody else's, and nobody can be asked for another one", "the data directory, or a file that is needed, cannot be used"},
	{ExitDenied, "not let in: a key, a passphrase, a link or credentials are missing or refused, or the operator keeps the user away", "not let in: credentials are missing or refused"},
	{ExitUnreachable, "the server cannot be reached", "the server or the coordinator cannot be reached"},
	{ExitSignedOut, "signed out by the operator or on another terminal", "the address to listen on is in use"},
	{ExitRefused, "asked for and refused, or waited for in vain", ""},
	{ExitUnknown, "it is not known whether a message has arrived", ""},
}
