package cmd_test

import (
	"testing"

	"natter/internal/chattest"
)

// TestSources makes the sources of the programs inputs of these tests: they are built by a
// command, of which go test's cache knows nothing.
func TestSources(t *testing.T) { chattest.Sources(t, "..") }
