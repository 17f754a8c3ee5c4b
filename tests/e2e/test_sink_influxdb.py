"""The influxdb type: v1 against a real server, v2 and v3 against a server of
the tests that speaks their published write API."""

import collections
import gzip
import json
import time
import urllib.parse

import pytest

import batch_sinks as sinks
import bulkhead
import data_servers
import servers
from batch_sinks import drained, publish, start
from mqtt_raw import user_property


@pytest.fixture(scope="module")
def influx():
    server = data_servers.Influx()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def measurement(influx, request):
    name = "m%d" % (abs(hash(request.node.nodeid)) % 10**8)
    yield name
    influx.query('DROP MEASUREMENT "%s"' % name)


def v1(influx, measurement, common=None, **config):
    return sinks.definition("influxdb", {
        "server": influx.url, "version": "v1", "database": "test",
        "username": "u", "password": "p w", "measurement": measurement,
        **config}, common)


def test_default_fields(new_tree, influx, measurement):
    """What a payload becomes, by its kind; with and without headers."""
    tree = start(new_tree, v1(influx, measurement))
    before = int(time.time() * 1000)
    publish(tree, [
        ("t/json", '{"temp": 21.5, "on": true, "name": "a b", "no": null, '
         '"deep": {"x": [1, 2]}}', user_property("h", "1")),
        ("t/number", "12"), ("t/text", 'say "a\\b"\nc'),
        ("t/raw", b"\xff\x00")], version=5)
    drained(tree, 4)
    rows = {r["topic"]: r for r in influx.rows(
        'SELECT * FROM "%s"' % measurement)}
    assert set(rows) == {"t/json", "t/number", "t/text", "t/raw"}
    first = rows["t/json"]
    assert first["temp"] == 21.5 and first["on"] is True
    assert first["name"] == "a b" and first["deep"] == '{"x":[1,2]}'
    assert json.loads(first["headers"]) == {"h": "1"}
    assert rows["t/number"]["value"] == 12
    assert rows["t/number"]["headers"] is None
    assert rows["t/text"]["payload"] == 'say "a\\b"\nc'
    assert rows["t/raw"]["payload_base64"] == "/wA="
    for row in rows.values():
        assert before <= row["time"] // 10**6 <= time.time() * 1000


def test_templates_and_escapes(new_tree, influx, measurement):
    """Separators in names and values are values; types are kept."""
    tree = start(new_tree, v1(
        influx, "${payload.m}", tags={"the tag": "${payload.t}",
                                      "none": "${payload.no}"},
        fields={"a,b=c d": "${payload.v}", "n": "${payload.n}i",
                "f": "${payload.n:number}"}))
    tag = "a b,c=d\"e'\u00e9"
    publish(tree, [("t/a", json.dumps(
        {"m": measurement + ", =x y", "t": tag, "v": 'q"\\,= ',
         "n": 2**53 + 1}))])
    drained(tree, 1)
    name = measurement + ", =x y"
    rows = influx.rows('SELECT * FROM "%s"' % name)
    assert rows[0]["the tag"] == tag and rows[0]["a,b=c d"] == 'q"\\,= '
    assert rows[0]["n"] == 2**53 + 1 and "none" not in rows[0]
    kinds = {r["fieldKey"]: r["fieldType"] for r in influx.rows(
        'SHOW FIELD KEYS FROM "%s"' % name)}
    assert kinds == {"a,b=c d": "string", "n": "integer", "f": "float"}
    influx.query('DROP MEASUREMENT "%s"' % name)


def test_refused_records(new_tree, influx, measurement):
    """What no line can hold and what the server will not have: each alone is
    dead, the others of its batch are there."""
    tree = start(new_tree, v1(influx, measurement, {
        "batch": sinks.ONE_BATCH}, tags={"t": "${payload.t|x}"},
        fields={"n": "${payload.n:number}", "s": "${payload.s}"}))
    publish(tree, sinks.numbers(40))
    drained(tree, 40)
    bad = [{"n": 1, "t": "a\nb"}, {"n": 1, "t": "end\\"}, {"n": "x"}, {},
           {"n": 1, "s": 5.5}, {"n": 1, "s": "a string"}]
    good = [("t/b", json.dumps({"n": n})) for n in range(30)]
    publish(tree, good[:15] + [("t/b", json.dumps(b)) for b in bad]
            + good[15:] + [("t/b", "no json")])
    # Whichever of 5.5 and "a string" came first made the field's type.
    drained(tree, 77, dlq=6)
    rows = influx.rows('SELECT * FROM "%s"' % measurement)
    assert len(rows) == 71
    errors = [row["error"] for row in sinks.dead(tree)]
    for word in ("line break", "backslash", "no field", "field type conflict"):
        assert any(word in e for e in errors), errors


