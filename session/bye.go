package session

func (t *Talk) pokeIfAllBye() {
	if !t.bye {
		return
	}
	for _, p := range t.peers {
		if !p.bye {
			return
		}
	}
	t.poke()
}

// allBye tells whether everybody has said bye.
func (t *Talk) allBye() bool {
	for _, p := range t.peers {
		if !p.bye {
			return false
		}
	}
	return t.bye && len(t.peers) > 0
}
