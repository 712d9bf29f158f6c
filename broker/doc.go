// Package broker is what all parts of natter need of a NATS server: connections, the streams
// and their limits, reading them, retries while a cluster has no leader, and whether anything
// can be stored. It knows nothing about chat beyond its routes.
//
// What is built upon it lies below: package rpc has the requests that users and operators
// make of a coordinator, package store the records that all coordinators share. Neither
// knows the other.
package broker
