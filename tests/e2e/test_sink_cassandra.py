"""The cassandra type against a node of our own (cql_fake). A real Apache
Cassandra is not shown: Debian has none."""

import datetime
import json
import ssl
import threading
import time
import uuid

import pytest

import bulkhead
import cql_fake
import servers
import sinks
from cql_fake import Fault, Table
from sinks import dead, numbers, publish, reason
from targets import authority  # noqa: F401

SECRET = "s3cr3t-pw"
TYPED = {"id": "text", "i": "int", "b": "bigint", "s": "smallint",
         "y": "tinyint", "f": "float", "d": "double", "o": "boolean",
         "ts": "timestamp", "dt": "date", "u": "uuid", "tu": "timeuuid",
         "raw": "blob", "asc": "ascii", "tx": "text"}
COLUMNS = {"id": "${id}", "topic": "${topic}", "n": "${payload.n}"}


def tables():
    return {
        ("k", "t"): Table({"id": "text", "topic": "text", "n": "int"},
                          ["id"]),
        ("k", "by_topic"): Table({"topic": "text", "id": "text", "n": "int"},
                                 ["topic", "id"]),
        ("k", "last"): Table({"topic": "text", "n": "int"}, ["topic"]),
        ("k", "typed"): Table(TYPED, ["id"]),
        ("k", "odd"): Table({"id": "text", "n": "varint"}, ["id"]),
    }


@pytest.fixture
def make():
    made = []

    def new(**options):
        made.append(cql_fake.Node(tables(), **options))
        return made[-1].start()
    yield new
    for node in made:
        node.kill()


@pytest.fixture
def node(make):
    return make()


def definition(node, common=None, **config):
    if not isinstance(node, str):
        node = "127.0.0.1:%d" % node.port
    return sinks.definition("cassandra", {
        "nodes": node, "keyspace": "k", "table": "t", "columns": COLUMNS,
        "timeout_ms": 1000, **config}, **(common or {}))


def start(new_tree, *args, **options):
    return sinks.start(new_tree, definition(*args, **options))


def drained(tree, count, **options):
    sinks.drained(tree, count, **options)
    assert not tree.crashes()


def rows(node, name="t"):
    return node.tables["k", name].rows()


def whole(node, count):
    assert sorted(r["n"] for r in rows(node)) == list(range(count))


# ---- the fake itself ---------------------------------------------------------


def test_fake_with_a_driver(make):
    """python3-cassandra logs in, prepares, writes and reads."""
    pytest.importorskip("cassandra",
                        reason="python3-cassandra is not installed")
    from cassandra.auth import PlainTextAuthProvider
    from cassandra.cluster import Cluster, NoHostAvailable
    node = make(users={"u": SECRET})
    cluster = Cluster(
        ["127.0.0.1"], port=node.port, protocol_version=4,
        auth_provider=PlainTextAuthProvider("u", SECRET),
        schema_metadata_enabled=False, token_metadata_enabled=False)
    try:
        session = cluster.connect()
        insert = session.prepare(
            'INSERT INTO "k"."typed" (%s) VALUES (%s) USING TIMESTAMP ?'
            % (", ".join(TYPED), ", ".join("?" * len(TYPED))))
        t, u = uuid.UUID(int=7), uuid.uuid1()
        session.execute(insert, (
            "a", -1, 2 ** 40, -3, 4, 0.5, 0.1, True,
            datetime.datetime(2026, 1, 1), datetime.date(1969, 12, 31), t, u,
            b"\xff", "x", "\u00e9", 9))
        assert rows(node, "typed") == [{
            "id": "a", "i": -1, "b": 2 ** 40, "s": -3, "y": 4, "f": 0.5,
            "d": 0.1, "o": True, "ts": 1767225600000, "dt": 2 ** 31 - 1,
            "u": t, "tu": u, "raw": b"\xff", "asc": "x", "tx": "\u00e9"}]
        node.fault = lambda row: Fault(0x1000, "Cannot achieve")
        with pytest.raises(NoHostAvailable, match="alive_replicas.*1"):
            session.execute(insert, ["b"] + [None] * 14 + [1])
        node.fault = lambda row: None
        node.forget()
        session.execute(insert, ["b"] + [None] * 14 + [1])
        assert len(rows(node, "typed")) == 2
        assert session.execute("SELECT release_version FROM system.local"
                               ).one()[0] == "3.11.0"
    finally:
        cluster.shutdown()


