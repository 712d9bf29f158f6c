package main

// usage is what -h prints.
const usage = `Usage: chatcli [flags] [NAME]          chat           (HOST:PORT and HOST PORT work too)
       chatcli send [flags] NAME TEXT|-    one direct message, or stdin line by line
       chatcli list [flags]                print the list of users
       chatcli listen [flags]              print direct messages and events
       chatcli join LINK|- [NAME]          store the server of a link, and use it from now on
       chatcli context ls|use NAME|rm NAME     the servers that were joined
       chatcli key VERB                    list, show, export, import, passphrase: see chatcli key --help
       chatcli rotate [flags] [NAME]       change the login key of your name
       chatcli transcript list|show|search|export    read what --transcript has kept
       chatcli help [VERB]                 print this, or the help of a verb
       chatcli version                     print the version
       chatcli completion bash|zsh|fish|powershell    print a completion script
Who       -n, --name NAME            user name (also the first argument)
              --key FILE             your keys (default: per name, in the data directory)
              --passphrase-file FILE its first line opens a protected key
              --takeover             sign out another terminal of the same user
              --new                  (send, list, listen) take the name if nobody has it; otherwise it must be yours
Server    -s, --server URL           HOST, HOST:PORT, nats://, tls:// or ws:// (default nats://127.0.0.1:4222)
              --context NAME         a server that was joined (default the current one); for join, its name
              --tls-ca FILE|sha256:…   its CA, if the system does not know it
              --tls-cert FILE  --tls-key FILE   a client certificate
              --insecure             allow plain text to other machines
              --creds FILE           credentials for the lobby: sentinel.jwt of the operator
              --wait-server DURATION keep trying at start (default 0)
Answers       --presence ask|visible|hidden    (default ask)
              --accept ask|all|none|NAMES      invitations (default ask)
              --on-bye menu|exit     (default menu)
Output        --plain  --echo  --time  --bell
              --linger DURATION      after end of input (default 0; forever)
              --strict  --keep-going
              --log-file FILE  --log-level debug|info|warn|error
Transcript    --transcript DIR       keep your chats in DIR, as JSON lines that only you can read
                                     (default: nothing is kept)
              list                   show ID|FILE
              search WORD...  --with NAME  --since 2026-01-31
              export ID|FILE|all  --format text|json|markdown  -o, --output FILE
Other         --completion bash|zsh|fish|powershell   --print-config   -h, --help   -V, --version
`

// keyUsage is what chatcli key -h prints.
const keyUsage = `Usage: chatcli key list                   the keys on this computer
       chatcli key show [NAME]            the public parts of one
       chatcli key export NAME FILE|-     a copy for another computer, protected as the key is
       chatcli key import FILE|- [NAME]   imports a copy; never replaces another key
       chatcli key passphrase [NAME]      sets, changes or removes the passphrase of a key
Flags  --key FILE             this file instead of that of the name
       --passphrase-file FILE its first line is the present passphrase
       --new-passphrase-file FILE   (key passphrase) the new one; an empty file: none
`
