package download

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"natter/chat"
	"natter/internal/private"
	"natter/session/transfer"
	"natter/session/transfer/manifest"
	"natter/session/transfer/tree"
)

// Offer is what is offered, and by whom.
type Offer struct {
	ID      transfer.ID
	From    chat.User
	Summary manifest.Summary
}

const (
	offerFile = "offer"
	pagesFile = "pages"
	// maxOffer is how many bytes of an offer's file are read.
	maxOffer = 4 << 10
)

// stored is an offer as it is in its file.
type stored struct {
	Version int
	From    chat.User
	Entries uint32
	Pages   uint32
	Size    int64
	Hash    []byte
}

const offerVersion = 1

// write writes an offer to its file.
func (o Offer) write(f *os.File) error {
	b, err := json.Marshal(stored{offerVersion, o.From, o.Summary.Entries, o.Summary.Pages, o.Summary.Size, o.Summary.Hash[:]})
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		return err
	}
	return f.Sync()
}

var errOffer = errors.New("the file of the offer is damaged")

// readOffer reads the offer of a transfer from its file.
func readOffer(id transfer.ID, f io.ReaderAt) (Offer, error) {
	var s stored
	b, err := io.ReadAll(io.NewSectionReader(f, 0, maxOffer))
	if err != nil {
		return Offer{}, err
	}
	if json.Unmarshal(b, &s) != nil || s.Version != offerVersion || len(s.Hash) != tree.HashSize {
		return Offer{}, errOffer
	}
	o := Offer{id, s.From, manifest.Summary{Entries: s.Entries, Pages: s.Pages, Size: s.Size, Hash: tree.Hash(s.Hash)}}
	if o.Summary.Check() != nil || o.From == "" {
		return Offer{}, errOffer
	}
	return o, nil
}

// appendPage appends a page of the list to the file of pages, each with its length in front.
func appendPage(f *os.File, page []byte) error {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(len(page)))
	_, err = f.WriteAt(append(b, page...), end)
	return err
}

// readPages hands the pages of a file to a reader of lists, as many whole ones as there are,
// and returns where they end.
func readPages(f io.ReaderAt, r *manifest.Reader) (end int64, err error) {
	in := io.NewSectionReader(f, 0, manifest.MaxPages*(manifest.MaxPage+4))
	for !r.Done() {
		var size [4]byte
		if _, err := io.ReadFull(in, size[:]); err != nil {
			return end, partial(err)
		}
		n := binary.BigEndian.Uint32(size[:])
		if n > manifest.MaxPage {
			return end, errOffer
		}
		page := make([]byte, n)
		if _, err := io.ReadFull(in, page); err != nil {
			return end, partial(err)
		}
		if err := r.Page(page); err != nil {
			return end, fmt.Errorf("%w: %w", errOffer, err)
		}
		end += int64(len(size)) + int64(n)
	}
	return end, nil
}

// partial forgives a file for ending.
func partial(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil
	}
	return err
}

// what makes an error of the system a sentence about what was being done.
func what(err error, doing string, root *os.Root) error {
	if err == nil || errors.As(err, new(*chat.Error)) {
		return err
	}
	kind := errWrite
	if Reason(err) == transfer.Full {
		kind = ErrFull
	}
	return private.Errorf(errors.Join(kind, err), "Cannot %s in %s: %v.", doing, root.Name(), private.Cause(err))
}

var errWrite = errors.New("cannot be written")
