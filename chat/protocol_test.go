package chat_test

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"natter/chat"
)

var update = flag.Bool("update", false, "write docs/protocol.md anew")

const page = "../docs/protocol.md"

// region is a part of the page that is computed: everything between two marks.
var region = regexp.MustCompile(`(?s)<!-- generated: (\w+) -->\n.*?<!-- end -->`)

// The page of the protocol says what the code does: its tables are computed from
// the routes, the grants and the payloads. "go test ./chat -update" writes them.
func TestProtocolPage(t *testing.T) {
	have, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	src := readSource(t)
	parts := map[string]string{
		"routes": routes(), "payloads": src.payloads(), "grants": grants(), "codes": src.codes(), "values": src.values(), "limits": limits(),
	}
	want := region.ReplaceAllFunc(have, func(old []byte) []byte {
		name := string(region.FindSubmatch(old)[1])
		text, ok := parts[name]
		if !ok {
			t.Errorf("%s has a part %q that nothing computes", page, name)
		}
		delete(parts, name)
		return fmt.Appendf(nil, "<!-- generated: %s -->\n%s<!-- end -->", name, text)
	})
	for name := range parts {
		t.Errorf("%s lacks <!-- generated: %s --> … <!-- end -->", page, name)
	}
	if bytes.Equal(have, want) {
		return
	}
	if !*update {
		t.Fatalf("%s is not what the code says; run: go test ./chat -update", page)
	}
	if err := os.WriteFile(page, want, 0o644); err != nil {
		t.Fatal(err)
	}
}

// routes is a table of every subject.
func routes() string {
	var b strings.Builder
	b.WriteString("| subject | from → to | payload | answer | what for |\n| --- | --- | --- | --- | --- |\n")
	for _, r := range chat.Routes() {
		fmt.Fprintf(&b, "| `%s` | %s → %s | %s | %s | %s |\n",
			shown(r), r.From(), r.To(), link(r.Payload, "bytes"), link(r.Reply, "–"), r.Doc)
	}
	return b.String()
}

// shown is a route's subject, and where its receivers hear it if that is another one.
func shown(r *chat.Route) string {
	if r.Arrives() == r.Pattern() {
		return r.Pattern()
	}
	return r.Pattern() + "` → `" + r.Arrives()
}

func link(t reflect.Type, none string) string {
	if t == nil {
		return none
	}
	return fmt.Sprintf("[%s](#%s)", t.Name(), strings.ToLower(t.Name()))
}

// grants is what each kind of connection may do.
func grants() string {
	var b strings.Builder
	b.WriteString("| connection | publish | subscribe |\n| --- | --- | --- |\n")
	for _, g := range []struct {
		who   string
		grant chat.Grant
	}{
		{"lobby: anybody", chat.LobbyGrant()},
		{"user `alice`", chat.UserGrant("alice")},
		{"`alice`, who has not said hello", chat.AskerGrant("alice")},
		{"beside the terminals of `alice`", chat.SideGrant("alice")},
		{"member `alice` of the channel `CHANNEL`", chat.MemberGrant("alice", "CHANNEL")},
		{"observer, for the `nats` CLI, with its inbox", chat.ObserverGrant(chat.ObserverInboxes + ".KEY")},
		{"observer of the audit log", chat.AuditGrant()},
		{"operator's verbs", chat.OperatorGrant()},
		{"coordinator, answering", chat.AnsweringGrant()},
		{"coordinator, storing and telling", chat.StoringGrant()},
		{"coordinator, console", chat.TappingGrant()},
		{"coordinator, system account", chat.SystemGrant("ACCOUNT")},
	} {
		sub := subjects(g.grant.Subscribe)
		if len(g.grant.DenySubscribe) > 0 {
			sub += "; never " + subjects(g.grant.DenySubscribe)
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", g.who, subjects(g.grant.Publish), sub)
	}
	return b.String()
}

func subjects(list []string) string {
	if len(list) == 0 {
		return "nothing"
	}
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = "`" + s + "`"
	}
	return strings.Join(quoted, ", ")
}

func limits() string {
	var b strings.Builder
	b.WriteString("| what | value |\n| --- | --- |\n")
	for _, l := range []struct {
		what  string
		value any
	}{
		{"version of the protocol", chat.Proto},
		{"a name", fmt.Sprintf("at most %d bytes", chat.MaxName)},
		{"one message (unless the server says otherwise)", fmt.Sprintf("%d bytes of text", chat.MaxText)},
		{"one request", fmt.Sprintf("%d bytes", chat.MaxPayload)},
		{"a group, its host included (unless the server says otherwise)", fmt.Sprintf("%d members", chat.MaxGroup)},
		{"an invitation waits (unless the server says otherwise)", chat.InviteTimeout},
		{"a name outlives its connection (unless the server says otherwise)", chat.Grace},
		{"a name asked for in the lobby waits for its `hello`", chat.Hold},
		{"connections in the lobby from one address, at once", chat.LobbyConns},
		{"one in the lobby is closed so long after its last request", chat.LobbyIdle},
		{"a user's ticket is good for", chat.UserTicketTTL},
		{"a member's ticket is good for", chat.MemberTicketTTL},
		{"the receiver of a direct message answers within, and acknowledges its text within", chat.DirectTimeout},
		{"a direct message that may have arrived is sent again as the same one for", chat.DirectRepeat},
	} {
		fmt.Fprintf(&b, "| %s | %v |\n", l.what, l.value)
	}
	return b.String()
}