@pytest.mark.parametrize("precision, digits", [("ms", 6), ("s", 9),
                                               ("ns", 6)])
def test_unique(new_tree, influx, measurement, precision, digits):
    """A thousand records of one series within few milliseconds."""
    tree = start(new_tree, v1(influx, measurement, precision=precision))
    sinks.flood(tree, 1000, topics=1)
    drained(tree, 1000)
    rows = influx.rows('SELECT n FROM "%s"' % measurement)
    assert sorted(r["n"] for r in rows) == list(range(1000))
    assert any(r["time"] % 10**digits for r in rows)


def test_not_unique(new_tree, influx, measurement):
    tree = start(new_tree, v1(influx, measurement, precision="s",
                              unique=False, gzip=True))
    publish(tree, sinks.numbers(5))
    drained(tree, 5)
    rows = influx.rows('SELECT n FROM "%s"' % measurement)
    assert rows and all(r["time"] % 10**9 == 0 for r in rows)


def test_storm(new_tree, influx, measurement):
    """Worker killed, server killed, 20,000 records: each there once."""
    tree = start(new_tree, v1(influx, measurement, {
        "batch": {"max_records": 1000, "linger_ms": 5}, "in_flight": 2}))

    def outage():
        influx.kill()
        time.sleep(1)
        influx.start()

    sinks.storm(tree, 20000, outage)
    rows = influx.rows('SELECT n FROM "%s"' % measurement)
    assert sorted(r["n"] for r in rows) == list(range(20000))


def test_server_hangs_for_a_while(new_tree, influx, measurement):
    tree = start(new_tree, v1(influx, measurement, timeout_ms=500))
    publish(tree, sinks.numbers(10))
    drained(tree, 10)
    influx.pause()
    try:
        publish(tree, sinks.numbers(10, 10))
        sinks.reason(tree, "timed out")
        time.sleep(2)
        assert tree.audit("s")["s"]["dlq"] == 0
    finally:
        influx.resume()
    drained(tree, 20)
    assert len(influx.rows('SELECT n FROM "%s"' % measurement)) == 20


def test_hung_server(new_tree):
    sinks.hangs(new_tree, lambda port: sinks.definition("influxdb", {
        "server": "127.0.0.1:%d" % port, "version": "v3", "database": "d",
        "measurement": "m", "timeout_ms": 300}))


def test_no_database_and_no_login(new_tree, influx, measurement, tmp_path):
    tree = start(new_tree, v1(influx, measurement, database="later"))
    publish(tree, sinks.numbers(3))
    sinks.reason(tree, "database not found")
    status, text = sinks.run_test(tree, tmp_path, v1(
        influx, measurement, database="later"))
    assert status == 1 and "not found" in text, text
    influx.query("CREATE DATABASE later")
    drained(tree, 3)
    influx.query("DROP DATABASE later")
    other = start(new_tree, v1(influx, measurement, password="wrong-pw"))
    publish(other, sinks.numbers(2))
    shown = sinks.reason(other, "401")
    assert "wrong-pw" not in json.dumps(shown) + other.log()
    status, text = sinks.run_test(tree, tmp_path, v1(influx, measurement))
    assert status == 0 and "InfluxDB" in text, text
    status, text = sinks.run_test(tree, tmp_path, v1(
        influx, measurement, password="wrong-pw"))
    assert status == 1 and "wrong-pw" not in text, text


# ---- v2 and v3 -----------------------------------------------------------------


