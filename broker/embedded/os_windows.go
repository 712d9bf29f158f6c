package embedded

import "syscall"

const addrInUse = syscall.Errno(10048) // WSAEADDRINUSE
