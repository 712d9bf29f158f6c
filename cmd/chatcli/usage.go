package main

// usage is what -h prints.
const usage = `Usage: chatcli [flags] [NAME]          chat           (HOST PORT works too)
       chatcli send [flags] NAME TEXT|-    one direct message, or stdin line by line
       chatcli list [flags]                print the list of users
       chatcli listen [flags]              print what arrives
Who       -n, --name NAME            user name (also the first argument)
              --key FILE             identity key (default: per name, in the data directory)
              --takeover             sign out another terminal of the same user
Server    -s, --server URL           HOST, HOST:PORT, nats://, tls:// or ws:// (default nats://127.0.0.1:4222)
              --creds FILE           where the server lets nobody in without: sentinel.jwt of its operator
              --wait-server DURATION keep trying at start (default 0)
Answers       --presence ask|visible|hidden    (default ask)
              --accept ask|all|none|NAMES      invitations (default ask)
              --on-bye menu|exit     (default menu)
Output        --plain  --echo  --time  --bell
              --linger DURATION      after end of input (default 0; forever)
              --strict  --keep-going
              --log-file FILE  --log-level debug|info|warn|error
Other         --completion bash|zsh|fish   --print-config   -h, --help   -V, --version
`
