// Package faults examines natter under faults: a cast of users chats through relays that
// misbehave, with servers that are killed, stopped and cut off, and what each user saw is
// judged afterwards.
//
//	cast ──▶ relay ──▶ server(s)          seed ──▶ Plan: which fault, when, for how long
//	  │
//	  └─▶ Log of records ──▶ Judge ──▶ violations
//
// A run is a Plan, drawn from a seed: the same seed draws the same faults. What the
// operating system makes of it is not repeatable, so each run's records are kept when
// something was wrong with it, and Judge can read them again.
//
// The examination itself is built with the tag "faults" (make faults). What judges is
// tested with everything else: each check is shown to fail once.
package faults