// source is what only the text of the package says: its comments.
type source struct {
	types  map[string]*ast.TypeSpec
	docs   map[string]string           // of types
	consts map[string][]*ast.ValueSpec // by type
}

func readSource(t *testing.T) source {
	t.Helper()
	s := source{map[string]*ast.TypeSpec{}, map[string]string{}, map[string][]*ast.ValueSpec{}}
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok {
				s.add(g)
			}
		}
	}
	return s
}

func (s source) add(g *ast.GenDecl) {
	for _, spec := range g.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			s.types[spec.Name.Name] = spec
			s.docs[spec.Name.Name] = oneLine(cmp.Or(spec.Doc.Text(), g.Doc.Text()))
		case *ast.ValueSpec:
			if id, ok := spec.Type.(*ast.Ident); ok && g.Tok == token.CONST {
				s.consts[id.Name] = append(s.consts[id.Name], spec)
			}
		}
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// payloads describes every type that travels, in the order of the table.
func (s source) payloads() string {
	var b strings.Builder
	for _, t := range travelling() {
		fmt.Fprintf(&b, "### %s\n\n%s\n\n", t.Name(), s.docs[t.Name()])
		b.WriteString(s.fields(t))
	}
	return b.String()
}

func (s source) fields(t reflect.Type) string {
	if t.NumField() == 0 {
		return "No fields: `{}`.\n\n"
	}
	comments := map[string]string{}
	for _, f := range s.types[t.Name()].Type.(*ast.StructType).Fields.List {
		for _, id := range f.Names {
			comments[id.Name] = oneLine(cmp.Or(f.Comment.Text(), f.Doc.Text()))
		}
	}
	var b strings.Builder
	b.WriteString("| field | type | |\n| --- | --- | --- |\n")
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		about := comments[f.Name]
		if options == "omitempty" {
			about = strings.TrimSuffix("may be absent; "+about, "; ")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, typeName(f.Type), about)
	}
	return b.String() + "\n"
}

// typeName is a Go type in the words of JSON.
func typeName(t reflect.Type) string {
	switch {
	case t.PkgPath() == "time" && t.Name() == "Time":
		return "time (RFC 3339)"
	case t.PkgPath() == "time":
		return "number"
	case t.Kind() == reflect.Pointer:
		return typeName(t.Elem())
	case t == reflect.TypeFor[[]byte]():
		return "bytes (base64)"
	case t.Kind() == reflect.Slice:
		return "list of " + typeName(t.Elem())
	case t.Kind() == reflect.Map:
		return "object: " + typeName(t.Key()) + " → " + typeName(t.Elem())
	case t.Kind() == reflect.Struct:
		return link(t, "")
	case t.Name() == "Name" || t.Name() == "User":
		return strings.ToLower(t.Name())
	case t.Name() == "Code":
		return "[Code](#errors)"
	case t.PkgPath() != "":
		return fmt.Sprintf("[%s](#values)", t.Name())
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.String:
		return "text"
	}
	return "number"
}

// travelling is every struct on a route, and every struct inside of those.
func travelling() []reflect.Type {
	var list []reflect.Type
	var visit func(t reflect.Type)
	visit = func(t reflect.Type) {
		for t != nil && (t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map) {
			t = t.Elem()
		}
		if t == nil || t.Kind() != reflect.Struct || t.PkgPath() == "time" || slices.Contains(list, t) {
			return
		}
		list = append(list, t)
		for f := range t.Fields() {
			visit(f.Type)
		}
	}
	for _, r := range chat.Routes() {
		visit(r.Payload)
		visit(r.Reply)
		if r.Kind == "enter" { // what its answer holds when it is opened
			visit(reflect.TypeFor[chat.EnterReply]())
		}
	}
	return list
}

// codes is the table of errors.
func (s source) codes() string {
	return "| code | meaning |\n| --- | --- |\n" + s.constants("Code")
}

// values is every other word with a fixed set.
func (s source) values() string {
	var b strings.Builder
	for _, t := range []string{"State", "Class", "Reason", "Presence"} {
		fmt.Fprintf(&b, "**%s.** %s\n\n| value | |\n| --- | --- |\n%s\n", t, s.docs[t], s.constants(t))
	}
	return b.String()
}

func (s source) constants(typ string) string {
	var b strings.Builder
	for _, c := range s.consts[typ] {
		value := strings.Trim(c.Values[0].(*ast.BasicLit).Value, `"`)
		if value != "" {
			fmt.Fprintf(&b, "| `%s` | %s |\n", value, oneLine(c.Comment.Text()))
		}
	}
	return b.String()
}
