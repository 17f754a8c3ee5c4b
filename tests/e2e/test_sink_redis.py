"""The redis type against real servers: one, one behind sentinels, and a
cluster of six nodes."""

import json
import time

import pytest

import bulkhead
import servers
import sinks
import targets
from sinks import dead, drained, numbers, publish, reason
from targets import authority  # noqa: F401

targets.needs("redis-server", "redis-cli")

SECRET = "s3cr3t-pw"
SET = ["SET", "${topic}:${payload.n}", "${payload}"]


@pytest.fixture(scope="module")
def shared():
    server = targets.Redis().start()
    yield server
    server.stop()


@pytest.fixture
def redis(shared):
    """A server with empty databases."""
    shared.do("FLUSHALL")
    return shared


@pytest.fixture
def own():
    """Makes servers that the test may kill."""
    made = []

    def make(*args, kind=targets.Redis, **options):
        made.append(kind(*args, **options))
        return made[-1].start()
    yield make
    for server in made:
        server.stop()


@pytest.fixture(scope="module")
def cluster():
    six = targets.RedisCluster()
    try:
        yield six.start()
    finally:
        six.stop()


def definition(server, command=SET, common=None, **config):
    if not isinstance(server, str):
        server = "127.0.0.1:%d" % server.port
    return sinks.definition("redis", {"server": server, "command": command,
                                      "timeout_ms": 1000, **config},
                            **(common or {}))


def start(new_tree, *args, **options):
    return sinks.start(new_tree, definition(*args, **options))


# ---- the command -------------------------------------------------------------


def test_arguments(new_tree, redis):
    """Each template is one argument, whatever the payload holds."""
    tree = start(new_tree, redis, ["HSET", "h", "${id}", "${payload}"])
    evil = ["a b", "'\"", "\r\n*1\r\n$8\r\nFLUSHALL\r\n", "${topic}", "\x00",
            "", "\U0001f600", "x" * 300000]
    publish(tree, [("t/a", v) for v in evil])
    drained(tree, len(evil))
    got = redis.do("HVALS", "h")
    assert sorted(got) == sorted(v.encode() for v in evil)


def test_order_of_a_key(new_tree, redis):
    tree = start(new_tree, redis, ["RPUSH", "${topic}", "${payload.n}"],
                 {"batch": {"max_records": 7, "linger_ms": 1},
                  "in_flight": 4})
    publish(tree, [("t/%d" % (n % 3), json.dumps({"n": n}))
                   for n in range(600)])
    drained(tree, 600)
    for key in range(3):
        assert [int(v) for v in redis.do("LRANGE", "t/%d" % key, 0, -1)] \
            == list(range(key, 600, 3))


def test_database(new_tree, redis):
    tree = start(new_tree, redis, database=3)
    publish(tree, numbers(5))
    drained(tree, 5)
    client = redis.client()
    assert client("DBSIZE") == 0
    client("SELECT", 3)
    assert client("DBSIZE") == 5
    client.close()


def test_refused_records(new_tree, redis):
    """Of one batch each bad record and only it is dead, with its reason."""
    redis.do("SET", "t/text", "a")
    tree = start(new_tree, redis, ["INCRBY", "${topic}", "${payload.n}"],
                 {"batch": {"max_records": 500, "linger_ms": 300}})
    publish(tree, numbers(20) + [("t/text", '{"n":1}'), ("t/a", '{"n":"x"}'),
                                 ("t/a", "no json")] + numbers(10))
    drained(tree, 33, dlq=3)
    errors = " ".join(row["error"] for row in dead(tree))
    assert "not an integer" in errors, errors
    assert int(redis.do("GET", "t/a")) == sum(range(20)) + sum(range(10))


