package direct

import (
	"os"

	"golang.org/x/sys/windows/registry"
)

// hostSecret is the random number that the system drew when it was installed, which only
// programs on this host can read, with the name of the host: copies of one image have the
// same number.
func hostSecret() []byte {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, `SOFTWARE\Microsoft\Cryptography`, registry.QUERY_VALUE|registry.WOW64_64KEY)
	if err != nil {
		return nil
	}
	defer key.Close()
	number, _, err := key.GetStringValue("MachineGuid")
	if err != nil {
		return nil
	}
	name, err := os.Hostname()
	if err != nil {
		return nil
	}
	return []byte(number + "\x00" + name)
}