# ---- rows --------------------------------------------------------------------


def test_types(new_tree, node):
    u, tu = uuid.UUID(int=2 ** 127 + 5), uuid.uuid1()
    columns = {c: "${payload.%s}" % c for c in TYPED}
    tree = start(new_tree, node, table="typed",
                 columns={**columns, "id": "${id}", "raw": "${payload}"})
    sent = {"i": -2 ** 31, "b": 2 ** 63 - 1, "s": -32768, "y": 127, "f": 0.5,
            "d": 0.1, "o": True, "ts": "2026-11-21T10:30:15.25+01:00",
            "dt": "1969-12-31", "u": str(u).upper(), "tu": str(tu),
            "asc": "a'b", "tx": "\u00e9\U0001f600"}
    publish(tree, [("t/a", json.dumps(sent)),
                   ("t/a", json.dumps({"i": None, "tx": ""}))])
    drained(tree, 2)
    row, bare = sorted(rows(node, "typed"), key=len, reverse=True)
    assert row.pop("raw") == json.dumps(sent).encode() and row.pop("id")
    ts = datetime.datetime(2026, 11, 21, 9, 30, 15, 250000,
                           tzinfo=datetime.timezone.utc).timestamp() * 1000
    assert row == {**sent, "ts": ts, "dt": 2 ** 31 - 1, "u": u, "tu": tu}
    assert set(bare) == {"id", "raw", "tx"}, "absent values make no cells"
    assert node.consistency == {6}


def test_pipelined(new_tree, node):
    """Prepared once, and many at a time."""
    tree = start(new_tree, node, {"order": "none", "batch": {
        "max_records": 500, "linger_ms": 100}}, consistency="LOCAL_ONE",
        in_flight=64)
    publish(tree, numbers(3000))
    drained(tree, 3000)
    whole(node, 3000)
    assert node.counts["prepare"] == 1 and node.counts["execute"] == 3000
    assert 16 < node.in_flight <= 64 and node.consistency == {10}


def test_order_of_a_key(new_tree, node):
    """Executed and answered backwards: the last of the log still wins."""
    node.is_reversed = True
    tree = start(new_tree, node, {"batch": {
        "max_records": 200, "linger_ms": 50}}, table="last",
        columns={"topic": "${topic}", "n": "${payload.n}"})
    publish(tree, [("t/%d" % (n % 3), json.dumps({"n": n}))
                   for n in range(900)])
    drained(tree, 900)
    assert sorted(r["n"] for r in rows(node, "last")) == [897, 898, 899]


@pytest.mark.parametrize("batch", ["none", "unlogged"])
def test_refused_records(new_tree, node, batch):
    """Of one batch each bad record and only it is dead, with its reason."""
    def fault(row):
        if row["n"] in (7, 11):
            return Fault(0x2200, "Invalid by test")
        return None
    node.fault = fault
    tree = start(new_tree, node, {"batch": {
        "max_records": 500, "linger_ms": 300}}, table="by_topic",
        columns={"topic": "${topic}", "id": "${id}", "n": "${payload.n}"},
        batch=batch)
    publish(tree, numbers(20) + [("t/a", '{"n":"x"}'), ("t/a", "no json"),
                                 ("t/a", '{"n":3000000000}')])
    drained(tree, 23, dlq=5)
    errors = " ".join(row["error"] for row in dead(tree))
    assert errors.count("Invalid by test") == 2, errors
    assert "column n: not an int" in errors, errors
    assert len(rows(node, "by_topic")) == 18
    assert (node.counts["batch"] > 0) == (batch == "unlogged")