def test_retryable_then_dead(new_tree, redis):
    """What the server says in words of its own is tried again, and a later
    record of the key does not stay before it."""
    script = ("if tonumber(ARGV[1]) == 3 and redis.call('INCR', 'tries') < 3 "
              "then return redis.error_reply('HICCUP') end "
              "redis.call('RPUSH', KEYS[1], ARGV[1]) return 1")
    tree = start(new_tree, redis, ["EVAL", script, "1", "${topic}",
                                   "${payload.n}"],
                 {"batch": {"max_records": 500, "linger_ms": 300}})
    publish(tree, numbers(10))
    drained(tree, 10)
    got = [int(v) for v in redis.do("LRANGE", "t/a", 0, -1)]
    assert got[-7:] == list(range(3, 10)), got
    redis.do("SET", "tries", -1000)
    publish(tree, [("t/a", '{"n":3}')])
    drained(tree, 11, dlq=1)
    assert "HICCUP" in dead(tree)[0]["error"] and dead(tree)[0]["tries"] == 3


def test_xadd_ids(new_tree, redis):
    """An id from the offset: the worker killed, each entry once."""
    tree = start(new_tree, redis, ["XADD", "s", "1-${offset}", "n",
                                   "${payload.n}"],
                 {"batch": {"max_records": 20, "linger_ms": 1}})
    for first in range(0, 400, 100):
        publish(tree, numbers(100, first))
        tree.kill("worker")
        time.sleep(0.3)
    drained(tree, 400)
    rows = redis.do("XRANGE", "s", "-", "+")
    assert [int(r[1][1]) for r in rows] == list(range(400))


def test_xadd_id_that_is_not_there(new_tree, redis):
    """Refused as too old, and never stored: that is no delivery."""
    redis.do("XADD", "s", "9-0", "a", "b")
    tree = start(new_tree, redis, ["XADD", "s", "MAXLEN", "~", "100",
                                   "1-${offset}", "n", "${payload.n}"])
    publish(tree, numbers(2))
    drained(tree, 2, dlq=2)
    assert "no entry has it" in dead(tree)[0]["error"]


def test_wrong_command_waits(new_tree, redis):
    tree = start(new_tree, redis, ["NOSUCH", "${topic}"])
    publish(tree, numbers(5))
    reason(tree, "unknown command")
    assert tree.audit("c")["c"]["dlq"] == 0


# ---- login, TLS ------------------------------------------------------------------


def test_login(new_tree, own):
    server = own("--requirepass", SECRET, password=SECRET)
    server.do("ACL", "SETUSER", "bob", "on", ">bobs-pw", "~t/*", "+set",
              "+ping")
    tree = start(new_tree, server, password="wr0ng-pw")
    publish(tree, numbers(3))
    shown = reason(tree, "WRONGPASS")
    assert "wr0ng-pw" not in json.dumps(shown) + tree.log()
    assert tree.audit("c")["c"]["dlq"] == 0
    tree.write_config(connectors={"c": definition(server, password=SECRET)})
    tree.cli("reload")
    drained(tree, 3)
    assert SECRET not in json.dumps(tree.show("c")) + tree.log()
    tree.write_config(connectors={
        "c": definition(server, username="bob", password="bobs-pw"),
        "d": definition(server, ["DEL", "${topic}"], username="bob",
                        password="bobs-pw")})
    tree.cli("reload")
    publish(tree, numbers(3, 3))
    drained(tree, 6)
    bulkhead.wait_for(lambda: "NOPERM" in (tree.show("d")["reason"] or ""),
                      what="d to miss its permission")
    assert tree.audit("d")["d"]["dlq"] == 0


def test_tls(new_tree, own, authority):  # noqa: F811
    plain = bulkhead.free_port()
    server = own("--tls-port", str(bulkhead.free_port()), "--tls-cert-file",
                 authority.cert, "--tls-key-file", authority.key,
                 "--tls-ca-cert-file", authority.ca, port=plain)
    port = server.args[1]
    tls = {"enable": True, "ca_file": authority.ca,
           "cert_file": authority._path("client.crt"),
           "key_file": authority._path("client.key")}
    tree = start(new_tree, "localhost:" + port, tls=tls)
    publish(tree, numbers(500))
    drained(tree, 500)
    tree.stop()
    for words, change in [
            ("certificate", {"ca_file": None}),
            ("mismatch", {"server_name": "other.example"})]:
        tree = start(new_tree, "127.0.0.1:" + port, tls={
            k: v for k, v in {**tls, **change}.items() if v})
        publish(tree, numbers(1))
        reason(tree, words)
        tree.stop()
    tree = start(new_tree, "127.0.0.1:" + port, tls={
        **{k: v for k, v in tls.items() if k != "ca_file"}, "verify": False})
    publish(tree, numbers(1))
    drained(tree, 1)


