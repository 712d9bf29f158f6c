// Package manifest is what an offer consists of: files and directories with their names and
// sizes. It has the list, its wire form in pages, and the rules by which a name that somebody
// else chose becomes the name of a file here.
//
// An entry names its directory by that one's place in the list, and itself by a single name.
// So there are no paths on the wire, and none that could lead out of the download directory.
// A directory comes before what is in it.
//
// The contents of all files, in the order of the list, are one content to the transfer: see
// List.Parts. Only an offer of a single stream, as of standard input, does without a size.
//
// The package decides and names; it opens no file. A receiver makes every name pass Namer, and
// opens it below its download directory only (os.Root), for names alone do not stop symbolic links.
package manifest

import (
	"errors"
	"fmt"
	"sort"

	"natter/session/transfer/tree"
)

// Limits of an offer.
const (
	MaxEntries = 200_000
	MaxName    = 255      // bytes of a name as it is offered
	MaxNames   = 16 << 20 // bytes of all names together
	MaxDepth   = 64       // directories within directories
	MaxPath    = 1000     // bytes of a path: the names, with a slash between them
)

// Kind is what an entry is.
type Kind uint8

// The kinds of entries. Nothing else can be offered: no links, no devices.
const (
	File      Kind = 1
	Directory Kind = 2
	Stream    Kind = 3 // of unknown size; the only entry of its offer
)

// Top is the parent of an entry that is in no directory of the offer.
const Top = -1

// Unknown is the size of a stream.
const Unknown = -1

// Entry is a file or directory.
type Entry struct {
	Parent int // the place of its directory in the list, or Top
	Kind   Kind
	Size   int64 // in bytes; of a directory 0, of a stream Unknown
	Name   string
}

// List is the entries of an offer, kept closely: 20 bytes each beside the name. The zero value
// has none.
type List struct {
	names   []byte
	nameEnd []uint32
	parent  []int32
	ends    []int64 // of the contents of each entry and all before it
	kinds   []Kind
	dirs    map[int32]dir
}

type dir struct{ depth, path int }

// Errors of lists that break a limit. Receivers need no more than one sentence for them: a
// sender that keeps to the rules never sends such a list.
var (
	errMany   = fmt.Errorf("more than %d entries", MaxEntries)
	errName   = fmt.Errorf("a name is empty or longer than %d bytes", MaxName)
	errNames  = fmt.Errorf("the names have more than %d MiB together", MaxNames>>20)
	errParent = errors.New("an entry is in a directory that does not come before it")
	errDeep   = fmt.Errorf("directories are more than %d deep, or a path is longer than %d bytes", MaxDepth, MaxPath)
	errKind   = errors.New("an entry is neither a file nor a directory nor a single stream")
	errSize   = errors.New("a size is impossible")
)

// Add adds an entry, or says which limit it breaks; then the list is as before.
func (l *List) Add(e Entry) error {
	above, err := l.check(e)
	if err != nil {
		return err
	}
	if e.Kind == Directory {
		if l.dirs == nil {
			l.dirs = map[int32]dir{}
		}
		l.dirs[int32(l.Len())] = dir{above.depth + 1, above.path + len(e.Name) + 1}
	}
	end := max(0, e.Size)
	if n := l.Len(); n > 0 {
		end += l.ends[n-1]
	}
	l.names = append(l.names, e.Name...)
	l.nameEnd = append(l.nameEnd, uint32(len(l.names)))
	l.parent = append(l.parent, int32(e.Parent))
	l.kinds = append(l.kinds, e.Kind)
	l.ends = append(l.ends, end)
	return nil
}

// check returns the directory that an entry is in.
func (l *List) check(e Entry) (above dir, err error) {
	n := l.Len()
	if e.Parent != Top {
		var ok bool
		if above, ok = l.dirs[int32(e.Parent)]; !ok || e.Parent < 0 || e.Parent >= n {
			return above, errParent
		}
	}
	sized := e.Size == 0
	switch e.Kind {
	case File:
		sized = e.Size >= 0 && e.Size <= tree.MaxSize
	case Directory:
	case Stream:
		sized = e.Size == Unknown
	default:
		return above, errKind
	}
	switch {
	case n >= MaxEntries:
		return above, errMany
	case n > 0 && (e.Kind == Stream || l.kinds[0] == Stream):
		return above, errKind
	case len(e.Name) == 0 || len(e.Name) > MaxName:
		return above, errName
	case len(l.names)+len(e.Name) > MaxNames:
		return above, errNames
	case above.depth >= MaxDepth, above.path+len(e.Name) > MaxPath:
		return above, errDeep
	case !sized, n > 0 && e.Size > tree.MaxSize-l.ends[n-1]:
		return above, errSize
	}
	return above, nil
}

// Len returns the number of entries.
func (l *List) Len() int { return len(l.kinds) }

// Size returns how many bytes the contents have together, or Unknown.
func (l *List) Size() int64 {
	switch n := l.Len(); {
	case n == 0:
		return 0
	case l.kinds[0] == Stream:
		return Unknown
	default:
		return l.ends[n-1]
	}
}

// start is where something of entry i begins whose ends are given.
func start[T int64 | uint32](ends []T, i int) T {
	if i == 0 {
		return 0
	}
	return ends[i-1]
}

// At returns entry i.
func (l *List) At(i int) Entry {
	e := Entry{Parent: int(l.parent[i]), Kind: l.kinds[i], Name: string(l.names[start(l.nameEnd, i):l.nameEnd[i]])}
	if e.Size = l.ends[i] - start(l.ends, i); e.Kind == Stream {
		e.Size = Unknown
	}
	return e
}

// Path returns the names that lead to entry i, the topmost first.
func (l *List) Path(i int) []string {
	var names []string
	for ; i != Top; i = int(l.parent[i]) {
		names = append(names, l.At(i).Name)
	}
	for a, b := 0, len(names)-1; a < b; a, b = a+1, b-1 {
		names[a], names[b] = names[b], names[a]
	}
	return names
}

// Part is a piece of the content that lies in one file.
type Part struct {
	Entry  int
	Offset int64 // in the file
	Len    int
}

// Parts appends where n bytes of the content at offset are, in order. What is behind the
// end of the list is in no part. All of a stream is in its one entry.
func (l *List) Parts(offset int64, n int, out []Part) []Part {
	if l.Size() == Unknown {
		return append(out, Part{0, offset, n})
	}
	i := sort.Search(l.Len(), func(i int) bool { return l.ends[i] > offset })
	for ; i < l.Len() && n > 0; i++ {
		in := int(min(int64(n), l.ends[i]-offset))
		if in == 0 {
			continue
		}
		out = append(out, Part{i, offset - start(l.ends, i), in})
		offset, n = offset+int64(in), n-in
	}
	return out
}