def test_batches(new_tree, node):
    """Rows of one partition go together, never more than a node takes."""
    tree = start(new_tree, node, {"order": "none", "batch": {
        "max_records": 500, "linger_ms": 200}}, table="by_topic",
        columns={"topic": "${topic}", "id": "${id}", "n": "${payload.n}"},
        batch="unlogged")
    publish(tree, [("t/%d" % (n % 4), json.dumps({"n": n}))
                   for n in range(2000)])
    drained(tree, 2000)
    assert sorted(r["n"] for r in rows(node, "by_topic")) == list(range(2000))
    assert node.counts["batch"] + node.counts["execute"] < 400, node.counts


# ---- errors of the server ------------------------------------------------------


@pytest.mark.parametrize("code, word", [
    (0x1000, "unavailable"), (0x1001, "overloaded"),
    (0x1002, "bootstrapping"), (0x1100, "write timeout"),
    (0x1200, "read timeout"), (0x2100, "unauthorized")])
def test_errors_that_wait(new_tree, node, code, word):
    node.fault = lambda row: Fault(code, "by test")
    tree = start(new_tree, node)
    publish(tree, numbers(20))
    reason(tree, word)
    time.sleep(1)
    row = tree.audit("c")["c"]
    assert row["dlq"] == 0 and row["delivered"] == 0, str(row)
    node.fault = lambda row: None
    drained(tree, 20)
    whole(node, 20)


def test_errors_that_are_tried_again(new_tree, node):
    """A server error says nothing: the node works, so the record's tries are
    spent; the later ones of its key come after it."""
    left = {"n": 2}

    def fault(row):
        if row["n"] == 3 and left["n"]:
            left["n"] -= 1
            return Fault(0x0000, "java.lang.Something")
        return None
    node.fault = fault
    tree = start(new_tree, node, table="last",
                 columns={"topic": "${topic}", "n": "${payload.n}"})
    publish(tree, numbers(10))
    drained(tree, 10)
    assert left["n"] == 0 and rows(node, "last")[0]["n"] == 9
    left["n"] = 1000
    publish(tree, [("t/a", '{"n":3}')])
    drained(tree, 11, dlq=1)
    assert "Something" in dead(tree)[0]["error"]


def test_unprepared(new_tree, node):
    """The node forgets the statement under records: prepared again."""
    tree = start(new_tree, node)
    done = threading.Event()

    def forget():
        while not done.is_set():
            node.forget()
            time.sleep(0.05)
    publish(tree, numbers(10))
    drained(tree, 10)
    node.forget()
    thread = threading.Thread(target=forget)
    thread.start()
    try:
        publish(tree, numbers(2000, 10))
        drained(tree, 2010)
    finally:
        done.set()
        thread.join()
    whole(node, 2010)
    assert node.counts["prepare"] > 1


@pytest.mark.parametrize("config, word", [
    ({"table": "nosuch"}, "unconfigured table"),
    ({"columns": {"id": "${id}", "zz": "1"}}, "Undefined column"),
    ({"table": "odd", "columns": {"id": "${id}", "n": "1"}}, "varint")])
def test_wrong_table_waits(new_tree, node, config, word):
    tree = start(new_tree, node, **config)
    publish(tree, numbers(3))
    reason(tree, word)
    assert tree.audit("c")["c"]["dlq"] == 0


# ---- login, TLS ----------------------------------------------------------------


def test_login(new_tree, make):
    node = make(users={"u": SECRET})
    tree = start(new_tree, node)
    publish(tree, numbers(3))
    reason(tree, "login")
    tree.write_config(connectors={
        "c": definition(node, username="u", password="wr0ng-pw")})
    tree.cli("reload")
    shown = reason(tree, "bad credentials")
    assert "wr0ng-pw" not in json.dumps(shown) + tree.log()
    assert tree.audit("c")["c"]["dlq"] == 0
    tree.write_config(connectors={
        "c": definition(node, username="u", password=SECRET)})
    tree.cli("reload")
    drained(tree, 3)
    assert SECRET not in json.dumps(tree.show("c")) + tree.log()


