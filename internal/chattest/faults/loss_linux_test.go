package faults_test

import (
	"fmt"
	"testing"
	"time"
)

// What a relay loses does not arrive, until the line is good and the system sends it again.
func TestLose(t *testing.T) {
	r, c, in := line(t)
	if err := r.Lose(1); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(c, "lost")
	_ = c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if s, err := in.ReadString('\n'); err == nil {
		t.Errorf("%q arrives", s)
	}
	if err := r.Lose(0); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Time{})
	if s, err := in.ReadString('\n'); err != nil || s != "lost\n" {
		t.Errorf("%q, %v", s, err)
	}
}
