package download

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"natter/session/transfer"
	"natter/session/transfer/journal"
	"natter/session/transfer/tree"
)

// TestVolumeFull: a disk that is full is Full, and the transfer goes on when there is room.
func TestVolumeFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can mount a volume")
	}
	dir := t.TempDir()
	if err := unix.Mount("natter-test", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("no volume here: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	root := openDir(t, dir)
	s := newSample(t, item{"a", random(2<<20, 1)})
	d := s.begun(t, root)
	sentence(t, d.Accept(), ErrFull)
	d.free = func(*os.Root) (int64, error) { return 1 << 40, nil }
	if err := d.Accept(); err != nil {
		t.Fatal(err)
	}
	n := uint64(0)
	for ; n < 16; n++ {
		in, _, err := d.Do(transfer.Effect{Kind: transfer.WritePiece, Index: n, Data: s.piece(n)})
		if err != nil {
			sentence(t, err, ErrFull)
			if in.Kind != transfer.WriteFailed || in.Reason != transfer.Full {
				t.Errorf("%+v", in)
			}
			break
		}
	}
	if n == 0 || n == 16 {
		t.Fatalf("%d pieces were written", n)
	}
	many := journal.Record{Kind: journal.Pieces, Hashes: make([]tree.Hash, journal.MaxHashes)}
	in, _, err := d.Do(transfer.Effect{Kind: transfer.AppendRecords, Records: []journal.Record{many, many, many, many}})
	if sentence(t, err, ErrFull); in.Kind != transfer.RecordFailed || in.Reason != transfer.Full {
		t.Errorf("%+v", in)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=8m"); err != nil {
		t.Fatal(err)
	}
	s.receive(t, d, s.all()...)
	do(t, d, transfer.Effect{Kind: transfer.Place}, transfer.Placed)
	if err := d.End(); err != nil {
		t.Fatal(err)
	}
	same(t, readTree(t, dir), map[string]string{"a": string(s.content)})
}