# ---- outages ---------------------------------------------------------------------


def test_hung(new_tree, own):
    server = own()
    tree = start(new_tree, server)
    sinks.outage(tree, server, server.pause, server.resume)
    assert server.do("DBSIZE") == 100


def test_killed(new_tree, own):
    server = own()
    tree = start(new_tree, server)
    sinks.outage(tree, server, server.kill, server.start)
    assert server.do("DBSIZE") == 100


def test_full(new_tree, own):
    """OOM is the server's: the records wait."""
    server = own("--maxmemory", "1")
    tree = start(new_tree, server)
    publish(tree, numbers(10))
    reason(tree, "OOM")
    assert tree.audit("c")["c"]["dlq"] == 0
    server.do("CONFIG", "SET", "maxmemory", 0)
    drained(tree, 10)


@pytest.mark.parametrize("mode", ["hang", "garbage", "refuse"])
def test_bad_server(new_tree, mode):
    bad = servers.BadServer(mode)
    tree = start(new_tree, "127.0.0.1:%d" % bad.port, timeout_ms=500)
    publish(tree, numbers(10))
    reason(tree, "")
    time.sleep(2)
    row = tree.audit("c")["c"]
    assert row["dlq"] == 0 and row["delivered"] == 0, str(row)
    bad.close()
    assert not tree.crashes()


def test_another_of_the_list(new_tree, redis):
    down = bulkhead.free_port()
    tree = start(new_tree, "127.0.0.1:%d, localhost:%d" % (down, redis.port))
    publish(tree, numbers(5))
    drained(tree, 5)


def test_kills(new_tree, own):
    """Server and worker killed under 20,000 records: none is lost."""
    server = own()
    tree = start(new_tree, server, ["SET", "${payload.n}", "${payload}"],
                 {"in_flight": 4})
    sinks.under_kills(tree, 20000, [
        ("server", server.restart), ("worker", lambda: tree.kill("worker"))])
    assert server.do("DBSIZE") == 20000


# ---- sentinel --------------------------------------------------------------------


def test_sentinel_failover(new_tree, own):
    """The master is killed: the sentinel's next takes over."""
    master = own()
    replica = own("--replicaof", "127.0.0.1", str(master.port),
                  "--repl-diskless-sync-delay", "0")
    sentinel = own(master.port, kind=targets.Sentinel)
    bulkhead.wait_for(
        lambda: replica.do("ROLE")[3] == b"connected" and any(
            b"slave0" in v for v in [sentinel.do("INFO", "sentinel"),
                                     master.do("INFO", "replication")]),
        what="the replica")
    bulkhead.wait_for(lambda: sentinel.do("SENTINEL", "REPLICAS", "m"),
                      what="the sentinel to know the replica")
    tree = start(new_tree, "127.0.0.1:%d,127.0.0.1:%d" % (
        bulkhead.free_port(), sentinel.port), mode="sentinel",
        sentinel_master_name="m")
    publish(tree, numbers(100))
    drained(tree, 100)
    assert master.do("DBSIZE") == 100
    bulkhead.wait_for(lambda: replica.do("DBSIZE") == 100, what="replication")
    master.kill()
    publish(tree, numbers(100, 100))
    drained(tree, 200, timeout=30)
    assert replica.do("ROLE")[0] == b"master" and replica.do("DBSIZE") == 200


