// Package natter is the root of private, invitation-based chat in the terminal,
// on NATS. It holds no code: its tests keep the floors between the packages and
// the conventions of the code. Begin to read in package natter/chat.
package natter
