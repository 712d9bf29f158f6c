package natter_test

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxLines is how long a file may be before it is two.
const maxLines = 500

func TestFilesAreShort(t *testing.T) {
	fset, files := sources(t)
	for _, f := range files {
		if n := fset.File(f.ast.Pos()).LineCount(); n > maxLines {
			t.Errorf("%s has %d lines; at most %d are wanted", f.name, n, maxLines)
		}
	}
}

func TestPackagesHaveComments(t *testing.T) {
	_, files := sources(t)
	described := map[string]bool{}
	for _, f := range files {
		if !f.test {
			described[f.dir] = described[f.dir] || f.ast.Doc != nil
		}
	}
	for dir, ok := range described {
		if !ok {
			t.Errorf("%s has no package comment, which is its design document", dir)
		}
	}
}

// The list of decisions is complete, and in order.
func TestDecisionsAreListed(t *testing.T) {
	page, err := os.ReadFile("docs/README.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("docs/adr/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, m := range regexp.MustCompile(`\((adr/[^)]+\.md)\)`).FindAllStringSubmatch(string(page), -1) {
		listed = append(listed, filepath.Join("docs", m[1]))
	}
	if !slices.Equal(listed, files) {
		t.Errorf("docs/README.md lists\n%q, there are\n%q", listed, files)
	}
}

// A test that sleeps is slow on a fast machine and wrong on a slow one.
func TestNoTestSleeps(t *testing.T) {
	fset, files := sources(t)
	for _, f := range files {
		if !f.test {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Sleep" && isIdent(s.X, "time") {
				t.Errorf("%s: time.Sleep in a test; wait for what is meant", fset.Position(s.Pos()))
			}
			return true
		})
	}
}

func isIdent(e ast.Expr, name string) bool {
	x, ok := e.(*ast.Ident)
	return ok && x.Name == name
}

func TestExportedIsDocumented(t *testing.T) {
	fset, files := sources(t)
	for _, f := range files {
		if f.test {
			continue
		}
		for _, id := range undocumented(f.ast) {
			t.Errorf("%s: %s has no doc comment", fset.Position(id.Pos()), id.Name)
		}
	}
}

// undocumented lists the exported identifiers of a file without a comment of their
// own, behind them or above their group.
func undocumented(f *ast.File) []*ast.Ident {
	var bare []*ast.Ident
	note := func(documented bool, ids ...*ast.Ident) {
		for _, id := range ids {
			if !documented && id.IsExported() {
				bare = append(bare, id)
			}
		}
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if ast.IsExported(receiver(d)) {
				note(d.Doc != nil, d.Name)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					note(d.Doc != nil || s.Doc != nil || s.Comment != nil, s.Name)
				case *ast.ValueSpec:
					note(d.Doc != nil || s.Doc != nil || s.Comment != nil, s.Names...)
				}
			}
		}
	}
	return bare
}

// receiver is the name of a method's type; of a function, any exported name.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return "Function"
	}
	e := d.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// What is to be done belongs into an issue, where somebody sees it.
func TestNothingLeftToDo(t *testing.T) {
	fset, files := sources(t)
	for _, f := range files {
		for _, g := range f.ast.Comments {
			for _, c := range g.List {
				if word := leftover(c); word != "" {
					t.Errorf("%s: a comment begins with %s", fset.Position(c.Pos()), word)
				}
			}
		}
	}
}

func leftover(c *ast.Comment) string {
	text := strings.TrimLeft(c.Text, "/* \t")
	for _, word := range []string{"TODO", "FIXME", "XXX", "HACK"} {
		if strings.HasPrefix(text, word) {
			return word
		}
	}
	return ""
}
