# packages.sh - Debian packages that the build and the tests need; sourced by
# ./run and ./test from the root of the tree.

build_packages="cmake ninja-build pkg-config gcc libc6-dev libev-dev
libmsgpack-dev librabbitmq-dev libnats-dev
libssl-dev libsqlite3-dev libcurl4-openssl-dev node-llhttp
libisal-dev libxxhash-dev uthash-dev zlib1g-dev libsnappy-dev liblz4-dev
libzstd-dev libjson-c-dev libyaml-dev libpq-dev libhiredis-dev librdkafka-dev
libmosquitto-dev libmariadb-dev libargon2-dev"

test_packages="rabbitmq-server python3-pika nats-server
libcriterion-dev mosquitto mosquitto-clients python3
python3-pytest python3-pytest-xdist python3-paho-mqtt python3-yaml
python3-requests python3-psycopg2 postgresql-15 sqlite3 openssl zstd
redis-server influxdb mariadb-server clickhouse-server
python3-msgpack"

fuzz_packages="clang-14 libclang-rt-14-dev"

say()
{
	printf '== %s\n' "$*"
}

die()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# The names among "$@" that dpkg does not have installed.
packages_missing()
{
	local name

	for name in "$@"; do
		[ "$(dpkg-query -W -f='${db:Status-Status}' "$name" \
		    2>/dev/null)" = installed ] || printf '%s ' "$name"
	done
}

# Installs what is missing of "$@", or says what somebody has to install.
packages_install()
{
	local missing as= held=

	command -v dpkg-query >/dev/null ||
	    die "this is not Debian: install by hand what deploy/packages.sh names"
	missing=$(packages_missing "$@")
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null && sudo -n true 2>/dev/null ||
		    die "missing packages, and neither root nor sudo to" \
			"install them: apt-get install $missing"
		as="sudo"
	fi
	say "installing: $missing"
	$as env DEBIAN_FRONTEND=noninteractive apt-get update -q ||
	    die "apt-get update failed; still missing: $missing"
	services_hold
	# shellcheck disable=SC2086
	$as env DEBIAN_FRONTEND=noninteractive apt-get install -q -y \
	    --no-install-recommends $missing || {
		services_release
		die "apt-get install failed; still missing: $missing"
	}
	services_release
}

# The packages of servers (mosquitto, PostgreSQL) start them when installed;
# the tests start their own, on ports of their own, so nothing may start now.
services_hold()
{
	[ ! -e /usr/sbin/policy-rc.d ] || return 0
	printf '#!/bin/sh\nexit 101\n' |
	    $as tee /usr/sbin/policy-rc.d >/dev/null
	$as chmod 755 /usr/sbin/policy-rc.d
	held=yes
}

services_release()
{
	[ -z "$held" ] || $as rm -f /usr/sbin/policy-rc.d
}

# build_tree DIR [CMAKE_OPTION...]: configures once, then builds.
build_tree()
{
	local dir=$1

	shift
	if [ ! -f "$dir/build.ninja" ] || [ $# -gt 0 ]; then
		say "configuring $dir"
		cmake -G Ninja -B "$dir" "$@" . >"$dir.log" 2>&1 || {
			cat "$dir.log" >&2
			die "cmake could not configure $dir"
		}
		mv "$dir.log" "$dir/configure.log"
	fi
	say "building $dir"
	ninja -C "$dir" || die "the build in $dir failed"
}
