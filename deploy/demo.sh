#!/bin/bash
# demo.sh BULKHEAD [OPTION of bulkhead run ...] - the main job before your
# eyes: sample telemetry by MQTT, a stream on disk, a file connector.
set -euo pipefail
bulkhead=$1
shift
if [ "$(id -u)" -eq 0 ]; then
	data=/var/lib/bulkhead
else
	data=$PWD/data
fi
next=
for word in "$@"; do
	[ "$next" = data ] && data=$word
	next=
	[ "$word" = --data ] && next=data
done
case $data in
/*) ;;
*) data=$PWD/$data ;;
esac
export BULKHEAD_SOCKET=$data/admin.sock
out=$data/demo/telemetry.jsonl

show()
{
	printf '\n$ %s\n' "bulkhead $*"
	"$bulkhead" "$@"
}

# In a process group of its own: ctrl-C is ours, and asks it to stop once.
set -m
"$bulkhead" run "$@" &
tree=$!
set +m
stop()
{
	trap '' INT TERM
	trap - EXIT
	kill -TERM $tree 2>/dev/null || true
	wait $tree
	exit
}
trap stop INT TERM EXIT

for _ in $(seq 100); do
	kill -0 $tree 2>/dev/null || { wait $tree; exit; }
	"$bulkhead" status >/dev/null 2>&1 && break
	sleep 0.1
done

mkdir -p "$data/demo"
"$bulkhead" stream show telemetry >/dev/null 2>&1 ||
    show stream create telemetry --topics 'plant/#'
if ! "$bulkhead" connector show demo >/dev/null 2>&1; then
	definition=$(mktemp --suffix=.yaml)
	cat >"$definition" <<END
name: demo
type: file
stream: telemetry
start: latest
batch: { max_records: 500, linger_ms: 20 }
config: { path: "$out", format: json }
END
	printf '\n'
	cat "$definition"
	show connector create "$definition"
	rm -f "$definition"
fi

before=0
[ -f "$out" ] && before=$(wc -l <"$out")
printf '\npublishing 12 readings of 3 machines\n'
for n in 1 2 3 4; do
	for machine in press mill oven; do
		"$bulkhead" pub "plant/$machine/telemetry" --qos 1 -m \
		    "{\"machine\":\"$machine\",\"n\":$n,\"celsius\":$((40 + n))}" \
		    >/dev/null
	done
done
for _ in $(seq 100); do
	[ -f "$out" ] && [ "$(wc -l <"$out")" -ge $((before + 12)) ] && break
	sleep 0.1
done
printf '\n$ tail -n 3 %s\n' "$out"
tail -n 3 "$out"
show audit demo
show status
printf '\nstill running; stop with ctrl-C\n'
wait $tree
