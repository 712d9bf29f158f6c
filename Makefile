# make          build both programs into bin/
# make install  both programs and their manual pages, below PREFIX (and DESTDIR)
# make check    everything that must be true before a commit
# make fuzz     each fuzz target for FUZZTIME
# make faults   users, servers and coordinators under random faults, as in docs/faults.md; FAULTS=-faults.runs=20
# make simulate N=100000   schedules of members' messages in virtual time
# make simulate-transfer N=100000   schedules of transfers of files in virtual time
# make rows     the fixed scenarios of docs/faults-history.md, each once; ROWS=20 for more
# make bench    natter next to plain nats.go, as in docs/benchmarks.md; BENCH=-help
# make powercut the power is cut 30 times (root, on Linux)
# make demo     a coordinator and two users in this terminal
# make image    the container images
# make compose-test   docker-compose.yml for real, in containers of its own

FUZZTIME ?= 30s

PREFIX ?= /usr/local

.PHONY: all install check docs fuzz faults simulate simulate-transfer rows bench powercut demo image compose-test clean

all:
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/chatcoord ./cmd/chatcli

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 0755 bin/chatcli bin/chatcoord $(DESTDIR)$(PREFIX)/bin
	install -m 0644 docs/man/chatcli.1 docs/man/chatcoord.1 $(DESTDIR)$(PREFIX)/share/man/man1

check:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'gofmt -w . would format these files'; exit 1; }
	go mod tidy -diff
	go vet ./...
	go tool staticcheck ./...
	go test -race -shuffle=on ./...

# The parts of docs/ that are computed from the code.
docs:
	go test ./chat -run TestProtocolPage -update

fuzz:
	@for pkg in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
		done; \
	done

# Partitions need root; without it they are left out.
faults:
	cd internal/chattest/faults && go test -tags faults -count=1 -timeout 6h -run 'TestEmbedded|TestCluster|TestPartitions' . $(FAULTS)

# SEED is the first one; TRACE=true prints the first schedule that is objected to.
simulate:
	go test -count=1 -v -timeout 24h -run TestSimulate ./session/delivery -args -simulate $(or $(N),100000) -simulate.seed $(or $(SEED),0) -simulate.trace=$(or $(TRACE),false)

simulate-transfer:
	go test -count=1 -v -timeout 24h -run TestSimulate ./session/transfer -args -simulate $(or $(N),100000) -simulate.seed $(or $(SEED),0) -simulate.trace=$(or $(TRACE),false)

rows:
	cd internal/chattest/faults && go test -tags faults -count=1 -timeout 6h -run 'TestF[0-9]' . -faults.rows $(or $(ROWS),1)

bench:
	go run ./internal/bench $(BENCH)

powercut:
	go test -count=1 -v -run TestPowerCut ./internal/chattest/crash -args -powercuts 30

# bob accepts whoever asks; alice invites him, says hello and ends the chat.
demo: all
	@dir=$$(mktemp -d); port=$${PORT:-42220}; url=nats://127.0.0.1:$$port; \
	bin/chatcoord --listen 127.0.0.1:$$port --data-dir $$dir/server & coord=$$!; \
	trap 'kill $$coord 2>/dev/null; wait $$coord 2>/dev/null; rm -rf $$dir' EXIT; \
	printf '%s\n' bob yes '/wait invitation' y '/wait message' 'hello alice' '/wait end' 3 | \
		XDG_DATA_HOME=$$dir/bob bin/chatcli --plain --wait-server 5s --server $$url | sed 's/^/  bob   | /' & bob=$$!; \
	printf '%s\n' alice yes '/wait user bob' 2 bob 'hello bob' '/wait message' Quit 3 | \
		XDG_DATA_HOME=$$dir/alice bin/chatcli --plain --wait-server 5s --server $$url | sed 's/^/  alice | /'; \
	wait $$bob

image:
	docker compose build init nats chatcli

compose-test:
	deploy/compose-test.sh

clean:
	rm -rf bin
