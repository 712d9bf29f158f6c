package main

import (
	"os/exec"
	"syscall"
)

// withParent has a process end with this one, even by kill -9.
func withParent(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
