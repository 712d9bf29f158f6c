package flags

import (
	"errors"

	"natter/chat"
	"natter/internal/private"
)

// The exit codes of both programs; what each means is in Exits.
const (
	ExitOK          = 0
	ExitFailure     = 1
	ExitUsage       = 2
	ExitName        = 3 // of chatcli
	ExitFile        = 3 // of chatcoord
	ExitDenied      = 4
	ExitUnreachable = 5
	ExitSignedOut   = 6 // of chatcli
	ExitInUse       = 6 // of chatcoord
	ExitRefused     = 7
	ExitUnknown     = 8
)

// Exit is what an exit code means in each program; "" if the program does not use it.
type Exit struct {
	Code               int
	Chatcli, Chatcoord string
}

// Exits is the table of exit codes, in their order, and in the words of the manual pages. A
// program that a signal has ended exits with 128 and the signal's number.
var Exits = []Exit{
	{ExitOK, "The end was normal.", "Done, or told to stop and stopped."},
	{ExitFailure, "Another failure; in strict mode an error line; a search that found nothing.", "Another failure; something that doctor or health found; a verb that nobody was meant by."},
	{ExitUsage, "The command line or the environment is wrong.", "The command line or the environment is wrong."},
	{ExitName, "The username is taken, invalid or somebody else's, and there is nobody to ask for another one.", "The data directory, the keys or another file cannot be used, or another process uses them."},
	{ExitDenied, "Not let in: a key, a passphrase, an invitation or credentials are missing or refused, or the operator keeps the user away.", "Credentials are missing or refused."},
	{ExitUnreachable, "The server cannot be reached.", "The NATS server or the coordinator cannot be reached."},
	{ExitSignedOut, "Signed out by the operator or on another terminal.", "An address is in use."},
	{ExitRefused, "Asked, and refused or not answered; a direct message that was not sent, because its receiver cannot be reached.", ""},
	{ExitUnknown, "It is not known whether a direct message has arrived. The same text to the same name, sent again within 10 minutes, is shown once.", ""},
}

// ChatcliExit returns the exit code of chatcli for an error.
func ChatcliExit(err error) int {
	var told *chat.Error
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &UsageError{}):
		return ExitUsage
	case errors.Is(err, private.ErrFile), !errors.As(err, &told):
		return ExitFailure
	}
	switch told.Code {
	case chat.Arguments:
		return ExitUsage
	case chat.Taken, chat.NotRegistered, chat.Invalid, chat.Reserved, chat.ForeignKey, chat.SignedIn:
		return ExitName
	case chat.Denied, chat.Auth, chat.Banned:
		return ExitDenied
	case chat.NotConnected, chat.Timeout, chat.Outdated:
		return ExitUnreachable
	}
	return ExitFailure
}
