//go:build !windows

package cmd_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"natter/internal/flags"
)

// manual is the page of a program, in mdoc.
func manual(program string) string { return filepath.Join("..", "docs", "man", program+".1") }

// The manual pages name every flag and every verb that --help names, and no flag that
// there is not.
func TestManualsAreComplete(t *testing.T) {
	for _, program := range []string{"chatcli", "chatcoord"} {
		usage, err := exec.Command(program, "--help").Output()
		if err != nil {
			t.Fatal(err)
		}
		if program == "chatcli" { // its verb key has a help page of its own
			more, err := exec.Command(program, "key", "--help").Output()
			if err != nil {
				t.Fatal(err)
			}
			usage = append(usage, more...)
		}
		verbs := verbsIn(program, string(usage))
		if program == "chatcoord" { // each of its verbs has a help page
			verbs = listedIn(string(usage))
			for _, verb := range verbs {
				more, err := exec.Command(program, verb, "--help").Output()
				if err != nil {
					t.Fatal(err)
				}
				usage = append(usage, more...)
			}
			for line := range strings.Lines(string(usage)) {
				if len(strings.TrimSuffix(line, "\n")) > 80 {
					t.Errorf("help is wider than 80 columns: %s", line)
				}
			}
		}
		page, err := os.ReadFile(manual(program))
		if err != nil {
			t.Fatal(err)
		}
		helped, written := flagsIn(`--([a-z][a-z-]+)`, string(usage)), flagsIn(`Fl -([a-z][a-z-]+)`, string(page))
		for f := range helped {
			if !written[f] {
				t.Errorf("%s does not name --%s", manual(program), f)
			}
		}
		for f := range written {
			if !helped[f] {
				t.Errorf("%s names --%s, which %s --help does not", manual(program), f, program)
			}
		}
		for _, verb := range verbs {
			if !regexp.MustCompile(`(?m)^\.It Cm (.* )?` + verb + `\b`).MatchString(string(page)) {
				t.Errorf("%s does not explain %s %s", manual(program), program, verb)
			}
		}
	}
}

func flagsIn(pattern, text string) map[string]bool {
	found := map[string]bool{}
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found[m[1]] = true
	}
	return found
}

// verbsIn are the words behind the program's name, on the first lines of its help.
func verbsIn(program, usage string) (verbs []string) {
	for _, m := range regexp.MustCompile(`(?m)^(?:Usage:| {6}) `+program+`((?: [a-z|]+)+)(?: |$)`).FindAllStringSubmatch(usage, -1) {
		for _, word := range strings.Fields(m[1]) {
			verbs = append(verbs, strings.Split(word, "|")...)
		}
	}
	return verbs
}

// listedIn are the verbs that help lists, one a line.
func listedIn(usage string) (verbs []string) {
	_, list, _ := strings.Cut(usage, "\nVerbs:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	for line := range strings.Lines(list) {
		verbs = append(verbs, strings.Fields(line)[0])
	}
	return verbs
}

// What mandoc finds wrong with a page, readers of other systems see.
func TestManualsAreWellFormed(t *testing.T) {
	mandoc, err := exec.LookPath("mandoc")
	if err != nil {
		t.Skip("mandoc is not installed")
	}
	for _, program := range []string{"chatcli", "chatcoord"} {
		out, _ := exec.Command(mandoc, "-Tlint", "-Wwarning", manual(program)).CombinedOutput()
		for l := range strings.Lines(string(out)) {
			if !strings.HasSuffix(l, "sections out of conventional order: Sh DESCRIPTION\n") { // examples come first
				t.Error(l)
			}
		}
	}
}

// TestManualsHaveTheExitCodes: the pages say of each exit code what the programs' table says.
func TestManualsHaveTheExitCodes(t *testing.T) {
	for program, meaning := range map[string]func(flags.Exit) string{
		"chatcli": func(e flags.Exit) string { return e.Chatcli }, "chatcoord": func(e flags.Exit) string { return e.Chatcoord },
	} {
		page, err := os.ReadFile(manual(program))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range flags.Exits {
			want := fmt.Sprintf("\n.It %d\n%s\n.", e.Code, strings.ReplaceAll(meaning(e), ". ", ".\n"))
			if has := strings.Contains(string(page), want); has != (meaning(e) != "") {
				t.Errorf("%s: %t for %q", manual(program), has, want)
			}
		}
	}
}
