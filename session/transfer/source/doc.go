// Package source is the sender's side of the disk: files and directories become the list of an
// offer, and are read in pieces.
//
// Nobody copies or locks what is offered, so it may change while it is sent. Each file is
// known by its device, inode, size and time, as they were when it was offered; each read
// compares them, and the end of a file also compares what is found under its name by then.
// What is another one is never sent on: the error is ErrChanged.
//
// Links in directories are not followed, but left out. Devices, sockets and pipes are refused;
// what comes through a pipe is sent as a Stream.
//
// Cache keeps the hashes of large sources for the next run, so that nothing is read again for
// the root.
package source
