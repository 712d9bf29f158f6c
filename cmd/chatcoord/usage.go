package main

// usage is what -h prints.
const usage = `Usage: chatcoord [flags]                    serve
       chatcoord users [--json]             print who is here
       chatcoord sessions [--json]          print invitations and sessions
       chatcoord watch                      print the console of one that runs, from anywhere
       chatcoord doctor [--json]            examine the NATS server: ok, or what is wrong and how to mend it
       chatcoord init --external --out DIR [--nodes 1|3]   write what an existing NATS needs
       chatcoord backup FILE                write what lasts into a file, while everything runs
       chatcoord restore FILE [--dry-run]   bring it back where nothing is
       chatcoord verify [FILE]              is a backup whole? or, without FILE, the data directory?
       chatcoord health URL                 print a page of --http; exit code 0 if all is well
Broker    -l, --listen ADDR          embedded NATS (default 127.0.0.1:4222)
              --insecure             allow plain text off loopback
              --data-dir DIR         keys and state (default $XDG_DATA_HOME/chatcoord)
              --ephemeral            keep nothing
              --accept-loss          start also when the state holds less than it did
              --server URL[,URL]     use this NATS instead of embedding one
              --keys DIR             credentials for --server, as written by chatcoord init
              --wait-server DURATION keep trying to reach --server at start (default 0)
Rules         --max-users N          (default 0, no limit)
              --max-group N          members of a group (default 16)
              --invite-timeout DURATION   (default 60s)
              --grace DURATION       for a lost connection (default 30s)
              --max-message SIZE     (default 16KB)
              --name-ttl DURATION    after the last login (default 720h; 0: for ever)
Console       --show all|actions|none     (default all)
              --log-format text|json      --color auto|always|never
              --log-file FILE  --log-level debug|info|warn|error
Health        --http ADDR            /healthz, /readyz, /metrics (default off)
              --pprof                also /debug/pprof/; ADDR must be on loopback
Verbs         --server URL           running coordinator (default nats://127.0.0.1:4222)
              --creds FILE           (default operator.creds in the data directory; of watch, observer.creds)
              --keys DIR             take them from there; of doctor, all credentials
              --json
Init          --hosts HOST[:PORT],…  of the NATS servers (default: on this computer)
              --store DIR            where they keep their state (default data in --out)
Backup        --encrypt              with a passphrase that is asked for
              --passphrase-file FILE with the passphrase in FILE; also of restore and verify
              --recipient age1…,…    to public keys of age
              --identity FILE        the private key, of restore and verify
              --dry-run              restore says what it would do, and checks
Other         --completion bash|zsh|fish   --print-config   -h, --help   -V, --version
`
