//go:build !linux

package faults

import (
	"errors"
	"net"
)

// Lose cannot be done here.
func (r *Relay) Lose(float64) error { return errors.ErrUnsupported }

func (r *Relay) lossy(net.Conn) {}
