// Package transcript is what a client keeps of its own chats, if its user wants that:
// one file per chat and one per correspondent of direct messages, in a directory that
// is the user's alone.
//
//	client ──events──▶ Keeper ──lines──▶ DIR/20261122-190412-a1b2c3.jsonl
//	                                     DIR/direct-bob.jsonl ──▶ Reader ──▶ list, show, search, export
//
// A file is JSON lines. The first says what it is of (see Line); after it comes one line
// per thing said or done, each complete in itself. Fields and kinds may be added; a
// reader passes over what it does not know. Texts are kept as they were sent, in
// plain text; only what a terminal might act upon is
// written as a JSON escape, so that even cat is harmless.
//
// # What is promised
//
// The chat comes first: a directory that is full, slow or gone never holds it up. The
// user is told once per file, each later line is tried again, and the file says how many
// are missing. A line is written in one piece and appended, so that two clients may write
// to one file. What a crash has torn is one line, which readers count and pass over, and
// the next line begins on its own. A client that is started again goes on in the same file,
// and what is told again is not written again.
//
// A transcript is acknowledged to nobody. It is synchronised with the disk once a second
// while something is written, and at the end of the chat: if the power fails, the last
// second may be missing.
package transcript
