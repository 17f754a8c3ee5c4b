"""The clickhouse type: against Debian's ClickHouse 18.16, which knows no
deduplication token, and against a server of the tests that does."""

import gzip
import json
import time
import urllib.parse

import pytest

import batch_sinks as sinks
import data_servers
import servers
from batch_sinks import drained, publish, start
from mqtt_raw import user_property


@pytest.fixture(scope="module")
def clickhouse():
    server = data_servers.Clickhouse()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def table(clickhouse, request):
    name = "t%d" % (abs(hash(request.node.nodeid)) % 10**8)
    yield name
    clickhouse.execute("DROP TABLE IF EXISTS test." + name)


def definition(clickhouse, table, common=None, **config):
    return sinks.definition("clickhouse", {
        "url": clickhouse.url, "database": "test", "table": table,
        "username": "u", "password": "p&w", **config}, common)


def make(clickhouse, table, columns, engine="MergeTree ORDER BY id"):
    clickhouse.execute("CREATE TABLE test.%s (%s) ENGINE = %s"
                       % (table, columns, engine))


KEYED = {"id": "${id}", "n": "${payload.n}"}


def test_fields_by_name(new_tree, clickhouse, table):
    make(clickhouse, table, "id String, topic String, payload String, "
         "headers String, timestamp_ms UInt64, qos UInt8, client_id String, "
         "other String DEFAULT 'd'")
    tree = start(new_tree, definition(clickhouse, table))
    publish(tree, [("t/a", 'a "q"\\\n\t', user_property("h", "x")),
                   ("t/b", '{"v":1}')], version=5)
    drained(tree, 2)
    first, second = clickhouse.rows(
        "SELECT * FROM test.%s ORDER BY topic" % table)
    assert first["topic"] == "t/a" and first["payload"] == 'a "q"\\\n\t'
    assert json.loads(first["headers"]) == {"h": "x"}
    # A server this old gives a column that is left out its type's default.
    assert first["client_id"] == "pub" and first["other"] in ("", "d")
    assert abs(int(first["timestamp_ms"]) / 1000 - time.time()) < 60
    assert first["id"].startswith("t.") and second["payload"] == '{"v":1}'


def test_columns(new_tree, clickhouse, table):
    """Types, null as nothing, values as values."""
    make(clickhouse, table, "id String, raw String, n Int64, x Float64, "
         "`a b` Array(Int32), doc String, ok UInt8, at DateTime, "
         "note Nullable(String)")
    tree = start(new_tree, definition(
        clickhouse, table, compression="gzip", columns={
            "id": "${id}", "raw": "${payload}", "n": "${payload.n|-1}",
            "x": "${payload.x}", "a b": "${payload.l:json}",
            "doc": "${payload.d}", "ok": "${payload.ok}",
            "at": "${timestamp:%Y-%m-%d %H:%M:%S}",
            "note": "${payload.note}"}))
    payload = {"n": 2**53 + 1, "x": 1.5, "l": [1, 2], "d": {"e": [1]},
               "ok": True, "note": '"}, {"id": "x"}\n'}
    publish(tree, [("t/a", json.dumps(payload)), ("t/b", "{}")])
    drained(tree, 2)
    rows = clickhouse.rows("SELECT *, length(raw) AS len FROM test.%s "
                           "ORDER BY n DESC" % table)
    first, second = rows
    assert int(first["n"]) == 2**53 + 1 and first["x"] == 1.5
    assert first["a b"] == [1, 2] and first["doc"] == '{"e":[1]}'
    assert first["ok"] == 1 and first["note"] == payload["note"]
    assert first["raw"] == json.dumps(payload)
    assert int(second["n"]) == -1 and second["note"] is None


def test_raw_bytes(new_tree, clickhouse, table):
    make(clickhouse, table, "id String, raw String")
    tree = start(new_tree, definition(clickhouse, table, columns={
        "id": "${id}", "raw": "${payload}"}))
    publish(tree, [("t/a", bytes(range(256)))])
    drained(tree, 1)
    row, = clickhouse.rows("SELECT hex(raw) AS h FROM test." + table)
    assert bytes.fromhex(row["h"]) == bytes(range(256))


def test_refused_rows(new_tree, clickhouse, table):
    """Of one batch the bad rows alone are dead, with their reason."""
    make(clickhouse, table, "id String, n Int32, d Date")
    tree = start(new_tree, definition(
        clickhouse, table, {"batch": sinks.ONE_BATCH}, columns={
            **KEYED, "d": "${payload.d|2020-01-01}"}))
    messages = [{"n": n} for n in range(60)]
    messages[13]["n"] = "thirteen"
    messages[44]["n"] = [1]
    publish(tree, [("t/a", json.dumps(m)) for m in messages]
            + [("t/a", "no json")])
    drained(tree, 61, dlq=3)
    got = [r["n"] for r in clickhouse.rows(
        "SELECT n FROM test.%s ORDER BY n" % table)]
    assert got == [n for n in range(60) if n not in (13, 44)]
    assert any("Code: " in row["error"] for row in sinks.dead(tree))


