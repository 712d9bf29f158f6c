#!/usr/bin/env bash
# Starts docker-compose.yml for real, chats through it from containers, kills one
# coordinator and the NATS server, and chats on; then the same with three NATS servers.
# It needs a Docker engine with Compose, bash 4.4 and timeout, and takes some minutes,
# most of them for building. Its project, ports, volumes and images are its own, and
# gone afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."

project=natter-test-$$
export NATTER_PORT='' NATTER_CLUSTER_PORT='' # any free port
export NATTER_TAG=$project
unset COMPOSE_FILE COMPOSE_PROFILES COMPOSE_PROJECT_NAME

here=$(mktemp -d)
begun=$SECONDS
declare -A in=() chats=() # each person's keyboard, and process

# dc [ARG...]: docker compose with our project, for LIMIT seconds at most.
dc() { timeout --foreground -k 10 "${LIMIT:-120}" docker compose -p "$project" --progress quiet "$@"; }

proved() { printf 'ok   %3ds  %s\n' $((SECONDS - begun)) "$*"; }

fail() {
	printf 'FAIL %3ds  %s\n' $((SECONDS - begun)) "$*" >&2
	tail -n 40 "$here"/*.out >&2 || true
	dc --profile '*' ps -a >&2 || true
	dc --profile '*' logs --tail 40 >&2 || true
	exit 1
}

cleanup() {
	status=$?
	trap - EXIT
	# Those of run are not among what down removes.
	docker ps -aq --filter "label=com.docker.compose.project=$project" | xargs -r docker rm -f >/dev/null 2>&1 || true
	wait
	dc --profile '*' down --volumes --remove-orphans --rmi all --timeout 3 >"$here.down" 2>&1 || cat "$here.down" >&2
	rm -rf "$here" "$here.down"
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# join NAME SERVICE: NAME sits down at a chatcli in a container of its own.
join() {
	local fd
	mkfifo "$here/$1.in"
	exec {fd}<>"$here/$1.in"
	in[$1]=$fd
	LIMIT=600 dc run --rm -T --no-deps "$2" --plain --presence visible --accept all "$1" \
		<"$here/$1.in" >"$here/$1.out" 2>"$here/$1-errors.out" &
	chats[$1]=$!
	await "$1" 'Enter your choice:'
}

# types NAME LINE...
types() {
	local name=$1 line
	shift
	for line in "$@"; do printf '%s\n' "$line" >&"${in[$name]}"; done
}

# await NAME TEXT: NAME's screen shows a text, now or within a minute.
await() {
	local _
	for _ in $(seq 300); do
		grep -qF -- "$2" "$here/$1.out" 2>/dev/null && return
		sleep 0.2
	done
	fail "$1 never sees: $2"
}

# hears NAME FROM TEXT: NAME gets what FROM types now.
hears() {
	types "$2" "$3"
	await "$1" "$2: $3"
}

# goodbye WHO OTHER: WHO ends the chat, and both go home as they should.
goodbye() {
	types "$1" Quit 3
	await "$2" ended
	types "$2" 3
	wait "${chats[$1]}" || fail "$1 goes with exit code $?"
	wait "${chats[$2]}" || fail "$2 goes with exit code $?"
}

# chat FROM TO: a chat begins.
chat() {
	types "$1" 2 "$2"
	await "$1" "You are now chatting with $2"
	await "$2" "You are now chatting with $1"
}

# shown SERVICE TEXT...: the console shows each text, once.
shown() {
	local service=$1 text n
	shift
	for text in "$@"; do
		n=$(dc logs --no-log-prefix "$service" | grep -cF -- "$text") || true
		[ "$n" -eq 1 ] || fail "the console shows $n times: $text"
	done
}

containers() { dc ps -aq --no-trunc | sort; }

docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1 || {
	echo 'compose-test: there is no Docker engine with Compose here' >&2
	exit 1
}

LIMIT=1200 dc build init nats chatcli >"$here/build.out" 2>&1 || fail 'the images do not build'
for image in chatcoord chatcli nats-server; do
	docker image inspect -f '{{.Config.User}}' "natter-$image:$NATTER_TAG" | grep -qx 65532:65532 || fail "$image runs as root"
	! docker run --rm --entrypoint /bin/sh "natter-$image:$NATTER_TAG" -c : >/dev/null 2>&1 || fail "$image has a shell"
done
proved 'three images, with no shell and no root in them'

dc up -d --wait >"$here/up.out" 2>&1 || fail 'it does not start'
[ "$(dc ps --format '{{.Health}}' coord | grep -cx healthy)" -eq 2 ] || fail 'there are not two healthy coordinators'
for id in $(containers); do
	[ "$(docker inspect -f '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}}' "$id")" = 'true [ALL]' ] || fail "$id may write or has rights"
done
published=$(dc port nats 4222)
[[ $published == 127.0.0.1:* ]] || fail "NATS is published at $published"
proved "NATS and two coordinators are healthy, read-only, without rights; published at $published only"

before=$(containers)
dc up -d --wait >"$here/up.out" 2>&1 || fail 'it does not start again'
[ "$before" = "$(containers)" ] || fail 'a second up has made containers anew'
dc exec -T coord /chatcoord doctor >"$here/doctor.out" || fail 'doctor finds something'
proved 'a second up changes nothing; doctor finds nothing'

join bob chatcli
join alice chatcli
chat alice bob
hears bob alice 'hello bob'
hears alice bob 'hi alice'
shown coord 'hello bob' 'hi alice'
proved 'alice and bob chat, and the console shows it'

docker kill "$(dc ps -q coord | head -n 1)" >/dev/null
hears bob alice 'one coordinator is dead'
dc run --rm -T --no-deps chatcli list --new --name carol >"$here/carol.out" 2>&1 || fail 'nobody gets in'
grep -q '^alice' "$here/carol.out" || fail 'carol does not see alice'
proved 'one coordinator is killed: they chat on, and carol gets in'

dc kill nats >"$here/kill.out" 2>&1
dc up -d --wait >"$here/up.out" 2>&1 || fail 'NATS does not come back'
hears bob alice 'NATS was dead'
hears alice bob 'it is back'
goodbye alice bob
shown coord 'NATS was dead' 'it is back'
proved 'NATS is killed and started: the chat goes on, and ends when alice says so'

dc down >"$here/down.out" 2>&1 || fail 'it does not stop'
dc up -d --wait >"$here/up.out" 2>&1 || fail 'it does not start after down'
code=0 # another key comes first: nobody has the name back yet
dc run --rm -T --no-deps -e XDG_DATA_HOME=/people/mallory chatcli list --new --name alice >"$here/mallory.out" 2>&1 || code=$?
[ "$code" -eq 3 ] || fail "another key that wants to be alice: exit code $code"
dc run --rm -T --no-deps chatcli list --name alice >"$here/again.out" 2>&1 || fail 'alice has lost her name'
proved 'down and up: the name is still alice'"'"'s, and nobody else'"'"'s'
dc down >"$here/down.out" 2>&1 || fail 'it does not stop'

rm -f "$here"/* # other people, elsewhere
dc --profile cluster up -d --wait coord-cluster >"$here/up.out" 2>&1 || fail 'the cluster does not start'
dc exec -T coord-cluster /chatcoord doctor >"$here/doctor.out" || fail 'doctor finds something'
grep -qF '3 replicas' "$here/doctor.out" || fail 'the streams are not on three servers'
proved 'three NATS servers and two coordinators are healthy; each stream is on all three'

join bob chatcli-cluster
join alice chatcli-cluster
chat alice bob
hears bob alice 'hello bob'
dc kill nats-2 >"$here/kill.out" 2>&1
hears bob alice 'one of three is dead'
hears alice bob 'what of it'
goodbye alice bob
proved 'one of three NATS servers is killed: they chat on'
