package chattest_test

import (
	"math/rand/v2"
	"testing"
)

// groupDraws are situations of groups in which everybody does something at once.
var groupDraws = map[string]func(*testing.T, *rand.Rand, []*player) []move{
	"groups crossing": func(_ *testing.T, _ *rand.Rand, p []*player) []move {
		return []move{p[0].invites(p[1], p[2]), p[1].invites(p[0], p[2]), p[2].invites(p[1], p[0])}
	},
	"three invite one to groups": func(_ *testing.T, _ *rand.Rand, p []*player) []move {
		return []move{p[0].invites(p[3], p[1]), p[1].invites(p[3], p[2]), p[2].invites(p[3], p[0])}
	},
	"accepts and withdraw of a group": func(t *testing.T, _ *rand.Rand, p []*player) []move {
		id := p[0].asks(t, p[1:]...)
		return []move{p[1].accepts(id), p[2].accepts(id), p[3].accepts(id), p[0].withdraws(id)}
	},
	"accepts and a denial in a group": func(t *testing.T, _ *rand.Rand, p []*player) []move {
		id := p[0].asks(t, p[1:]...)
		return []move{p[1].accepts(id), p[2].accepts(id), p[3].accepts(id), p[3].denies(id)}
	},
	"all of a group quit": func(t *testing.T, _ *rand.Rand, p []*player) []move {
		id := p[0].chats(t, p[1:]...)
		return []move{p[0].quits(id), p[1].quits(id), p[2].quits(id), p[3].quits(id)}
	},
	"all leave a group": func(t *testing.T, _ *rand.Rand, p []*player) []move {
		id := p[0].chats(t, p[1:]...)
		return []move{p[0].leaves(id), p[1].leaves(id), p[2].leaves(id), p[3].leaves(id)}
	},
	"quit and leave in a group": func(t *testing.T, _ *rand.Rand, p []*player) []move {
		id := p[0].chats(t, p[1:]...)
		return []move{p[0].quits(id), p[1].leaves(id), p[2].leaves(id), p[3].invites(p[1])}
	},
}
