package flags

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Choice is a flag that is one of a few words.
type Choice struct {
	Value string
	Among []string
}

// String implements pflag.Value.
func (c *Choice) String() string { return c.Value }

// Type implements pflag.Value.
func (c *Choice) Type() string { return strings.Join(c.Among, "|") }

// Set implements pflag.Value.
func (c *Choice) Set(value string) error {
	if !slices.Contains(c.Among, value) {
		return fmt.Errorf("%q is none of %s", value, strings.Join(c.Among, ", "))
	}
	c.Value = value
	return nil
}

// Duration is a flag with a unit, within bounds.
type Duration struct {
	D     time.Duration
	Least time.Duration
	Zero  bool // 0 is allowed, whatever Least says
}

// String implements pflag.Value.
func (d *Duration) String() string { return d.D.String() }

// Type implements pflag.Value.
func (d *Duration) Type() string { return "duration" }

// Set implements pflag.Value.
func (d *Duration) Set(value string) error {
	parsed, err := ParseDuration(value)
	if err != nil {
		return err
	}
	if parsed < d.Least && !(d.Zero && parsed == 0) {
		return fmt.Errorf("%s is too short: at least %s", value, d.Least)
	}
	d.D = parsed
	return nil
}

// ParseDuration reads a duration that is not negative.
func ParseDuration(value string) (time.Duration, error) {
	parsed, err := time.ParseDuration(value)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is not a duration: a number and a unit, for example 10s", value)
	case parsed < 0:
		return 0, fmt.Errorf("%q is negative", value)
	}
	return parsed, nil
}

// Count is a flag that is a whole number within bounds.
type Count struct {
	N           int
	Least, Most int
}

// String implements pflag.Value.
func (c *Count) String() string { return strconv.Itoa(c.N) }

// Type implements pflag.Value.
func (c *Count) Type() string { return "number" }

// Set implements pflag.Value.
func (c *Count) Set(value string) error {
	n, err := strconv.Atoi(value)
	if err != nil {
		return fmt.Errorf("%q is not a whole number", value)
	}
	if n < c.Least || n > c.Most {
		return fmt.Errorf("%s is not between %d and %d", value, c.Least, c.Most)
	}
	c.N = n
	return nil
}

// Size is a flag that is a number of bytes: 16384, 16KB, 1MB.
type Size struct {
	N           int64
	Least, Most int64
}

var units = []struct {
	name string
	size int64
}{{"GB", 1 << 30}, {"MB", 1 << 20}, {"KB", 1 << 10}, {"B", 1}}

// String implements pflag.Value.
func (s *Size) String() string {
	for _, u := range units {
		if s.N >= u.size && s.N%u.size == 0 {
			return strconv.FormatInt(s.N/u.size, 10) + u.name
		}
	}
	return "0B"
}

// Type implements pflag.Value.
func (s *Size) Type() string { return "size" }

// Set implements pflag.Value.
func (s *Size) Set(value string) error {
	digits, unit := strings.ToUpper(value), int64(1)
	for _, u := range units {
		if cut, ok := strings.CutSuffix(digits, u.name); ok {
			digits, unit = cut, u.size
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case err != nil:
		return fmt.Errorf("%q is not a size: a number and B, KB, MB or GB, for example 16KB", value)
	case n < 0 || n > s.Most/unit || n*unit < s.Least:
		return fmt.Errorf("%s is not between %s and %s", value, (&Size{N: s.Least}).String(), (&Size{N: s.Most}).String())
	}
	s.N = n * unit
	return nil
}
