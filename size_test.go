package natter_test

import (
	"fmt"
	"go/ast"
	"maps"
	"slices"
	"strings"
	"testing"
)

// How large a type may be before it is two.
const (
	maxMethods = 40
	maxFields  = 20
	// slack is how far the recorded size of a type may be behind.
	slack = 5
)

// size is how many fields and methods a type has; an embedded type counts as one field.
type size struct{ fields, methods int }

// String writes a size for people.
func (s size) String() string { return fmt.Sprintf("%d fields and %d methods", s.fields, s.methods) }

// outgrown are the types that are larger than they may be. They must not grow; who makes one
// smaller writes its size down here.
var outgrown = map[string]size{
	"broker/rpc.Service":     {22, 22},
	"broker/store.Log":       {23, 44},
	"cmd/chatcli.config":     {30, 4},
	"cmd/chatcli.program":    {11, 55},
	"cmd/chatcoord.config":   {41, 29},
	"cmd/chatcoord.program":  {9, 77},
	"internal/ui.front":      {43, 117},
	"presence.Config":        {24, 0},
	"presence.Service":       {13, 141},
	"session/delivery.Core":  {14, 89},
	"session/delivery.peer":  {22, 7},
	"session/server.Service": {4, 45},
}

// harness is what tests and measurements are made of; their types may be as large as they like.
func harness(dir string) bool {
	return dir == "internal/bench" || strings.HasPrefix(dir, "internal/chattest") || dir == "broker/brokertest" || dir == "session/simtest"
}

func TestTypesAreSmall(t *testing.T) {
	_, files := sources(t)
	for _, fault := range sizeFaults(sizes(files), outgrown) {
		t.Error(fault)
	}
}

// sizes counts the fields and methods of the named types of the product.
func sizes(files []file) map[string]size {
	found := map[string]size{}
	for _, f := range files {
		if f.test || harness(f.dir) {
			continue
		}
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if name := receiver(d); d.Recv != nil && name != "" {
					s := found[f.dir+"."+name]
					s.methods++
					found[f.dir+"."+name] = s
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if spec, ok := spec.(*ast.TypeSpec); ok {
						s := found[f.dir+"."+spec.Name.Name]
						s.fields += fields(spec.Type)
						found[f.dir+"."+spec.Name.Name] = s
					}
				}
			}
		}
	}
	return found
}

// fields counts the fields of a struct; other types have none.
func fields(e ast.Expr) int {
	s, ok := e.(*ast.StructType)
	if !ok {
		return 0
	}
	n := 0
	for _, f := range s.Fields.List {
		n += max(len(f.Names), 1)
	}
	return n
}

// sizeFaults compares sizes with the limits, and with those of the types that may exceed them.
func sizeFaults(found, known map[string]size) []string {
	var faults []string
	for _, name := range slices.Sorted(maps.Keys(found)) {
		is, limit := found[name], size{maxFields, maxMethods}
		if k, ok := known[name]; ok {
			limit = size{max(k.fields, maxFields), max(k.methods, maxMethods)}
		}
		if is.fields > limit.fields || is.methods > limit.methods {
			faults = append(faults, fmt.Sprintf("%s has %v, at most %v are wanted: split it", name, is, limit))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		k, is := known[name], found[name]
		if is.fields <= maxFields && is.methods <= maxMethods {
			faults = append(faults, name+" is small enough: remove it from outgrown")
		} else if is.fields < k.fields-slack || is.methods < k.methods-slack {
			faults = append(faults, fmt.Sprintf("%s has shrunk to %v: write that into outgrown", name, is))
		}
	}
	return faults
}

// The check itself can fail.
func TestSizesAreChecked(t *testing.T) {
	large := size{maxFields + 2, maxMethods}
	for _, bad := range []struct{ found, known map[string]size }{
		{map[string]size{"a.T": large}, nil},
		{map[string]size{"a.T": {0, maxMethods + 1}}, nil},
		{map[string]size{"a.T": large}, map[string]size{"a.T": {maxFields + 1, 0}}},            // it has grown
		{map[string]size{"a.T": large}, map[string]size{"a.T": {large.fields + slack + 1, 0}}}, // it has shrunk
		{map[string]size{"a.T": {1, 1}}, map[string]size{"a.T": large}},                        // it is small enough
		{nil, map[string]size{"a.T": large}},                                                   // it is gone
		{map[string]size{"a.T": {0, maxMethods + 1}}, map[string]size{"a.T": large}},           // another number has grown
	} {
		if len(sizeFaults(bad.found, bad.known)) == 0 {
			t.Errorf("not noticed: %v, known %v", bad.found, bad.known)
		}
	}
	if faults := sizeFaults(map[string]size{"a.T": large, "a.U": {1, 2}}, map[string]size{"a.T": {large.fields, 0}}); len(faults) > 0 {
		t.Error(faults)
	}
}
