package flags

// Nearest finds the word that was probably meant: the first of the closest ones, at
// most two typing errors away (one for short words), or "" if there is none.
func Nearest(word string, among []string) string {
	best, most := "", 2
	if len(word) < 4 {
		most = 1
	}
	for _, w := range among {
		if d := distance(word, w); d <= most && d < len(w) {
			best, most = w, d-1
		}
	}
	return best
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
