// Package ui is the user interface of chatcli: the command language, the sentences, and the plain
// front end over a stream of lines and a stream of events.
//
// # The picture
//
//	stdin ──▶ reader ──lines──▶ ┌─────────────────────┐ ──▶ printer ──▶ stdout
//	                            │ front (one goroutine│
//	client.Events() ──events──▶ │ owns all its state) │ ──asks──▶ client ──▶ NATS
//	                            └─────────────────────┘ ◀─answers──
//
// A line of input becomes a Command (command.go, pure), or an answer to what the
// state expects:
//
//	NAME ─▶ PRESENCE ─▶ MENU ─2─▶ USER  ─▶ INVITING ─▶ CHAT ─▶ MENU
//	                    MENU ─4─▶ GROUP ─▶ INVITING ─▶ CHAT
//	                    MENU ─yes (an invitation)────▶ CHAT
//
// # What is promised
//
// Every output line is exactly one of: a line of the seeds at column 0, a prompt, a
// fact ("* "), an error that says what to do ("! "), or a message ("Name: "). No message can look
// like another of these, because every line goes through the printer, and the printer uses
// chat.CleanAll.
//
// A line that asks the server or a person something is answered before the next line
// is carried out, so a script can be piped in. The one exception is the user's own invitation,
// which /cancel withdraws while it is open. On a terminal, 3 asks before it leaves if it is
// the first line after others have ended the chat: it may have been meant as a message.
//
// # Goroutines
//
// The reader, one per question under way, and one for the direct message under way.
// Run waits for all of them but the reader: a read from a terminal cannot be
// interrupted, and ends with the program.
package ui
