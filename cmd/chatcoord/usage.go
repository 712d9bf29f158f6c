package main

// usage is what -h prints.
const usage = `Usage: chatcoord [flags]                    serve
       chatcoord users [--json]             print who is here
       chatcoord sessions [--json]          print invitations and sessions
       chatcoord kick NAME|KEY|NETWORK [--reason TEXT]     sign out who is here; they may come again
       chatcoord ban NAME|KEY|NETWORK [--for 24h] [--reason TEXT]   keep away; until unban, unless --for is given
       chatcoord unban NAME|KEY|NETWORK     take a ban back
       chatcoord bans [--json]              print the bans
       chatcoord free NAME                  take a name from its owner, for anybody to have
       chatcoord delete NAME                delete an account; nobody can have its name any more
       chatcoord watch                      print the console of one that runs, from anywhere
       chatcoord invite [--uses N] [--ttl DURATION] [--address HOST[:PORT]] [--json]   print a link for somebody new
       chatcoord doctor [--json]            examine the NATS server: ok, or what is wrong and how to mend it
       chatcoord init --external --out DIR [--nodes 1|3]   write what an existing NATS needs
       chatcoord backup FILE                write what lasts into a file, while everything runs
       chatcoord restore FILE [--dry-run]   bring it back where nothing is
       chatcoord verify [FILE]              is a backup whole? or, without FILE, the data directory?
       chatcoord health URL                 print a page of --http; exit code 0 if all is well
       chatcoord help                       print this
       chatcoord version                    print the version
       chatcoord completion bash|zsh|fish   print a completion script
Broker    -l, --listen ADDR          embedded NATS (default 127.0.0.1:4222)
              --tls auto             encrypt, with a CA of its own that links tell of
              --tls-cert FILE  --tls-key FILE   encrypt, with this certificate
              --insecure             allow plain text off loopback
              --data-dir DIR         keys and state (default $XDG_DATA_HOME/chatcoord)
              --ephemeral            keep nothing
              --accept-loss          start also when the state holds less than it did
              --clock-ok             the clock is right, though the data say otherwise
              --server URL[,URL]     use this NATS instead of embedding one
              --keys DIR             credentials for --server, as written by chatcoord init
              --wait-server DURATION keep trying to reach --server at start (default 0)
              --tls-ca FILE|sha256:…   of --server, if the system does not know its CA
Rules         --join open|invited    who may take a new name (default open on loopback, else invited)
              --max-users N          (default 0, no limit)
              --max-group N          members of a group (default 16)
              --invite-timeout DURATION   (default 60s)
              --grace DURATION       for a lost connection (default 30s)
              --max-message SIZE     (default 16KB)
              --name-ttl DURATION    after the last login (default 720h; 0: for ever)
Limits        --rate N               requests a second of one user, or of one address in the lobby (default 20)
              --rate-invites N       invitations among them (default 1)
              --rate-lists N         lists among them (default 5)
              --rate-direct N        direct messages a second of one user (default 10)
              --rate-messages N      messages a second of one member (default 1000)
              ten times as much may come at once; 0: no limit
Console       --show all|actions|none     (default all)
              --log-format text|json      --color auto|always|never
              --log-file FILE  --log-level debug|info|warn|error
Health        --http ADDR            /healthz, /readyz, /metrics (default off)
              --pprof                also /debug/pprof/; ADDR must be on loopback
Verbs         --server URL           running coordinator (default nats://127.0.0.1:4222)
              --creds FILE           (default operator.creds in the data directory; of watch, observer.creds)
              --keys DIR             take them from there; of doctor, all credentials
              --reason TEXT          of kick, ban, free and delete: the person reads it
              --for DURATION         of ban (default 0: until it is taken back)
              --tls-ca FILE|sha256:…   (default the CA of --tls auto in the data directory)
              --json
Invite        --uses N               how many new users (default 1)
              --ttl DURATION         how long it is good (default 24h)
              --address HOST[:PORT]  how they reach the server (default that of --server)
Init          --hosts HOST[:PORT],…  of the NATS servers (default: on this computer)
              --store DIR            where they keep their state (default data in --out)
Backup        --encrypt              with a passphrase that is asked for
              --passphrase-file FILE with the passphrase in FILE; also of restore and verify
              --recipient age1…,…    to public keys of age
              --identity FILE        the private key, of restore and verify
              --dry-run              restore says what it would do, and checks
Other         --completion bash|zsh|fish   --print-config   -h, --help   -V, --version
`
