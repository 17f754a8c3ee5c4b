"""The greptimedb type against a server of the tests that speaks its InfluxDB
endpoint. A real GreptimeDB is not in Debian: not shown."""

import base64
import json
import time
import urllib.parse

import pytest

import batch_sinks as sinks
import servers
from batch_sinks import drained, publish, start


class Double:
    def __init__(self, port=None):
        self.rows = {}
        self.requests = []
        self.target = servers.HttpTarget(port)
        self.target.answer = self.answer

    def answer(self, request):
        url = urllib.parse.urlsplit(request["path"])
        query = dict(urllib.parse.parse_qsl(url.query))
        login = "Basic " + base64.b64encode(b"u:p:w").decode()
        if request["headers"].get("authorization") != login:
            return 401, b'{"code":7003,"error":"auth failed"}'
        if query.get("db") != "d&b":
            return 400, b'{"code":1004,"error":"Database not found"}'
        if url.path == "/v1/sql":
            return 200, b'{"code":0}'
        if url.path != "/v1/influxdb/api/v2/write":
            return 404, b""
        self.requests.append(query)
        lines = request["body"].decode().splitlines()
        if any("bad" in line for line in lines):
            return 400, b'{"error":"Invalid line protocol"}'
        for line in lines:
            series, fields, at = line.split(" ")
            self.rows[(series, at)] = fields
        return 204, b""


@pytest.fixture
def double():
    double = Double()
    yield double
    double.target.close()


def greptime(port, common=None, **config):
    return sinks.definition("greptimedb", {
        "server": "localhost:%d" % port, "database": "d&b", "username": "u",
        "password": "p:w", "measurement": "m", **config}, common)


def test_rows(new_tree, double, tmp_path):
    tree = start(new_tree, greptime(
        double.target.port, {"batch": sinks.ONE_BATCH}, precision="ns",
        tags={"dev": "${topic[1]}"}, fields={"n": "${payload.n}i"}))
    publish(tree, sinks.numbers(40) + [("t/bad", '{"n": 1}')])
    drained(tree, 41, dlq=1)
    assert sorted(double.rows.values()) == sorted(
        "n=%di" % n for n in range(40))
    assert {key[0] for key in double.rows} == {"m,dev=a"}
    for _, at in double.rows:
        assert abs(int(at) / 1e9 - time.time()) < 60
    assert {q["precision"] for q in double.requests} == {"ns"}
    assert "Invalid line protocol" in sinks.dead(tree)[0]["error"]
    status, text = sinks.run_test(tree, tmp_path,
                                  greptime(double.target.port))
    assert status == 0, text
    for change in ({"password": "wrong-pw"}, {"database": "x"}):
        status, text = sinks.run_test(tree, tmp_path, greptime(
            double.target.port, **change))
        assert status == 1 and "wrong-pw" not in text, text


def test_storm(new_tree, double):
    """Worker killed, server away, 20,000 records: each there once."""
    tree = start(new_tree, greptime(
        double.target.port, {"batch": {"max_records": 1000, "linger_ms": 5}}))

    def outage():
        double.target.close()
        time.sleep(1)
        double.target = servers.HttpTarget(double.target.port)
        double.target.answer = double.answer

    sinks.storm(tree, 20000, outage)
    assert sorted(double.rows.values()) == sorted(
        "n=%d" % n for n in range(20000))


def test_hung_server(new_tree):
    sinks.hangs(new_tree, lambda port: greptime(port, timeout_ms=300))


def test_https(tmp_path):
    """https: for a server without scheme; tls needs it."""
    status, text = sinks.check(tmp_path, greptime(
        1, server="http://h", https=True, tls={"enable": True}))
    assert status == 2 and "https" in text, text
    status, text = sinks.check(tmp_path, greptime(
        1, server="h:4000", https=True, tls={"enable": True}))
    assert status == 0, text
    status, text = sinks.check(tmp_path, greptime(1, password=None))
    assert status == 2 and "password" in text, json.dumps(text)
