#!/bin/sh
# describe.sh OUT PROGRAM... - writes OUT as the JSON list of what each
# connector program prints for --describe.
set -e
out=$1
shift
{
	comma='['
	for program in "$@"; do
		printf '%s' "$comma"
		ASAN_OPTIONS=detect_leaks=0 "$program" --describe
		comma=','
	done
	printf ']\n'
} > "$out.new"
mv "$out.new" "$out"
