package download

import (
	"errors"
	"os"

	"natter/session/transfer/journal"
)

const (
	journalFile = "journal"
	// draftFile is a journal whose header is not synced yet.
	draftFile = "journal.new"
)

// record is the journal of a transfer.
type record struct {
	f      *os.File
	header journal.Header
	j      *journal.Journal // nil: it has to be opened
	synced int64            // up to where it is durable; 0: nobody has looked
}

// createRecord makes a journal that is there whole or not at all.
func createRecord(work *os.Root, h journal.Header) (*record, error) {
	f, _, err := openFile(work, draftFile)
	if err != nil {
		return nil, err
	}
	r := &record{f: f, header: h}
	if err = r.create(); err == nil {
		err = work.Rename(draftFile, journalFile)
	}
	if err == nil {
		err = syncDir(work, ".")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return r, nil
}

func (r *record) create() (err error) {
	r.j, err = journal.Create(r.f, r.header)
	if err != nil {
		r.j = nil
		return err
	}
	r.synced = r.j.Len()
	return nil
}

// open reads the records. A journal that is damaged at its beginning begins anew.
func (r *record) open(each func(journal.Record) error) error {
	j, err := journal.Open(r.f, r.header, each)
	if errors.Is(err, journal.ErrOther) {
		return r.create()
	}
	if err != nil {
		return err
	}
	r.j, r.synced = j, j.Len()
	return nil
}

// append appends records and syncs them. After an error what is not durable is taken back:
// nothing must stand behind records that may be lost.
func (r *record) append(records []journal.Record) error {
	if r.j == nil {
		if err := r.reopen(); err != nil {
			return err
		}
	}
	err := r.j.Append(records...)
	if err == nil {
		err = r.j.Sync()
	}
	if err != nil {
		r.j = nil
		return err
	}
	r.synced = r.j.Len()
	return nil
}

func (r *record) reopen() error {
	if r.synced > 0 {
		if err := r.f.Truncate(r.synced); err != nil {
			return err
		}
	}
	return r.open(func(journal.Record) error { return nil })
}
