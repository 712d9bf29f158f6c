package natter_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "natter"

// floors is the import graph as it is meant to be: a package imports only from
// floors below its own. A package that is not here is not allowed.
var floors = map[string]int{
	"cmd/chatcoord": 9, "cmd/chatcli": 9, "internal/bench": 9,
	"internal/chattest/crash": 9, "internal/chattest/faults": 8, "internal/chattest/external": 9,
	"internal/ui": 8, "internal/chattest": 8,
	"client": 7, "internal/coord": 7, "internal/backup": 7, "internal/doctor": 7,
	"internal/console": 6, "session/transfer/direct": 6, "session/transfer/download": 6, "session/transfer/source": 6,
	"internal/ops": 5, "internal/flags": 5, "internal/keyfile": 5, "internal/setup": 5, "session/transfer": 5, "session/transcript": 5,
	"session/delivery": 5, "session/server": 5,
	"presence": 4, "presence/account": 3, "broker/brokertest": 3,
	"broker/embedded": 2, "internal/secure": 2, "internal/contexts": 2,
	"broker/rpc": 2, "broker/store": 2, "session/transfer/manifest": 2, "session/transfer/journal": 2,
	"broker": 1, "broker/ticket": 1, "session": 1, "session/seal": 1, "session/transfer/tree": 1, "session/transfer/ranges": 1, "session/simtest": 1, "internal/private": 1,
	"chat": 0,
}

// onlyIn says which packages may import what is not ours and heavy.
var onlyIn = map[string][]string{
	"github.com/nats-io/nats-server/": {"broker/embedded"},
	"github.com/nats-io/jwt/":         {"broker/embedded", "broker/ticket"},
	"github.com/prometheus/":          {"internal/ops"},
	"github.com/spf13/":               {"cmd/chatcli", "cmd/chatcoord", "internal/flags"},
	"github.com/KimMachineGun/":       {"cmd/chatcoord"},
	"github.com/coreos/":              {"cmd/chatcoord"},
	"filippo.io/age":                  {"internal/keyfile", "internal/backup", "cmd/chatcoord"},
}

// out lists what a program must not contain, even indirectly.
var out = map[string][]string{
	"cmd/chatcli": {"broker/embedded", "broker/ticket", "internal/coord", "internal/setup", "internal/doctor"},
}

// pure are the files that decide: they take values and a time, and nothing else.
var pure = []string{
	"presence/presence.go", "presence/roster.go", "presence/revoked.go", "presence/account/account.go", "presence/account/ban.go", "presence/account/pass.go", "presence/account/clock.go",
	"session/delivery/core.go", "session/delivery/peer.go", "session/delivery/send.go", "session/delivery/receive.go", "session/delivery/mailbox.go", "session/delivery/notice.go", "session/delivery/queue.go", "session/delivery/codec.go",
	"session/transfer/codec.go", "session/transfer/content.go", "session/transfer/disk.go", "session/transfer/flow.go", "session/transfer/group.go", "session/transfer/input.go", "session/transfer/meter.go", "session/transfer/parts.go", "session/transfer/receiver.go",
	"session/transfer/sender.go", "session/transfer/supply.go", "session/transfer/journal/journal.go", "session/transfer/journal/source.go", "session/transfer/manifest/list.go", "session/transfer/manifest/name.go", "session/transfer/manifest/pages.go", "session/transfer/tree/tree.go", "session/transfer/ranges/ranges.go", "session/transfer/direct/hello.go", "session/transfer/direct/address.go",
	"session/session.go", "session/guests.go", "session/audience.go", "session/events.go", "session/text.go",
}

// impure is what a rule must not import; NATS is forbidden as well.
var impure = []string{"context", "os", "net", "sync", "log/slog", "math/rand", "math/rand/v2", "crypto/rand"}