def test_tls(new_tree, make, authority):  # noqa: F811
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.cert, authority.key)
    node = make(tls=context)
    tls = {"enable": True, "ca_file": authority.ca}
    tree = start(new_tree, "localhost:%d" % node.port, tls=tls)
    publish(tree, numbers(500))
    drained(tree, 500)
    whole(node, 500)
    tree.stop()
    for word, change in [("certificate", {"ca_file": None}),
                         ("mismatch", {"server_name": "other.example"})]:
        tree = start(new_tree, node, tls={
            k: v for k, v in {**tls, **change}.items() if v})
        publish(tree, numbers(1))
        reason(tree, word)
        tree.stop()


# ---- outages -------------------------------------------------------------------


def test_hung(new_tree, node):
    tree = start(new_tree, node)
    sinks.outage(tree, node, node.pause, node.resume)
    whole(node, 100)


def test_killed(new_tree, node):
    tree = start(new_tree, node)
    sinks.outage(tree, node, node.kill, node.start)
    whole(node, 100)


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


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_next_node(new_tree, make, fault):
    """The first of the list is down; the node in use goes away; the third
    takes over."""
    one, two = make(), make()
    two.tables = one.tables
    tree = start(new_tree, "127.0.0.1:%d, 127.0.0.1:%d,localhost:%d" % (
        bulkhead.free_port(), one.port, two.port))
    publish(tree, numbers(50))
    drained(tree, 50)
    assert two.counts["rows"] == 0
    getattr(one, fault)()
    publish(tree, numbers(50, 50))
    drained(tree, 100)
    whole(two, 100)
    assert two.counts["rows"] >= 50


def test_kills(new_tree, node):
    """Node and worker killed under 20,000 records: each is there once."""
    tree = start(new_tree, node, {"in_flight": 4})
    sinks.under_kills(tree, 20000, [
        ("node", node.restart), ("worker", lambda: tree.kill("worker"))])
    assert not tree.crashes()
    whole(node, 20000)


# ---- definitions, test ---------------------------------------------------------


@pytest.mark.parametrize("change, words", [
    ({"nodes": "a,,b"}, ["nodes", "host"]),
    ({"nodes": "a:99999"}, ["nodes"]),
    ({"port": 70000}, ["port", "65535"]),
    ({"columns": {}}, ["columns"]),
    ({"columns": {"a": "${nosuch}"}}, ["columns", "nosuch"]),
    ({"username": "u"}, ["username", "password"]),
    ({"password": "u"}, ["password", "username"]),
    ({"consistency": "SOME"}, ["consistency"]),
    ({"batch": "logged"}, ["batch"]),
    ({"in_flight": 0}, ["in_flight"]),
    ({"tls": {"ca_file": "/x"}}, ["tls.ca_file"]),
])
def test_definitions(tmp_path, change, words):
    status, text = sinks.check(tmp_path, "cassandra", {
        "nodes": "h", "keyspace": "k", "table": "t", "columns": COLUMNS,
        **change})
    assert status == 2, text
    for word in words:
        assert word in text, text


def test_connector_test(new_tree, make, tmp_path):
    node = make(users={"u": SECRET})
    tree = new_tree({"streams": sinks.STREAMS}).start()

    def run(server=node, **config):
        return sinks.connector_test(tree, tmp_path, "cassandra", definition(
            server, **{"username": "u", "password": SECRET, **config}
        )["config"])
    status, text = run()
    assert status == 0 and "3.11.0" in text and "n int" in text, text
    for words, change in [
            ("unconfigured table", {"table": "nosuch"}),
            ("varint", {"table": "odd",
                        "columns": {"id": "${id}", "n": "1"}}),
            ("bad credentials", {"password": "wr0ng-pw"}),
            ("refused", {"server": "127.0.0.1:%d" % bulkhead.free_port()})]:
        status, text = run(**change)
        assert status == 1 and words in text, text
        assert "wr0ng-pw" not in text, text
    assert not rows(node)