def test_one_insert_a_batch(new_tree, clickhouse, table):
    make(clickhouse, table, "id String, n Int32")
    tree = start(new_tree, definition(clickhouse, table, {
        "batch": {"max_records": 5000, "linger_ms": 500}}, columns=KEYED))
    sinks.flood(tree, 5000)
    drained(tree, 5000)
    parts = clickhouse.rows("SELECT count() AS c FROM system.parts "
                            "WHERE table = '%s'" % table)
    assert int(parts[0]["c"]) <= 12, parts


def test_missing_table_and_login(new_tree, clickhouse, table, tmp_path):
    tree = start(new_tree, definition(clickhouse, table, columns=KEYED))
    publish(tree, sinks.numbers(3))
    sinks.reason(tree, table)
    status, text = sinks.run_test(tree, tmp_path, definition(
        clickhouse, table))
    assert status == 1 and table in text, text
    make(clickhouse, table, "id String, n Int32")
    drained(tree, 3)
    status, text = sinks.run_test(tree, tmp_path, definition(
        clickhouse, table))
    assert status == 0 and "MergeTree" in text and "18.16" in text, text
    other = start(new_tree, definition(clickhouse, table, columns=KEYED,
                                       password="wrong-pw"))
    publish(other, sinks.numbers(2))
    shown = sinks.reason(other, "password")
    assert "wrong-pw" not in json.dumps(shown) + other.log()


def test_storm(new_tree, clickhouse, table):
    """No loss; the engine takes the copies out that this old server makes
    when the worker dies between the answer and the commit."""
    make(clickhouse, table, "id String, n Int32",
         "ReplacingMergeTree ORDER BY id")
    tree = start(new_tree, definition(clickhouse, table, {
        "batch": {"max_records": 2000, "linger_ms": 10}}, columns=KEYED))

    def outage():
        clickhouse.kill()
        time.sleep(0.5)
        clickhouse.start()

    sinks.storm(tree, 20000, outage)
    rows = clickhouse.rows("SELECT n FROM test.%s FINAL ORDER BY n" % table)
    assert [r["n"] for r in rows] == list(range(20000))


def test_server_hangs_for_a_while(new_tree, clickhouse, table):
    make(clickhouse, table, "id String, n Int32")
    tree = start(new_tree, definition(clickhouse, table, columns=KEYED,
                                      timeout_ms=1500))
    publish(tree, sinks.numbers(5))
    drained(tree, 5)
    clickhouse.pause()
    try:
        publish(tree, sinks.numbers(5, 5))
        sinks.reason(tree, "timed out")
    finally:
        clickhouse.resume()
    drained(tree, 10)


# ---- deduplication ---------------------------------------------------------------


class Double:
    """A table that dedupes by token."""

    def __init__(self):
        self.blocks = {}
        self.copies = 0
        self.queries = []
        self.faults = []
        self.target = servers.HttpTarget()
        self.target.answer = self.answer

    @property
    def url(self):
        return "http://localhost:%d" % self.target.port

    def answer(self, request):
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(
            request["path"]).query))
        if request["method"] == "GET":
            return 200, b"24.1\tReplicatedMergeTree\n"
        body = request["body"]
        if request["headers"].get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        rows = [json.loads(line)["n"] for line in body.splitlines()]
        fault = self.faults.pop(0) if self.faults else "none"
        if fault == "before":
            return 500, b"Code: 252. DB::Exception: Too many parts"
        self.queries.append(query)
        token = query["insert_deduplication_token"]
        self.copies += token in self.blocks
        self.blocks[token] = rows
        if fault == "after":
            return None
        return 200, b""

    def rows(self):
        return sorted(n for rows in self.blocks.values() for n in rows)


@pytest.fixture
def double():
    double = Double()
    yield double
    double.target.close()


def test_token(new_tree, double):
    """Stored, but the answer is lost: the same block comes again, by retry
    and after the worker was killed, with the same token."""
    double.faults = ["none", "after", "before", "after"] * 3
    tree = start(new_tree, definition(double, "t", {
        "batch": {"max_records": 100, "linger_ms": 20}}, columns=KEYED,
        async_insert=True))

    def outage():
        double.faults += ["after", "before", "after"]

    sinks.storm(tree, 6000, outage, kills=6)
    assert double.rows() == list(range(6000))
    assert double.copies > 0, "no block came twice: nothing was shown"
    query = double.queries[0]
    assert query["async_insert"] == query["wait_for_async_insert"] == "1"


def test_hung_server(new_tree):
    class At:
        def __init__(self, port):
            self.url = "http://127.0.0.1:%d" % port
    sinks.hangs(new_tree, lambda port: definition(
        At(port), "t", columns=KEYED, timeout_ms=300))


@pytest.mark.parametrize("change, words", [
    ({"table": None}, ["table"]),
    ({"username": None}, ["username", "together"]),
    ({"format": "RowBinary"}, ["format", "not built"]),
    ({"columns": {"a": "${nosuch}"}}, ["columns.a", "nosuch"]),
    ({"columns": {"": "x"}}, ["columns"]),
    ({"url": "h:8123/?x"}, ["url", "query"]),
])
def test_definitions(tmp_path, change, words):
    config = {"url": "http://h", "database": "d", "table": "t",
              "username": "u", "password": "p", **change}
    config = {k: v for k, v in config.items() if v is not None}
    status, text = sinks.check(tmp_path, sinks.definition(
        "clickhouse", config))
    assert status == 2, text
    for word in words:
        assert word in text, text
