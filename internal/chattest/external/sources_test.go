package external_test

import (
	"testing"

	"natter/internal/chattest"
)

// TestSources makes the sources of chatcoord inputs of these tests: it is built by a
// command, of which go test's cache knows nothing.
func TestSources(t *testing.T) { chattest.Sources(t, "../../..") }
