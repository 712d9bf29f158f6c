package main

import (
	"os/exec"
	"syscall"
)

// withParent makes a process end with this one, even after kill -9.
func withParent(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
