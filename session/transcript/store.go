package transcript

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"natter/chat"
	"natter/internal/private"
)

// Summary is what a list says of a transcript.
type Summary struct {
	File     string // its path
	Head     Line   // the first line; zero if that is damaged
	Messages int
	Last     time.Time // of the last line
	Damaged  []int     // the numbers of lines that cannot be read, the first hundred
	Bad      int       // how many they are
}

// ID is what people call a transcript by: its file's name without the suffix.
func (s Summary) ID() string { return strings.TrimSuffix(filepath.Base(s.File), suffix) }

// Scan reads a transcript and hands each line on, with its number. Lines that cannot be
// read are counted. Its error is about the file, or what each returned.
func Scan(path string, each func(no int, l Line) error) (Summary, error) {
	s := Summary{File: path}
	f, err := os.Open(path)
	if err != nil {
		return s, unreadable(path, err)
	}
	defer f.Close()
	r := NewReader(f)
	for r.Next() {
		if r.Line.head() && s.Head.Kind == "" {
			s.Head = r.Line
		}
		if r.Line.Kind == Said {
			s.Messages++
		}
		s.Last = r.Line.At
		if err := each(r.No, r.Line); err != nil {
			return s, err
		}
	}
	s.Damaged, s.Bad = r.Damaged, r.Bad
	if r.Err != nil {
		return s, unreadable(path, r.Err)
	}
	return s, nil
}

func unreadable(path string, err error) error {
	return chat.Errorf(chat.Arguments, "Cannot read %s: %v.", path, private.Cause(err))
}

// List returns the transcripts of a directory, the oldest first.
func List(dir string) ([]Summary, error) {
	files, err := files(dir)
	if err != nil {
		return nil, err
	}
	var all []Summary
	for _, f := range files {
		s, err := Scan(f, func(int, Line) error { return nil })
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	slices.SortStableFunc(all, func(a, b Summary) int { return a.Head.At.Compare(b.Head.At) })
	return all, nil
}

// files are the paths of the transcripts of a directory.
func files(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, unreadable(dir, err)
	}
	var paths []string
	for _, e := range entries {
		if !e.IsDir() && strings.HasSuffix(e.Name(), suffix) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, nil
}

// Find finds one transcript: by its path, the name of its file, or the beginning of that
// or of the session's id.
func Find(dir, id string) (string, error) {
	if info, err := os.Stat(id); err == nil && info.Mode().IsRegular() {
		return id, nil
	}
	all, err := List(dir)
	if err != nil {
		return "", err
	}
	var found []string
	for _, s := range all {
		switch name := s.ID(); {
		case name == strings.TrimSuffix(id, suffix):
			return s.File, nil
		case id != "" && (strings.HasPrefix(name, id) || strings.HasPrefix(s.Head.Session, id)):
			found = append(found, s.File)
		}
	}
	switch len(found) {
	case 0:
		return "", chat.Errorf(chat.Arguments, "There is no transcript %q in %s; chatcli transcript list shows all.", id, dir)
	case 1:
		return found[0], nil
	}
	return "", chat.Errorf(chat.Arguments, "There are %d transcripts %q; write more of the name.", len(found), id)
}
