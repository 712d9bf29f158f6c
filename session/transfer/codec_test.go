package transfer

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"

	"natter/session/transfer/manifest"
	"natter/session/transfer/ranges"
	"natter/session/transfer/tree"
)

var (
	h1 = tree.Hash{1, 31: 2}
	h2 = tree.Hash{3, 31: 4}
	id = ID{15: 7}
)

var messages = []struct {
	m    Message
	wire string // behind the head
}{
	{Message{Kind: Offer, Summary: manifest.Summary{Entries: 1, Pages: 1, Size: -1, Hash: h1}, Data: []byte{1, 1}}, "00000001" + "00000001" + "ffffffffffffffff" + h1.String() + "0101"},
	{Message{Kind: Page, Index: 3, Data: []byte{9}}, "0000000000000003" + "09"},
	{Message{Kind: Hashes, Index: 5, Size: 131072, Hashes: []tree.Hash{h1, h2}}, "0000000000000005" + "0000000000020000" + "0002" + h1.String() + h2.String()},
	{Message{Kind: Hashes, Size: -1}, "0000000000000000" + "ffffffffffffffff" + "0000"},
	{Message{Kind: Piece, Index: 258, Data: []byte("abc")}, "0000000000000102" + "616263"},
	{Message{Kind: Complete, Size: 3, Root: h2}, "0000000000000003" + h2.String()},
	{Message{Kind: State, Seq: 17, Index: 3, Shared: true}, "0000000000000011" + "0000000000000003" + "01"},
	{Message{Kind: Noted}, ""},
	{Message{Kind: WantPage, Index: 2}, "0000000000000002"},
	{Message{Kind: Want, Seq: 2, Shared: true, Reason: Full, Durable: 4, Have: 5, Ranges: []ranges.Range{{First: 4, End: 6}, {First: 9, End: 10}}}, "0000000000000002" + "01" + "08" + "0000000000000004" + "0000000000000005" + "0002" + "000000000000000400000002" + "000000000000000900000001"},
	{Message{Kind: Done, Root: h1}, h1.String()},
	{Message{Kind: Stop, Reason: Denied}, "01"},
	{Message{Kind: Bye}, ""},
}

// TestMessages: the wire form is a promise to other clients.
func TestMessages(t *testing.T) {
	for _, c := range messages {
		c.m.ID, c.m.Incarnation = id, 0x0102
		head := "01" + hex.EncodeToString([]byte{byte(c.m.Kind)}) + strings.Repeat("00", 15) + "07" + "0000000000000102"
		b := c.m.Append(nil)
		if got := hex.EncodeToString(b); got != head+c.wire {
			t.Errorf("%+v:\n%s, want\n%s", c.m, got, head+c.wire)
		}
		m, err := Parse(b)
		if err != nil || !reflect.DeepEqual(m, c.m) {
			t.Errorf("%v:\n%+v, want\n%+v", err, m, c.m)
		}
		for n := range b {
			if _, err := Parse(b[:n]); err == nil && !(c.m.Data != nil && n > len(b)-len(c.m.Data)) {
				t.Errorf("%+v: the first %d bytes are a message", c.m, n)
			}
		}
		if _, err := Parse(append(bytes.Clone(b), 0)); err == nil && c.m.Data == nil {
			t.Errorf("%+v with a byte behind it is a message", c.m)
		}
	}
}

func TestMessageLimits(t *testing.T) {
	for name, m := range map[string]Message{
		"too large a piece":      {Kind: Piece, Data: make([]byte, tree.PieceSize+1)},
		"an empty piece":         {Kind: Piece},
		"a piece too far":        {Kind: Piece, Index: tree.MaxPieces, Data: []byte{1}},
		"too large a page":       {Kind: Page, Data: make([]byte, manifest.MaxPage+1)},
		"a page too far":         {Kind: WantPage, Index: manifest.MaxPages},
		"too many hashes":        {Kind: Hashes, Hashes: make([]tree.Hash, maxHashes+1)},
		"hashes too far":         {Kind: Hashes, Index: tree.MaxPieces, Hashes: make([]tree.Hash, 1)},
		"too many ranges":        {Kind: Want, Ranges: make([]ranges.Range, maxRanges+1)},
		"an empty range":         {Kind: Want, Ranges: make([]ranges.Range, 1)},
		"a range too far":        {Kind: Want, Ranges: []ranges.Range{{First: tree.MaxPieces - 1, End: tree.MaxPieces + 1}}},
		"a size below":           {Kind: Complete, Size: -1},
		"a size above":           {Kind: Complete, Size: tree.MaxSize + 1},
		"no reason":              {Kind: Stop},
		"a reason that is none":  {Kind: Stop, Reason: lastReason + 1},
		"an impossible offer":    {Kind: Offer, Data: []byte{1}},
		"a kind that is unknown": {Kind: 7},
	} {
		if _, err := Parse(m.Append(nil)); err == nil {
			t.Errorf("%s is a message", name)
		}
	}
	full := Message{Kind: Piece, Data: make([]byte, tree.PieceSize)}
	if b := full.Append(nil); len(b) != MaxMessage {
		t.Errorf("the longest message has %d bytes", len(b))
	} else if b[0]++; true {
		if _, err := Parse(b); err == nil {
			t.Error("another version is a message")
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range messages {
		f.Add(c.m.Append(nil))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse(data)
		if err != nil {
			return
		}
		if again := m.Append(nil); !bytes.Equal(again, data) {
			t.Fatalf("%x becomes %x", data, again)
		}
	})
}
