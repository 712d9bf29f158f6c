package main

// usage is what -h prints.
const usage = `Usage: chatcoord [flags]                    serve
       chatcoord users [--json]             print who is here
       chatcoord sessions [--json]          print invitations and sessions
Broker    -l, --listen ADDR          embedded NATS (default 127.0.0.1:4222)
              --insecure             allow plain text off loopback
              --data-dir DIR         keys and state (default $XDG_DATA_HOME/chatcoord)
              --ephemeral            keep nothing
Rules         --max-users N          (default 0, no limit)
              --max-group N          members of a group (default 16)
              --invite-timeout DURATION   (default 60s)
              --grace DURATION       for a lost connection (default 30s)
              --max-message SIZE     (default 16KB)
              --name-ttl DURATION    after the last login (default 720h; 0: for ever)
Console       --show all|actions|none     (default all)
              --log-format text|json      --color auto|always|never
              --log-file FILE  --log-level debug|info|warn|error
Verbs         --server URL           running coordinator (default nats://127.0.0.1:4222)
              --creds FILE           (default operator.creds in the data directory)
              --json
Other         --completion bash|zsh|fish   --print-config   -h, --help   -V, --version
`
