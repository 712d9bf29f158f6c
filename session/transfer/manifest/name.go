package manifest

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// MaxSafe is how many bytes a name has at most that Safe or Numbered returns.
const MaxSafe = 200

// Safe makes the name of one file or directory, as somebody else chose it, one that does no
// harm on any system: a single name that is neither hidden nor an option, no device of
// Windows, that shows what it is and that every file system takes. In this order:
//
//   - what is not UTF-8, controls, separators of paths on any system, what Windows does not
//     take, and what cannot be seen or turns the direction of the text becomes _
//   - so do combining marks after the eighth on one character
//   - it is normalised (NFC) and cut to 200 bytes, its extension kept
//   - dots and blanks at the end, and a blank at the beginning, become _
//   - a dot, dash or tilde at the beginning, and names of devices, get a _ in front
//
// A name that is safe is not changed.
func Safe(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || strings.ContainsRune(`/\:*?"<>|`, r) || !visible(r) {
			return '_'
		}
		return r
	}, name)
	name = marks(norm.NFC.String(marks(name)))
	name = ends(cut(name, MaxSafe))
	if name == "" || strings.ContainsRune(".-~", rune(name[0])) || device(name) {
		name = "_" + ends(cut(name, MaxSafe-1))
	}
	return name
}

// visible reports whether a character shows where it is. Joiners are left out, too: a file's
// name needs none of the emoji that consist of several.
func visible(r rune) bool {
	switch r {
	case 0x034f, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x2800, 0x3164, 0xffa0: // blank, although letters, marks or symbols
		return false
	}
	return unicode.IsPrint(r) && !unicode.Is(unicode.Variation_Selector, r)
}

// marks replaces combining marks after the eighth on one character.
func marks(name string) string {
	n := 0
	return strings.Map(func(r rune) rune {
		if n++; !unicode.Is(unicode.M, r) {
			n = 0
		} else if n > 8 {
			n = 0
			return '_'
		}
		return r
	}, name)
}

// ends replaces what Windows drops from the end of a name, and a blank that begins it.
func ends(name string) string {
	kept := strings.TrimRight(name, ". ")
	name = kept + strings.Repeat("_", len(name)-len(kept))
	if strings.HasPrefix(name, " ") {
		name = "_" + name[1:]
	}
	return name
}

// device reports whether Windows takes a name for a device, whatever comes behind a dot.
func device(name string) bool {
	base, _, _ := strings.Cut(name, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$":
		return true
	}
	if port, ok := strings.CutPrefix(base, "COM"); ok || strings.HasPrefix(base, "LPT") {
		if !ok {
			port = base[3:]
		}
		return utf8.RuneCountInString(port) == 1 && strings.Contains("0123456789¹²³", port)
	}
	return false
}

// maxExtension is how many bytes an extension may have to be kept when a name is cut.
const maxExtension = 20

// split takes a name apart before its extension. Of an archive, .tar belongs to it.
func split(name string) (stem, ext string) {
	i := strings.LastIndexByte(name, '.')
	if i <= 0 || len(name)-i > maxExtension {
		return name, ""
	}
	if j := strings.LastIndexByte(name[:i], '.'); j > 0 && strings.EqualFold(name[j:i], ".tar") {
		i = j
	}
	return name[:i], name[i:]
}

// cut shortens a name to n bytes before its extension, between characters.
func cut(name string, n int) string {
	if len(name) <= n {
		return name
	}
	stem, ext := split(name)
	return cutStem(stem, n-len(ext)) + ext
}

func cutStem(stem string, n int) string {
	if len(stem) <= n {
		return stem
	}
	for n > 0 && (!utf8.RuneStart(stem[n]) || !norm.NFC.PropertiesString(stem[n:]).BoundaryBefore()) {
		n--
	}
	return stem[:n]
}

// maxNumber is how many bytes are kept for the number of a name.
const maxNumber = len(" (1000000)")

// Numbered returns the name that is tried when the name and those with lower numbers are
// taken: report (1).pdf. The name is one that Safe returned, k at most a million.
func Numbered(name string, k int) string {
	stem, ext := series(name)
	return fmt.Sprintf("%s (%d)%s", stem, k, ext)
}

// series is what all numbered forms of a name have in common.
func series(name string) (stem, ext string) {
	stem, ext = split(name)
	return cutStem(stem, MaxSafe-len(ext)-maxNumber), ext
}

// fold returns the same for all names that some file system takes for one.
func fold(name string) string {
	return norm.NFC.String(cases.Fold().String(norm.NFKC.String(name)))
}

// Namer gives the entries of one offer names that are safe and differ from each other on
// every file system, also where upper and lower case are one. Called in the order of the
// list, it gives the same names each time. The zero value has given none.
type Namer struct {
	taken map[nameKey]bool
	next  map[nameKey]int32 // by what numbered names have in common: the number to try next
}

// nameKey stands for a directory and a folded name in it.
type nameKey [16]byte

// Name returns the name for the entry with the offered name in the directory parent.
func (n *Namer) Name(parent int, offered string) string {
	if n.taken == nil {
		n.taken, n.next = map[nameKey]bool{}, map[nameKey]int32{}
	}
	name := Safe(offered)
	if n.take(parent, name) {
		return name
	}
	// All names that can have the same number count together, so that many of them take no
	// more tries than there are names.
	stem, ext := series(name)
	key := keyOf(parent, stem+"\x00"+ext)
	for {
		n.next[key]++
		if numbered := Numbered(name, int(n.next[key])); n.take(parent, numbered) {
			return numbered
		}
	}
}

// take reports whether a name was free; it is not now.
func (n *Namer) take(parent int, name string) bool {
	key := keyOf(parent, name)
	free := !n.taken[key]
	n.taken[key] = true
	return free
}

func keyOf(parent int, name string) nameKey {
	b := binary.BigEndian.AppendUint32(nil, uint32(parent+1))
	sum := sha256.Sum256(append(b, fold(name)...))
	return nameKey(sum[:])
}

// Shown returns a name as it was offered, fit to be printed: what cannot be seen, or does
// something to a terminal, is written as \x1b or U+202E.
func Shown(offered string) string {
	var b strings.Builder
	for offered != "" {
		r, size := utf8.DecodeRuneInString(offered)
		switch {
		case r == utf8.RuneError && size == 1, r < ' ', r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, offered[0])
		case r == '\\':
			b.WriteString(`\\`)
		case !visible(r):
			fmt.Fprintf(&b, "U+%04X", r)
		default:
			b.WriteString(offered[:size])
		}
		offered = offered[size:]
	}
	return b.String()
}
