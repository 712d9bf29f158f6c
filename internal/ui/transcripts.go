package ui

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"natter/chat"
	"natter/session/transcript"
)

// Transcripts are those of one directory, for chatcli transcript.
type Transcripts struct {
	Dir string
	Out io.Writer
	Err io.Writer // where damaged lines are named
}

// List prints one row per transcript.
func (t Transcripts) List() error {
	all, err := transcript.List(t.Dir)
	if err != nil {
		return err
	}
	p := printer{w: t.Out}
	p.columns("Transcript", "Began", "With", "Messages", "Class")
	for _, s := range all {
		began := "?"
		if s.Head.Kind != "" {
			began = s.Head.At.Local().Format("2006-01-02 15:04")
		}
		class := string(s.Head.Class)
		if s.Head.Kind == transcript.Direct {
			class = "direct"
		}
		p.columns(s.ID(), began, chat.Names(s.Head.Members), strconv.Itoa(s.Messages), class)
		t.damaged(s)
	}
	return p.err
}

// columns writes a row of a table.
func (p *printer) columns(cells ...string) {
	for i, c := range cells {
		cells[i] = oneLine(c)
	}
	p.write(strings.Join(cells, "\t") + "\n")
}

// damaged lists the lines that could not be read.
func (t Transcripts) damaged(s transcript.Summary) {
	if s.Bad == 0 {
		return
	}
	var numbers []string
	for _, n := range s.Damaged {
		numbers = append(numbers, strconv.Itoa(n))
	}
	if s.Bad > len(numbers) {
		numbers = append(numbers, "...")
	}
	fmt.Fprintf(t.Err, "! %s: %s cannot be read: %s.\n", oneLine(filepath.Base(s.File)), count(s.Bad, "line"), strings.Join(numbers, ", "))
}

// Show prints one transcript as the screen showed it.
func (t Transcripts) Show(id string) error {
	path, err := transcript.Find(t.Dir, id)
	if err != nil {
		return err
	}
	return t.replay(t.Out, path)
}

func (t Transcripts) replay(out io.Writer, path string) error {
	r := NewReplay(out)
	s, err := transcript.Scan(path, func(_ int, l transcript.Line) error { return r.Line(l) })
	t.damaged(s)
	return err
}

// Search finds messages that have all the words, whatever their case and form.
type Search struct {
	Words []string
	With  string    // only chats with this user; "": all
	Since time.Time // zero: always
}

// Search prints the messages that it finds, and returns their number.
func (t Transcripts) Search(q Search) (found int, err error) {
	all, err := transcript.List(t.Dir)
	if err != nil {
		return 0, err
	}
	p := printer{w: t.Out}
	words := transcript.NewWords(q.Words)
	for _, s := range all {
		if q.With != "" && !slices.ContainsFunc(s.Head.Members, func(n chat.Name) bool { return n.User() == chat.Name(q.With).User() }) {
			continue
		}
		_, err := transcript.Scan(s.File, func(no int, l transcript.Line) error {
			if l.Kind == transcript.Said && !l.At.Before(q.Since) && words.In(l.Text) {
				found++
				p.line(fmt.Sprintf("%s:%d: %s %s: %s", filepath.Base(s.File), no, l.At.Local().Format("2006-01-02 15:04"), speaker(s.Head, l), l.Text))
			}
			return p.err
		})
		if err != nil {
			return found, err
		}
		t.damaged(s)
	}
	return found, nil
}

// ExportFormats are the formats of Export.
var ExportFormats = []string{"text", "json", "markdown"}

// Export writes one transcript, or all of them, in one of the formats.
func (t Transcripts) Export(id, format string) error {
	paths, err := t.chosen(id)
	if err != nil {
		return err
	}
	if format == "json" {
		return t.exportJSON(paths)
	}
	out := t.Out
	if format == "markdown" {
		out = markdown{t.Out}
	}
	for i, path := range paths {
		if i > 0 {
			if _, err := io.WriteString(t.Out, "\n"); err != nil {
				return err
			}
		}
		if err := t.replay(out, path); err != nil {
			return err
		}
	}
	return nil
}

func (t Transcripts) chosen(id string) ([]string, error) {
	if id != "all" {
		path, err := transcript.Find(t.Dir, id)
		return []string{path}, err
	}
	all, err := transcript.List(t.Dir)
	var paths []string
	for _, s := range all {
		paths = append(paths, s.File)
	}
	return paths, err
}

// exportJSON writes one array, with the name and the lines of each transcript, and texts as they
// were sent.
func (t Transcripts) exportJSON(paths []string) error {
	p := printer{w: t.Out}
	p.raw("[")
	for i, path := range paths {
		name, _ := json.Marshal(filepath.Base(path))
		p.raw(strings.Repeat(",", min(i, 1)) + "\n{\"file\":" + string(name) + ",\"lines\":[")
		first := true
		s, err := transcript.Scan(path, func(_ int, l transcript.Line) error {
			if !first {
				p.raw(",")
			}
			first = false
			p.raw("\n" + strings.TrimSpace(string(l.Encode())))
			return p.err
		})
		if err != nil {
			return err
		}
		t.damaged(s)
		p.raw("]}")
	}
	p.raw("\n]\n")
	return p.err
}

// markdown writes the printer's lines as a list, and a line with a day as a heading.
type markdown struct{ w io.Writer }

// Write implements io.Writer; the printer writes whole lines.
func (m markdown) Write(p []byte) (int, error) {
	line := strings.TrimSuffix(string(p), "\n")
	day, isDay := strings.CutPrefix(line, "* ") // other lines begin with the time
	if isDay {
		line = "## " + day + "\n\n"
	} else {
		line = "- " + unmarked.Replace(line) + "\n"
	}
	if _, err := io.WriteString(m.w, line); err != nil {
		return 0, err
	}
	return len(p), nil
}

// unmarked escapes the characters that Markdown would interpret.
var unmarked = func() *strings.Replacer {
	var pairs []string
	for _, mark := range "\\`*_{}[]()<>#+-.!|~&=$" {
		pairs = append(pairs, string(mark), "\\"+string(mark))
	}
	return strings.NewReplacer(pairs...)
}()
