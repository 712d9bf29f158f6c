package embedded

import (
	"errors"

	"natter/internal/private"
)

// What Start may fail with that a program tells apart. The error itself is a
// sentence for people, an *chat.Error.
var (
	ErrInUse   = errors.New("the address is in use")
	ErrDataDir = private.ErrFile // the data directory cannot be used
)
