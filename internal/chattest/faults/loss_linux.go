package faults

import (
	"fmt"
	"math"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Lose has the system lose a share of the packets that come to the relay on either side, as
// a bad line does; 0 makes it good again. What is lost are segments of data, which their
// senders have to send again, acknowledgements and attempts to connect.
func (r *Relay) Lose(share float64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loss = share
	sockets := []any{r.listener} // those that it accepts inherit it
	for c := range r.ends {
		sockets = append(sockets, c)
	}
	for _, s := range sockets {
		if err := lose(s, share); err != nil {
			return err
		}
	}
	return nil
}

// lossy makes a new end of a connection as bad as the line.
func (r *Relay) lossy(c net.Conn) {
	if r.loss > 0 {
		_ = lose(c, r.loss) // Lose has seen that it can be done
	}
}

// lose gives a socket a filter that drops packets by chance.
func lose(socket any, share float64) error {
	s, ok := socket.(syscall.Conn)
	if !ok {
		return fmt.Errorf("a %T cannot lose packets", socket)
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = filter(int(fd), share) })
	if err != nil {
		return nil // it is closed already
	}
	return failed
}

func filter(fd int, share float64) error {
	if share <= 0 {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
	}
	const random, all = 0xfffff000 + 56, math.MaxUint32 // SKF_AD_OFF + SKF_AD_RANDOM
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: random},
		{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: uint32(share * all), Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: all}, // the whole packet
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
}