class Double:
    """Takes writes of v2 and v3; lines that hold `bad` are refused the way
    that the version does it."""

    def __init__(self, version):
        self.version = version
        self.lines = []
        self.writes = []
        self.faults = collections.deque()
        self.target = servers.HttpTarget()
        self.target.answer = self.answer

    def answer(self, request):
        url = urllib.parse.urlsplit(request["path"])
        query = dict(urllib.parse.parse_qsl(url.query))
        wants = {"v2": ("/api/v2/write", "Token tok", {"bucket": "b&b",
                                                       "org": "o"}),
                 "v3": ("/api/v3/write_lp", "Bearer tok", {"db": "d"}),
                 }[self.version]
        if request["headers"].get("authorization") != wants[1]:
            return 401, b'{"code":"unauthorized"}'
        if request["method"] == "GET":
            return 200, b'{"buckets":[{"name":"b&b"}]}'
        if url.path != wants[0] or not wants[2].items() <= query.items():
            return 404, b'{"code":"not found"}'
        if self.faults:
            return self.faults.popleft()
        body = request["body"]
        if request["headers"].get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        lines = body.decode().splitlines()
        self.writes.append((query["precision"], lines))
        bad = [n for n, line in enumerate(lines, 1) if "bad" in line]
        if bad and self.version == "v2":
            return 422, json.dumps(
                {"code": "unprocessable entity", "message": "failure writing "
                 "points to database: partial write: field type conflict"
                 }).encode()
        self.lines += [line for line in lines if "bad" not in line]
        if bad:
            return 400, json.dumps({
                "error": "partial write of line protocol occurred",
                "data": [{"original_line": lines[n - 1], "line_number": n,
                          "error_message": "invalid column type"}
                         for n in bad]}).encode()
        return 204, b""


@pytest.fixture(params=["v2", "v3"])
def double(request):
    double = Double(request.param)
    yield double
    double.target.close()


def later(double, common=None, **config):
    where = {"v2": {"org": "o", "bucket": "b&b"}, "v3": {"database": "d"}}
    return sinks.definition("influxdb", {
        "server": "http://localhost:%d" % double.target.port,
        "version": double.version, "token": "tok", "measurement": "m",
        **where[double.version], **config}, common)


def test_write_api(new_tree, double, tmp_path):
    tree = start(new_tree, later(double, {"batch": sinks.ONE_BATCH},
                                 gzip=True))
    messages = sinks.numbers(50)
    messages[17] = ("t/a", '{"n": 17, "x": "bad"}')
    publish(tree, messages)
    drained(tree, 50, dlq=1)
    got = [line.split(" ")[1] for line in double.lines]
    assert set(got) == {"n=%d" % n for n in range(50) if n != 17}
    assert {w[0] for w in double.writes} == {
        "ns" if double.version == "v2" else "nanosecond"}
    if double.version == "v3":
        # The answer names the line: nothing is sent twice.
        assert len(got) == 49 and "column type" in sinks.dead(tree)[0]["error"]
    status, text = sinks.run_test(tree, tmp_path, later(double))
    assert status == 0, text
    status, text = sinks.run_test(tree, tmp_path, later(double, token="no"))
    assert status == 1, text


def test_faults(new_tree, double):
    """Too many requests, a proxy's page, a cut answer: none is dead."""
    double.faults.extend([(429, b"slow down"), (503, b"<html>"), (500, b"{"),
                          None, (401, b"")])
    tree = start(new_tree, later(double, {"batch": sinks.ONE_BATCH}))
    publish(tree, sinks.numbers(30))
    drained(tree, 30)
    assert {line.split(" ")[1] for line in double.lines} == {
        "n=%d" % n for n in range(30)}


@pytest.mark.parametrize("precision, unit", [("us", "us"), ("ns", "ns")])
def test_precision_in_the_url(new_tree, precision, unit):
    double = Double("v2")
    try:
        tree = start(new_tree, later(double, precision=precision))
        publish(tree, sinks.numbers(3))
        drained(tree, 3)
        assert {w[0] for w in double.writes} == {unit}
        scale = {"us": 10**6, "ns": 10**9}[unit]
        for line in double.lines:
            assert abs(int(line.rsplit(" ")[-1]) / scale - time.time()) < 60
    finally:
        double.target.close()


@pytest.mark.parametrize("change, words", [
    ({"token": None}, ["token", "required"]),
    ({"database": "x"}, ["database", "no use"]),
    ({"version": "v1"}, ["database", "required", "bucket"]),
    ({"server": "ftp://x"}, ["server"]),
    ({"server": "http://u:p@x"}, ["server", "username"]),
    ({"measurement": None}, ["measurement"]),
    ({"measurement": "${nosuch}"}, ["measurement", "nosuch"]),
    ({"precision": "m"}, ["precision"]),
    ({"tags": {"time": "1"}}, ["tags", "timestamp"]),
    ({"tls": {"enable": True}}, ["server", "https"]),
])
def test_definitions(tmp_path, change, words):
    config = {"server": "http://h:1", "token": "t", "org": "o", "bucket": "b",
              "measurement": "m", **change}
    config = {k: v for k, v in config.items() if v is not None}
    status, text = sinks.check(tmp_path, sinks.definition("influxdb", config))
    assert status == 2, text
    for word in words:
        assert word in text, text
