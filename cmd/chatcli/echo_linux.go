package main

import "golang.org/x/sys/unix"

// maxCanon is how much of a line Linux keeps: N_TTY_BUF_SIZE without the end of the line.
const maxCanon = 4095

const getTermios, setTermios = unix.TCGETS, unix.TCSETS
