package embedded

import (
	"errors"

	"natter/chat"
)

// What Start may fail with that a program tells apart. The error itself is a
// sentence for people, an *chat.Error.
var (
	ErrInUse   = errors.New("the address is in use")
	ErrDataDir = errors.New("the data directory cannot be used")
)

// problem is a sentence for people that programs can tell apart.
type problem struct {
	kind error
	text *chat.Error
}

func problemf(kind error, format string, args ...any) error {
	return &problem{kind, chat.Errorf(chat.Arguments, format, args...)}
}

// Error returns the sentence.
func (p *problem) Error() string { return p.text.Text }

// Unwrap makes errors.Is find the kind and errors.As the *chat.Error.
func (p *problem) Unwrap() []error { return []error{p.kind, p.text} }
