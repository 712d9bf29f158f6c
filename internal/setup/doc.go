// Package setup is an installation on a NATS server that is not ours: the directory
// that chatcoord init writes for it, and the part of that directory that a
// coordinator needs.
//
//	                     Init
//	                      │
//	 ┌────────────────────┼────────────────────────┐
//	 ▼                    ▼                        ▼
//	a safe               the NATS servers         the coordinators          people
//	operator.nk          accounts.conf            coord store tap sys       observer.creds audit.creds
//	system.nk chat.nk    nats.conf or             .creds                    operator.creds
//	lobby.nk             node-1.conf …            signing.nk                sentinel.jwt
//	                     (no seeds)               operator-signing.nk, to ban at once
//
// The directory is written whole or not at all, and never written again: its keys
// are the installation, and what was minted with them cannot be minted with others.
package setup
