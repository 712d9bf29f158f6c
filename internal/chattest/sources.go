package chattest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Sources looks at every Go file below root. go test runs again what has looked at a file
// that has changed since.
func Sources(t testing.TB, root string) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != root && strings.HasPrefix(d.Name(), ".") && d.Name() != "..":
			return filepath.SkipDir
		case filepath.Ext(name) == ".go":
			seen++
			_, err = os.Stat(name)
		}
		return err
	})
	if err != nil || seen == 0 {
		t.Fatalf("%d sources below %s, %v", seen, root, err)
	}
}
