// Package server is the coordinator's half of sessions: it serves the requests about
// invitations and chats, each as one step of a rule of package session on one record, tells
// the members what has changed, ends invitations in time, and stores messages for members who
// cannot receive them now.
//
// What a step makes necessary is done by the replica that made it, and a little later by the
// others, in case it has died: everything here may be done twice.
package server
