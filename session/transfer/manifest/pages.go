package manifest

import (
	"encoding/binary"
	"errors"

	"lukechampine.com/blake3"

	"natter/session/transfer/tree"
)

// The wire form of a list is pages, each with
//
//	version   1 byte: 1
//	count     uvarint, at least 1
//	entries   count times:
//	    kind     1 byte
//	    parent   uvarint: 0 at the top, else the place of the directory in the list plus 1
//	    size     uvarint, of files only
//	    name     uvarint length and bytes
//
// and nothing behind. A page has at most MaxPage bytes.

const (
	// MaxPage is the size of a page in bytes.
	MaxPage = 32 << 10
	// MaxPages is how many pages a list has at most; in full ones it has fewer.
	MaxPages = 1024

	pageVersion = 1
	minEntry    = 4 // bytes of the shortest entry
)

// Summary is what an offer says of its list: a receiver has it before the pages, and takes
// no others.
type Summary struct {
	Entries uint32
	Pages   uint32
	Size    int64     // of the contents in bytes, or Unknown
	Hash    tree.Hash // the BLAKE3 hash of the pages, one behind the other
}

var (
	errSummary = errors.New("an offer without files, or of more than is possible")
	errPage    = errors.New("not a page of a manifest")
	errOther   = errors.New("the list of files is not the one that was offered")
)

// Check reports whether a list may have such a summary.
func (s Summary) Check() error {
	switch {
	case s.Entries == 0, s.Entries > MaxEntries, s.Pages == 0, s.Pages > MaxPages, s.Pages > s.Entries,
		s.Size < Unknown, s.Size > tree.MaxSize, s.Size == Unknown && s.Entries != 1:
		return errSummary
	}
	return nil
}

// Pages hands the pages of a list to emit, one after the other, and returns its summary. Emit
// may keep a page.
func (l *List) Pages(emit func(page []byte) error) (Summary, error) {
	s := Summary{Entries: uint32(l.Len()), Size: l.Size()}
	hash := blake3.New(tree.HashSize, nil)
	for i := 0; i < l.Len(); {
		var page []byte
		page, i = l.page(i)
		hash.Write(page)
		s.Pages++
		if err := emit(page); err != nil {
			return Summary{}, err
		}
	}
	hash.Sum(s.Hash[:0])
	return s, s.Check()
}

// page returns the page that begins with entry i, and which entry is the next.
func (l *List) page(i int) ([]byte, int) {
	var body, one []byte
	from := i
	for ; i < l.Len(); i++ {
		one = appendEntry(one[:0], l.At(i))
		if len(body)+len(one) > MaxPage-1-binary.MaxVarintLen32 {
			break
		}
		body = append(body, one...)
	}
	page := binary.AppendUvarint([]byte{pageVersion}, uint64(i-from))
	return append(page, body...), i
}

func appendEntry(b []byte, e Entry) []byte {
	b = binary.AppendUvarint(append(b, byte(e.Kind)), uint64(e.Parent+1))
	if e.Kind == File {
		b = binary.AppendUvarint(b, uint64(e.Size))
	}
	b = binary.AppendUvarint(b, uint64(len(e.Name)))
	return append(b, e.Name...)
}

// Reader takes the pages of an offer, whose list is as its summary says or is refused.
type Reader struct {
	list    List
	summary Summary
	pages   uint32
	hash    *blake3.Hasher
}

// NewReader returns a reader for an offer.
func NewReader(s Summary) (*Reader, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	return &Reader{summary: s, hash: blake3.New(tree.HashSize, nil)}, nil
}

// Next returns the number of the page that is missing next. Pages count from 0.
func (r *Reader) Next() uint32 { return r.pages }

// Done reports whether all pages were taken, and so everything is as the summary says.
func (r *Reader) Done() bool { return r.pages == r.summary.Pages }

// List returns the entries so far. Their names are as they were offered: see Namer, Shown.
func (r *Reader) List() *List { return &r.list }

// Page takes the next page. After an error the offer is to be refused.
func (r *Reader) Page(page []byte) error {
	if r.Done() {
		return errOther
	}
	if err := r.read(page); err != nil {
		return err
	}
	r.hash.Write(page)
	r.pages++
	if !r.Done() {
		return nil
	}
	var sum tree.Hash
	r.hash.Sum(sum[:0])
	if sum != r.summary.Hash || uint32(r.list.Len()) != r.summary.Entries || r.list.Size() != r.summary.Size {
		return errOther
	}
	return nil
}

func (r *Reader) read(page []byte) error {
	if len(page) == 0 || len(page) > MaxPage || page[0] != pageVersion {
		return errPage
	}
	p := parser{rest: page[1:]}
	count := p.number()
	if count == 0 || count > uint64(len(p.rest)/minEntry) || count > uint64(r.summary.Entries)-uint64(r.list.Len()) {
		return errPage
	}
	for range count {
		e := p.entry()
		if p.bad {
			return errPage
		}
		if err := r.list.Add(e); err != nil {
			return err
		}
	}
	if len(p.rest) > 0 {
		return errPage
	}
	return nil
}

// parser reads what a page consists of.
type parser struct {
	rest []byte
	bad  bool
}

func (p *parser) number() uint64 {
	n, size := binary.Uvarint(p.rest)
	if size <= 0 {
		p.bad, p.rest = true, nil
		return 0
	}
	p.rest = p.rest[size:]
	return n
}

func (p *parser) take(n uint64) []byte {
	if n > uint64(len(p.rest)) {
		p.bad, p.rest = true, nil
		return nil
	}
	b := p.rest[:n]
	p.rest = p.rest[n:]
	return b
}

func (p *parser) entry() Entry {
	var e Entry
	if kind := p.take(1); !p.bad {
		e.Kind = Kind(kind[0])
	}
	parent := p.number()
	switch e.Kind {
	case File:
		size := p.number()
		p.bad = p.bad || size > tree.MaxSize
		e.Size = int64(size)
	case Stream:
		e.Size = Unknown
	}
	name := p.take(p.number())
	p.bad = p.bad || parent > MaxEntries || len(name) > MaxName
	if !p.bad {
		e.Parent, e.Name = int(parent)-1, string(name)
	}
	return e
}