// clock is what a rule must not call in package time.
var clock = []string{"Now", "Since", "Until", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer", "Sleep"}

// file is one Go file of the repository.
type file struct {
	name string // from the root, with slashes
	dir  string // "" for the root
	test bool
	ast  *ast.File
}

// sources parses every Go file of the module whatever its build constraints, but
// without those that only pin tools.
func sources(t *testing.T) (*token.FileSet, []file) {
	t.Helper()
	fset := token.NewFileSet()
	var files []file
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin"):
			return filepath.SkipDir
		case d.IsDir() || path.Ext(name) != ".go" || d.Name() == "tools.go":
			return nil
		}
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		dir := strings.TrimPrefix(path.Dir(name), ".")
		files = append(files, file{name, dir, strings.HasSuffix(name, "_test.go"), f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return fset, files
}

func (f file) imports() []string {
	var list []string
	for _, s := range f.ast.Imports {
		p, err := strconv.Unquote(s.Path.Value)
		if err == nil {
			list = append(list, p)
		}
	}
	return list
}

// graph is who imports whom, tests apart: within the module, and outside of it.
func graph(files []file) (own, foreign map[string][]string) {
	own, foreign = map[string][]string{}, map[string][]string{}
	for _, f := range files {
		if f.test {
			continue
		}
		own[f.dir] = append([]string{}, own[f.dir]...) // also when it imports nothing of ours
		for _, p := range f.imports() {
			if in, ok := strings.CutPrefix(p, module+"/"); ok {
				own[f.dir] = append(own[f.dir], in)
			} else if host, _, _ := strings.Cut(p, "/"); strings.Contains(host, ".") {
				foreign[f.dir] = append(foreign[f.dir], p)
			}
		}
	}
	return own, foreign
}

func TestFloors(t *testing.T) {
	_, files := sources(t)
	own, foreign := graph(files)
	for _, fault := range floorFaults(own) {
		t.Error(fault)
	}
	for pkg, imports := range foreign {
		if pkg == "chat" || pkg == "session" {
			t.Errorf("%s imports %s: beside each other, the vocabulary and the rules import the standard library only", pkg, imports[0])
		}
		for _, p := range imports {
			for prefix, allowed := range onlyIn {
				if strings.HasPrefix(p, prefix) && !slices.Contains(allowed, pkg) {
					t.Errorf("%s imports %s, which only %s may", pkg, p, strings.Join(allowed, " and "))
				}
			}
		}
	}
}

// floorFaults says where a graph is not what floors and out allow.
func floorFaults(own map[string][]string) []string {
	var faults []string
	for _, pkg := range slices.Sorted(maps.Keys(own)) {
		if pkg == "" {
			continue
		}
		floor, ok := floors[pkg]
		if !ok {
			faults = append(faults, pkg+" has no floor: give it one in deps_test.go")
			continue
		}
		for _, in := range own[pkg] {
			if below, ok := floors[in]; !ok || below >= floor {
				faults = append(faults, pkg+" imports "+in+", which is not on a floor below")
			}
		}
	}
	for program, forbidden := range out {
		reached := reach(own, program)
		for _, pkg := range forbidden {
			if reached[pkg] {
				faults = append(faults, program+" reaches "+pkg)
			}
		}
	}
	return faults
}

func reach(own map[string][]string, from string) map[string]bool {
	seen := map[string]bool{}
	todo := []string{from}
	for len(todo) > 0 {
		pkg := todo[0]
		todo = todo[1:]
		if !seen[pkg] {
			seen[pkg] = true
			todo = append(todo, own[pkg]...)
		}
	}
	return seen
}

// The check itself can fail.
func TestFloorsAreChecked(t *testing.T) {
	for _, bad := range []map[string][]string{
		{"chat": {"broker"}},
		{"session": {"broker"}},
		{"client": {"internal/coord"}},
		{"somewhere": nil},
		{"cmd/chatcli": {"client"}, "client": {"broker/ticket"}},
	} {
		if len(floorFaults(bad)) == 0 {
			t.Errorf("not noticed: %v", bad)
		}
	}
}

func TestRulesArePure(t *testing.T) {
	_, files := sources(t)
	for _, f := range files {
		if !slices.Contains(pure, f.name) {
			continue
		}
		for _, p := range f.imports() {
			if slices.Contains(impure, p) || strings.HasPrefix(p, "net/") && p != "net/netip" || strings.Contains(p, "nats-io") || p == module+"/broker" {
				t.Errorf("%s imports %s: rules take values and a time", f.name, p)
			}
		}
		for _, call := range clockCalls(f.ast) {
			t.Errorf("%s uses time.%s: rules are told the time", f.name, call)
		}
	}
}

func clockCalls(f *ast.File) []string {
	var calls []string
	ast.Inspect(f, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, s.Sel.Name) {
			calls = append(calls, s.Sel.Name)
		}
		return true
	})
	return calls
}
