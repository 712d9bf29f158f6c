package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// table are the results so far.
type table []row

// row is one figure.
type row struct {
	figure       string
	ours, theirs string
	result       float64
	unit         string  // "×" for ratios
	least, most  float64 // of the result over the turns
	turns        int
	goal         goal
}

// goal is the goal for a figure.
type goal struct {
	least bool // at least, else at most
	bound float64
}

func atMost(bound float64) goal  { return goal{bound: bound} }
func atLeast(bound float64) goal { return goal{least: true, bound: bound} }

func (g goal) met(v float64) bool {
	if g.least {
		return v >= g.bound
	}
	return v <= g.bound
}

// duel measures ours and theirs in turns. Each returns a quantity of the same kind.
func (b *bench) duel(ours, theirs func() (float64, error)) (a, c []float64, err error) {
	for range b.runs {
		for _, side := range []struct {
			measure func() (float64, error)
			into    *[]float64
		}{{ours, &a}, {theirs, &c}} {
			runtime.GC()
			v, err := side.measure()
			if err != nil {
				return nil, nil, err
			}
			*side.into = append(*side.into, v)
		}
	}
	return a, c, nil
}

// compare adds a row for the ratio of two series, whose medians are shown.
func (t *table) compare(figure string, ours, theirs []float64, show func(float64) string, g goal) {
	ratios := make([]float64, len(ours))
	for i := range ours {
		ratios[i] = ours[i] / theirs[i]
	}
	*t = append(*t, row{
		figure: figure, ours: show(median(ours)), theirs: show(median(theirs)),
		result: median(ratios), unit: "×", least: slices.Min(ratios), most: slices.Max(ratios), turns: len(ratios), goal: g,
	})
}

// absolute adds a row for a series that is compared with nothing.
func (t *table) absolute(figure string, values []float64, unit string, g goal) {
	*t = append(*t, row{
		figure: figure, ours: "", theirs: "",
		result: median(values), unit: " " + unit, least: slices.Min(values), most: slices.Max(values), turns: len(values), goal: g,
	})
}

// String is the table as markdown.
func (t table) String() string { return t.under("natter", "nats.go") }

// under returns the table with the names of its two sides; an empty one is empty.
func (t table) under(ours, theirs string) string {
	if len(t) == 0 {
		return ""
	}
	var s strings.Builder
	fmt.Fprintf(&s, "%s, %s/%s, %d processors, %s\n\n", time.Now().UTC().Format("2006-01-02"), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	fmt.Fprintf(&s, "| figure | %s | %s | result | from – to | turns | goal | |\n| --- | ---: | ---: | ---: | ---: | ---: | --- | --- |\n", ours, theirs)
	for _, r := range t {
		word, verdict := "at most", "short"
		if r.goal.least {
			word = "at least"
		}
		if r.goal.met(r.result) {
			verdict = "met"
		}
		fmt.Fprintf(&s, "| %s | %s | %s | **%s%s** | %s – %s | %d | %s %.3g%s | %s |\n", r.figure, r.ours, r.theirs,
			digits(r.result), r.unit, digits(r.least), digits(r.most), r.turns, word, r.goal.bound, r.unit, verdict)
	}
	return s.String()
}

// The table is between these lines in the file that keeps it.
const (
	begin, finish               = "<!-- figures -->\n", "<!-- end of figures -->\n"
	beginAttacks, finishAttacks = "<!-- attacks -->\n", "<!-- end of attacks -->\n"
	beginHolding, finishHolding = "<!-- holding -->\n", "<!-- end of holding -->\n"
)

// record replaces the table in a file.
func (t table) record(file string) error { return put(file, begin, finish, t.String()) }

// put replaces what is between two lines of a file.
func put(file, begin, finish, what string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, ok2 := strings.Cut(rest, finish)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no place for the table", file)
	}
	return os.WriteFile(file, []byte(head+begin+what+finish+tail), 0o644)
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if len(s) == 0 {
		return math.NaN()
	}
	return s[len(s)/2]
}

func digits(v float64) string {
	switch {
	case v == 0 || v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// How quantities are shown.
func micros(v float64) string    { return digits(v) + " µs" }
func millis(v float64) string    { return digits(v) + " ms" }
func perSecond(v float64) string { return digits(v) + "/s" }
func seconds(v float64) string   { return digits(v) + " s" }
func megabytes(v float64) string { return digits(v) + " MB" }
func kilobytes(v float64) string { return digits(v) + " KB" }
