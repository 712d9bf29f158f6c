// Package external runs natter on NATS servers that are processes of their own, set up
// by what chatcoord init writes: one server, and a cluster of three.
package external
