package download

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"natter/internal/private"
	"natter/session/transfer"
	"natter/session/transfer/journal"
	"natter/session/transfer/manifest"
	"natter/session/transfer/tree"
)

// Transfer is the disk of one transfer. It is used by one goroutine at a time.
type Transfer struct {
	root, work *os.Root
	offer      Offer
	lock       *os.File // the offer's file
	pages      *os.File
	list       *manifest.Reader
	unkept     error   // of a page
	journal    *record // nil: the user has not accepted
	files      *files
	written    int64 // bytes since the free space was looked at
	placed     []string
	free       func(*os.Root) (int64, error)
}

// ErrBusy is what errors are about a transfer on which another program works.
var ErrBusy = errors.New("another program works on this transfer")

// Begin makes the working directory of an offer in the download directory root; errors.Is
// finds fs.ErrExist if there is one. KeepPage has the list come, Accept has it begin.
func Begin(root *os.Root, o Offer) (*Transfer, error) {
	t, err := begin(root, o)
	return t, what(err, "begin a transfer", root)
}

func begin(root *os.Root, o Offer) (*Transfer, error) {
	if err := makeWork(root, o.ID); err != nil {
		return nil, err
	}
	t, err := open(root, o.ID, func(f *os.File) (Offer, error) { return o, o.write(f) })
	if err != nil {
		return nil, err
	}
	if err := errors.Join(syncDir(t.work, "."), syncDir(root, ".")); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// makeWork makes a working directory. What an earlier attempt has left that has come to
// nothing is removed.
func makeWork(root *os.Root, id transfer.ID) error {
	err := root.Mkdir(workName(id), 0o700)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	t, openErr := Open(root, id)
	if openErr == nil {
		t.Close()
		return err
	}
	if !errors.Is(openErr, errOffer) {
		return openErr
	}
	if err := root.RemoveAll(workName(id)); err != nil {
		return err
	}
	return root.Mkdir(workName(id), 0o700)
}

// Open opens a transfer that was begun in an earlier run; errors.Is finds fs.ErrNotExist if
// there is none. If it is Accepted, Replay comes next.
func Open(root *os.Root, id transfer.ID) (*Transfer, error) {
	t, err := open(root, id, func(f *os.File) (Offer, error) { return readOffer(id, f) })
	return t, what(err, "go on with a transfer", root)
}

func open(root *os.Root, id transfer.ID, offer func(*os.File) (Offer, error)) (*Transfer, error) {
	work, err := openWork(root, id)
	if err != nil {
		return nil, err
	}
	t := &Transfer{root: root, work: work, free: freeIn}
	if err := t.open(offer); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

func (t *Transfer) open(offer func(*os.File) (Offer, error)) (err error) {
	if t.lock, _, err = openFile(t.work, offerFile); err != nil {
		return err
	}
	if err := private.LockFile(t.lock); err != nil {
		if errors.Is(err, private.ErrLocked) {
			err = private.Errorf(ErrBusy, "Another program works on this transfer in %s. End it, or wait until it is done.", t.root.Name())
		}
		return err
	}
	if t.offer, err = offer(t.lock); err != nil {
		return err
	}
	if err := t.openPages(); err != nil {
		return err
	}
	f, err := openThere(t.work, journalFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !t.list.Done():
		f.Close()
		return errOffer
	}
	t.begun(&record{f: f, header: t.header()})
	return nil
}

func (t *Transfer) openPages() (err error) {
	if t.list, err = manifest.NewReader(t.offer.Summary); err != nil {
		return errOffer
	}
	if t.pages, _, err = openFile(t.work, pagesFile); err != nil {
		return err
	}
	end, err := readPages(t.pages, t.list)
	if err != nil {
		return err
	}
	return t.pages.Truncate(end)
}

func (t *Transfer) header() journal.Header {
	o := &t.offer
	return journal.Header{Kind: journal.Received, Key: journal.Key(o.ID, string(o.From), o.Summary.Hash), Size: o.Summary.Size}
}

func (t *Transfer) begun(r *record) {
	t.journal = r
	t.files = newFiles(t.work, t.list.List())
}

// Offer returns what is offered.
func (t *Transfer) Offer() Offer { return t.offer }

// Accepted reports whether the user has accepted, in this run or an earlier one.
func (t *Transfer) Accepted() bool { return t.journal != nil }

// KeepPage keeps the next page of the list. One that is there already does no harm.
func (t *Transfer) KeepPage(number uint64, page []byte) error {
	if t.unkept != nil || number < uint64(t.list.Next()) {
		return t.unkept
	}
	if number > uint64(t.list.Next()) {
		return fmt.Errorf("page %d comes before page %d", number, t.list.Next())
	}
	if err := t.list.Page(page); err != nil {
		return err
	}
	t.unkept = what(appendPage(t.pages, page), "keep the list of files", t.root)
	return t.unkept
}

// Accept begins an offer whose list is complete, if there is room for it. Once it returns
// without an error, the transfer goes on after a crash.
func (t *Transfer) Accept() error {
	if t.unkept != nil || !t.list.Done() {
		return cmp.Or(t.unkept, errors.New("the list of files is not complete"))
	}
	if err := t.room(max(0, t.offer.Summary.Size)); err != nil {
		return err
	}
	return what(t.accept(), "begin a transfer", t.root)
}

func (t *Transfer) accept() error {
	if err := t.pages.Sync(); err != nil {
		return err
	}
	if err := t.work.Mkdir(filesDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	r, err := createRecord(t.work, t.header())
	if err != nil {
		return err
	}
	t.begun(r)
	return nil
}

// Replay hands the records of the journal to each. If the journal is lost everything has to
// come again.
func (t *Transfer) Replay(each func(journal.Record) error) error {
	return what(t.journal.open(each), "read the journal of a transfer", t.root)
}

// Do carries out an effect of a Receiver on the disk and returns what the Receiver is told of
// it. ok is false if the effect is not one of the disk, or if nothing is told. The error is
// what stands behind a failure, for the user.
func (t *Transfer) Do(e transfer.Effect) (in transfer.Input, ok bool, err error) {
	switch e.Kind {
	case transfer.KeepPage:
		return in, false, t.KeepPage(e.Message.Index, e.Message.Data)
	case transfer.WritePiece:
		in, err = t.told(transfer.Written, transfer.WriteFailed, t.write(e.Index, e.Data))
		in.Index = e.Index
	case transfer.SyncData:
		in, err = t.told(transfer.Synced, transfer.SyncFailed, t.files.sync())
	case transfer.AppendRecords:
		in, err = t.told(transfer.Recorded, transfer.RecordFailed, t.journal.append(e.Records))
	case transfer.Place:
		in, err = t.told(transfer.Placed, transfer.PlaceFailed, t.place())
	default:
		return in, false, nil
	}
	return in, true, err
}

// told is what the Receiver is told of something that was done or has failed.
func (t *Transfer) told(done, failed transfer.InputKind, err error) (transfer.Input, error) {
	if err == nil {
		return transfer.Input{Kind: done}, nil
	}
	return transfer.Input{Kind: failed, Reason: Reason(err)}, what(err, "write", t.root)
}

// lookEvery is how much is written before the free space is looked at again.
const lookEvery = 4 << 20

func (t *Transfer) write(i uint64, data []byte) error {
	if t.written == 0 {
		if err := t.room(int64(len(data))); err != nil {
			return err
		}
	}
	if err := t.files.write(int64(i)*tree.PieceSize, data); err != nil {
		return err
	}
	if t.written += int64(len(data)); t.written >= lookEvery {
		t.written = 0
	}
	return nil
}

// Placed returns the names in the download directory of what is at the top of the list, once
// it has them.
func (t *Transfer) Placed() []string { return t.placed }

// Close closes the files. The transfer can be opened again.
func (t *Transfer) Close() error {
	var err error
	if t.files != nil {
		err = t.files.close()
	}
	if t.journal != nil {
		err = errors.Join(err, t.journal.f.Close())
	}
	for _, f := range []*os.File{t.pages, t.lock} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return errors.Join(err, t.work.Close())
}

// End closes the files and removes the working directory with what is still in it: of a
// transfer that is over, however it ended.
func (t *Transfer) End() error {
	id := t.offer.ID
	closed := t.Close()
	return errors.Join(closed, what(t.root.RemoveAll(workName(id)), "remove what is left of a transfer", t.root))
}
