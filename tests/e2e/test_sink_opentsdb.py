"""The opentsdb type: against InfluxDB's OpenTSDB listener, and against a
server of the tests that answers /api/put?details as OpenTSDB does."""

import json
import threading
import time

import pytest

import batch_sinks as sinks
import data_servers
import servers
from batch_sinks import drained, publish, start


@pytest.fixture(scope="module")
def influx():
    server = data_servers.Influx()
    server.start()
    yield server
    server.stop()


class Double:
    """Points by series and time; a value of 13 fails."""

    def __init__(self):
        self.points = {}
        self.paths = set()
        self.lock = threading.Lock()
        self.faults = []
        self.target = servers.HttpTarget()
        self.target.answer = self.answer

    def answer(self, request):
        if request["method"] == "GET":
            return 200, b'{"version":"2.4.0"}'
        if self.faults:
            return self.faults.pop(0)
        self.paths.add(request["path"])
        points = json.loads(request["body"])
        bad = [p for p in points if p["value"] == 13]
        with self.lock:
            for p in points:
                if p not in bad:
                    key = (p["metric"], p["timestamp"],
                           tuple(sorted(p["tags"].items())))
                    self.points[key] = p["value"]
        if "details" not in request["path"]:
            body = {"failed": len(bad), "success": len(points) - len(bad)}
        else:
            body = {"errors": [{"datapoint": p, "error": "13 is unlucky"}
                               for p in bad], "failed": len(bad),
                    "success": len(points) - len(bad)}
        return 400 if bad else 200, json.dumps(body).encode()


@pytest.fixture
def double():
    double = Double()
    yield double
    double.target.close()


def tsdb(port, common=None, **config):
    return sinks.definition("opentsdb", {
        "server": "http://127.0.0.1:%d" % port, "metric": "m.${topic[1]}",
        "value": "${payload.n:number}", **config}, common)


def test_real_listener(new_tree, influx):
    tree = start(new_tree, tsdb(influx.tsdb_port, gzip=True, tags={
        "n": "${payload.n}", "topic": "${topic}"}))
    before = int(time.time() * 1000)
    publish(tree, sinks.numbers(50, topic="t/a b"))
    drained(tree, 50)
    rows = influx.rows('SELECT * FROM "m.a_b"', db="tsdb")
    assert sorted(r["value"] for r in rows) == list(range(50))
    assert {r["topic"] for r in rows} == {"t/a_b"}
    # This listener takes the milliseconds for microseconds.
    for row in rows:
        assert before // 1000 <= row["time"] // 10**9 <= time.time()


@pytest.mark.parametrize("details", [True, False])
def test_failed_points(new_tree, double, details):
    """Each failed point alone is dead, with what the server said of it."""
    tree = start(new_tree, tsdb(double.target.port, {
        "batch": sinks.ONE_BATCH}, details=details,
        tags={"n": "${payload.n}", "none": "${payload.no}"}))
    publish(tree, sinks.numbers(40) + [("t/a", "no json"),
                                       ("t/a", '{"n": "x"}')])
    drained(tree, 42, dlq=3)
    assert sorted(double.points.values()) == [
        n for n in range(40) if n != 13]
    assert all(abs(k[1] / 1000 - time.time()) < 60 for k in double.points)
    assert all(dict(k[2]).keys() == {"n"} for k in double.points)
    errors = " ".join(row["error"] for row in sinks.dead(tree))
    assert ("13 is unlucky" in errors) == details, errors
    assert double.paths == {"/api/put?details" if details
                            else "/api/put?summary"}


def test_timestamp(new_tree, double):
    tree = start(new_tree, tsdb(double.target.port,
                                timestamp="${payload.at}"))
    publish(tree, [("t/a", '{"n": 1, "at": 1700000000}'),
                   ("t/a", '{"n": 2, "at": "then"}')])
    drained(tree, 2, dlq=1)
    assert [k[1] for k in double.points] == [1700000000]


def test_faults(new_tree, double, tmp_path):
    """Half an answer, points that are not counted, 503: sent again."""
    double.faults += [(200, b"{"), (200, b'{"success":0,"failed":0}'),
                      (503, b""), (500, b"oops"), None]
    tree = start(new_tree, tsdb(double.target.port, {
        "batch": sinks.ONE_BATCH, "failure_strategy": {
            **sinks.QUICK, "retry_total_times": 5}},
        tags={"n": "${payload.n}"}))
    publish(tree, sinks.numbers(10))
    drained(tree, 10)
    assert sorted(double.points.values()) == list(range(10))
    status, text = sinks.run_test(tree, tmp_path, tsdb(double.target.port))
    assert status == 0 and "2.4.0" in text, text


def test_storm(new_tree, influx):
    tree = start(new_tree, tsdb(influx.tsdb_port, {
        "batch": {"max_records": 1000, "linger_ms": 5}}, metric="storm",
        tags={"n": "${payload.n}"}))

    def outage():
        influx.kill()
        time.sleep(1)
        influx.start()

    sinks.storm(tree, 20000, outage)
    rows = influx.rows('SELECT value FROM "storm"', db="tsdb")
    assert sorted(r["value"] for r in rows) == list(range(20000))


def test_hung_server(new_tree):
    sinks.hangs(new_tree, lambda port: tsdb(port, timeout_ms=300))


@pytest.mark.parametrize("change, words", [
    ({"server": "h/x?y"}, ["server", "query"]),
    ({"tags": {}}, ["tags"]),
    ({"value": "${nosuch}"}, ["value", "nosuch"]),
    ({"username": "u"}, ["username", "together"]),
    ({"tls": {"ca_file": "/x"}}, ["ca_file"]),
])
def test_definitions(tmp_path, change, words):
    status, text = sinks.check(tmp_path, tsdb(1, **change))
    assert status == 2, text
    for word in words:
        assert word in text, text