def test_sentinel_unknown_master(new_tree, own, redis):
    sentinel = own(redis.port, kind=targets.Sentinel)
    tree = start(new_tree, sentinel, mode="sentinel",
                 sentinel_master_name="other")
    publish(tree, numbers(1))
    reason(tree, "no such master")


# ---- cluster ---------------------------------------------------------------------


def test_cluster(new_tree, cluster):
    """All slots; a slot that moves; a master that dies."""
    for node in cluster.masters():
        node.do("FLUSHALL")
    tree = start(new_tree, cluster.nodes[0], ["SET", "${payload.n}",
                                              "${payload}"],
                 {"in_flight": 4}, mode="cluster")
    publish(tree, numbers(2000))
    drained(tree, 2000)
    assert len(cluster.keys()) == 2000
    masters = cluster.masters()
    assert min(m.do("DBSIZE") for m in masters) > 400
    subprocess_args = [
        "redis-cli", "--cluster", "reshard",
        "127.0.0.1:%d" % masters[0].port, "--cluster-from",
        masters[0].do("CLUSTER", "MYID").decode(), "--cluster-to",
        masters[1].do("CLUSTER", "MYID").decode(), "--cluster-slots", "300",
        "--cluster-yes"]
    import subprocess
    mover = subprocess.Popen(subprocess_args, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    publish(tree, numbers(8000, 2000))
    drained(tree, 10000)
    assert mover.wait(60) == 0
    assert len(cluster.keys()) == 10000
    # Written without waiting for replicas, as the cluster does.
    time.sleep(1)
    masters[2].kill()
    publish(tree, numbers(2000, 10000))
    drained(tree, 12000, timeout=30)
    bulkhead.wait_for(lambda: len(cluster.keys()) == 12000, what="all keys")


def test_single_against_a_cluster(new_tree, cluster):
    """The wrong mode is said, and nothing is dead."""
    live = cluster.masters()[0]
    tree = start(new_tree, live)
    publish(tree, numbers(50))
    reason(tree, "MOVED")
    assert tree.audit("c")["c"]["dlq"] == 0


# ---- definitions, test -------------------------------------------------------------


@pytest.mark.parametrize("change, words", [
    ({"server": "a:b"}, ["server", "host:port"]),
    ({"server": "a,,b"}, ["server"]),
    ({"mode": "sentinel"}, ["sentinel_master_name", "required"]),
    ({"sentinel_master_name": "m"}, ["sentinel_master_name"]),
    ({"mode": "cluster", "database": 1}, ["database"]),
    ({"username": "u"}, ["username", "password"]),
    ({"command": ["${topic}"]}, ["command", "fixed"]),
    ({"command": ["subscribe", "x"]}, ["command", "subscribe"]),
    ({"command": ["SET", "${nosuch}"]}, ["command", "nosuch"]),
    ({"command": []}, ["command"]),
    ({"tls": {"ca_file": "/x"}}, ["tls.ca_file"]),
    ({"timeout_ms": 5}, ["timeout_ms"]),
])
def test_definitions(tmp_path, change, words):
    status, text = sinks.check(tmp_path, "redis", {
        "server": "h", "command": SET, **change})
    assert status == 2, text
    for word in words:
        assert word in text, text


def test_connector_test(new_tree, redis, own, tmp_path):
    tree = new_tree({"streams": sinks.STREAMS}).start()

    def run(server=redis, command=SET, **config):
        return sinks.connector_test(
            tree, tmp_path, "redis",
            definition(server, command, **config)["config"])
    status, text = run()
    assert status == 0 and "version" in text, text
    status, text = run(command=["NOSUCH", "a"])
    assert status == 1 and "no such command" in text, text
    status, text = run(command=["SET", "a"])
    assert status == 1 and "number of arguments" in text, text
    status, text = run(server="127.0.0.1:%d" % bulkhead.free_port())
    assert status == 1 and "refused" in text, text
    status, text = run(password="wr0ng-pw")
    assert status == 1 and "wr0ng-pw" not in text, text
    assert redis.do("DBSIZE") == 0
