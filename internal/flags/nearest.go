package flags

// Nearest finds the word that was probably meant: of the closest ones, at most two typing
// errors away (one for short words), the one that begins alike for longest; or "" if there is
// none.
func Nearest(word string, among []string) string {
	best, most := "", 2
	if len(word) < 4 {
		most = 1
	}
	for _, w := range among {
		d := distance(word, w)
		if d > most || d >= len(w) || d == most && best != "" && alike(word, w) <= alike(word, best) {
			continue
		}
		best, most = w, d
	}
	return best
}

// alike is how many bytes two words begin with in common.
func alike(a, b string) (n int) {
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// distance counts typing errors: a letter too many, too few, wrong, or two swapped.
func distance(a, b string) int {
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			wrong := 1
			if a[i] == b[j] {
				wrong = 0
			}
			row[j+1] = min(last[j]+wrong, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
