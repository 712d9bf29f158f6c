package ui

// helpPages are the pages of /help, by topic.
var helpPages = map[string]string{
	"": `Chat      write and press Enter. Quit ends it for both, bye asks first, /leave leaves a group.
People    /list   /chat NAME   /group NAME NAME   /accept   /deny   /cancel   @NAME TEXT   /r TEXT
You       /show   /hide   /block NAME   /mute NAME   /unblock NAME   /blocked   /who   /exit
Screen    /more   /time on   /time off   /bell on   /bell off
More      /help groups   /help blocks   /help keys   /help scripts   /help old   and in the shell: chatcli --help`,

	"groups": `Start     4, or /group NAME NAME, or /group all. All must accept; who denies ends it for all.
Leave     Quit ends the group chat for all. /leave leaves alone; the others go on while two remain.
bye       everyone must say it.`,

	"blocks": `/block NAME     they cannot invite you or write to you, and see you in no list: as if you were not there.
                They are not told. A chat that you are both in goes on.
/mute NAME      the same for an hour.
/unblock NAME   takes it back. /blocked says whom you block.`,

	"keys": `Enter     sends the line.
Ctrl-C    leaves the program; a chat ends as by Quit.
Ctrl-D    on an empty line: as choice 3.
Text      \Quit, \bye, \/help, \@bob and \#HELP send the words without the backslash, and so do all lines that
          would be a command without it. Every other line is sent as it is, \\server\share too.`,

	"scripts": `/wait EVENT SECONDS   reads on when it has happened: invitation, message REGEXP, chat, end or user NAME.
/say TEXT             sends the text as it is. /msg NAME TEXT is @NAME TEXT, /quit is Quit.`,

	"old": `#NAME                   your username, at the name prompt
@NAME:TEXT              a direct message
GET_CLIENT_LIST         /list
GET_CLIENT_INFO NAME    /chat NAME; also GET_CLIENT_INFO<NAME>
SEND_FILE PATH          says that there are no files in this version
CLOSE_SESSION           Quit
DISCONNECT_CLIENT       3, outside a chat
#HELP                   /help`,
}
