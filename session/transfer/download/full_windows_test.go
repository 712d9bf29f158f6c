package download

import "golang.org/x/sys/windows"

const noSpaceError = windows.ERROR_DISK_FULL
