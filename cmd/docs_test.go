//go:build !windows

package cmd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocsNameWhatExists: every flag and verb that README.md and docs/operations.md name with a
// program, in a code span or a block, is in that program's help.
func TestDocsNameWhatExists(t *testing.T) {
	t.Parallel()
	flags, verbs := map[string]map[string]bool{}, map[string]map[string]bool{}
	for _, program := range []string{"chatcli", "chatcoord"} {
		flags[program], verbs[program] = helpOf(t, program)
	}
	for _, page := range []string{"README.md", "docs/operations.md"} {
		text, err := os.ReadFile(filepath.Join("..", page))
		if err != nil {
			t.Fatal(err)
		}
		found := commandsIn(string(text))
		if len(found) < 5 {
			t.Errorf("%s has %d commands", page, len(found))
		}
		for _, c := range found {
			for f := range flagsIn(`(?:^|\s)--([a-z][a-z-]+)`, c.rest) {
				if !flags[c.program][f] {
					t.Errorf("%s: %s%s: there is no --%s", page, c.program, c.rest, f)
				}
			}
			m := regexp.MustCompile(`^ ([a-z]+)(?: |$)`).FindStringSubmatch(c.rest)
			if c.program == "chatcoord" && m != nil && !verbs[c.program][m[1]] { // chatcli takes a name there
				t.Errorf("%s: %s%s: there is no verb %s", page, c.program, c.rest, m[1])
			}
		}
	}
}

// helpOf returns the flags and the verbs of a program, with those on its verbs' own pages.
func helpOf(t *testing.T, program string) (flags, verbs map[string]bool) {
	t.Helper()
	usage, err := exec.Command(program, "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	verbs = map[string]bool{}
	for _, v := range append(listedIn(string(usage)), verbsIn(program, string(usage))...) {
		verbs[v] = true
	}
	for v := range verbs {
		if program == "chatcli" && v != "key" { // the others have no page
			continue
		}
		more, err := exec.Command(program, v, "--help").Output()
		if err != nil {
			t.Fatalf("%s %s --help: %v", program, v, err)
		}
		usage = append(usage, more...)
	}
	return flagsIn(`--([a-z][a-z-]+)`, string(usage)), verbs
}

// written is what follows a program's name.
type written struct{ program, rest string }

var (
	codeBlock = regexp.MustCompile("(?ms)^```[a-z]*\n(.*?)^```")
	codeSpan  = regexp.MustCompile("`([^`\n]+)`")
	programs  = regexp.MustCompile(`(?:^|[\s/])(chatcli|chatcoord)((?: [^|;&#]*)?)`)
)

// commandsIn finds the commands in a page's blocks and spans of code.
func commandsIn(page string) []written {
	var lines []string
	for _, m := range codeBlock.FindAllStringSubmatch(page, -1) {
		lines = append(lines, strings.Split(strings.ReplaceAll(m[1], "\\\n", " "), "\n")...)
	}
	for _, m := range codeSpan.FindAllStringSubmatch(codeBlock.ReplaceAllString(page, ""), -1) {
		lines = append(lines, m[1])
	}
	var found []written
	for _, line := range lines {
		if m := programs.FindStringSubmatch(line); m != nil {
			found = append(found, written{m[1], strings.TrimRight(m[2], " ")})
		}
	}
	return found
}
