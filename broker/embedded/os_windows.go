package embedded

import "syscall"

const addrInUse = syscall.Errno(10048) // WSAEADDRINUSE

// openFiles is how many files and connections this process may have open, and whether
// there is such a limit.
func openFiles() (int, bool) { return 0, false }
