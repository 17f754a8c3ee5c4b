"""The elasticsearch type against a server of the tests that answers _bulk
item by item. A real OpenSearch belongs to the optional tier: not shown."""

import collections
import gzip
import json
import threading
import time
import urllib.parse

import pytest

import batch_sinks as sinks
import bulkhead
import servers
from batch_sinks import drained, publish, start
from mqtt_raw import user_property


class Double:
    """Documents by index and _id. refuse(document) -> item status."""

    def __init__(self, port=None):
        self.documents = collections.defaultdict(dict)
        self.refuse = lambda document: 0
        self.faults = collections.deque()
        self.requests = []
        self.login = None
        self.lock = threading.Lock()
        self.target = servers.HttpTarget(port)
        self.target.answer = self.answer

    def store(self, action, line):
        (op, where), = action.items()
        document = json.loads(line)
        status = self.refuse(document)
        if status:
            return {op: {"status": status, "error": {
                "type": "fault_%d" % status, "reason": 'no "%s"' % op}}}
        index = self.documents[where["_index"]]
        if where["_id"] in index and op == "create":
            return {op: {"status": 409, "error": {
                "type": "version_conflict_engine_exception"}}}
        index[where["_id"]] = document
        return {op: {"status": 201}}

    def answer(self, request):
        if self.login and request["headers"].get(
                "authorization") != self.login:
            return 401, b'{"error":"security_exception","status":401}'
        if request["method"] == "GET":
            return 200, b'{"version":{"number":"8.9.0"}}'
        url = urllib.parse.urlsplit(request["path"])
        assert url.path == "/_bulk", request["path"]
        if self.faults:
            return self.faults.popleft()
        body = request["body"]
        if request["headers"].get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        assert body.endswith(b"\n")
        lines = body.decode().splitlines()
        with self.lock:
            self.requests.append(
                (dict(urllib.parse.parse_qsl(url.query)), len(lines) // 2))
            items = [self.store(json.loads(a), b)
                     for a, b in zip(lines[::2], lines[1::2])]
        return 200, json.dumps({
            "errors": any("error" in list(i.values())[0] for i in items),
            "items": items}).encode()

    def all(self):
        return [d for index in self.documents.values()
                for d in index.values()]


@pytest.fixture
def double():
    double = Double()
    yield double
    double.target.close()


def elastic(double, common=None, **config):
    return sinks.definition("elasticsearch", {
        "url": "http://localhost:%d" % double.target.port, "index": "i",
        **config}, common)


def test_documents(new_tree, double, tmp_path):
    tree = start(new_tree, elastic(
        double, index="l-${topic[1]}-${timestamp:%Y}", gzip=True,
        pipeline="p&1"))
    publish(tree, [("t/a", '{"v": [1, null]}', user_property("h", "x")),
                   ("t/b", b"\xff"), ("t/b", "text")], version=5)
    drained(tree, 3)
    year = time.strftime("%Y")
    assert set(double.documents) == {"l-a-" + year, "l-b-" + year}
    (key, first), = double.documents["l-a-" + year].items()
    assert first["id"] == key and first["topic"] == "t/a"
    assert first["payload"] == {"v": [1, None]}
    assert first["headers"] == {"h": "x"}
    assert abs(first["timestamp_ms"] / 1000 - time.time()) < 60
    assert {q["pipeline"] for q, _ in double.requests} == {"p&1"}
    status, text = sinks.run_test(tree, tmp_path, elastic(double))
    assert status == 0 and "8.9.0" in text, text


def test_document_template(new_tree, double):
    tree = start(new_tree, elastic(
        double, data_stream=True,
        document='{"n": ${payload.n:number}, "t": "${payload.t}"}'))
    publish(tree, [("t/a", json.dumps({"n": 1, "t": '"}\n{"x'})),
                   ("t/a", "no json")])
    drained(tree, 2, dlq=1)
    document, = double.all()
    assert abs(document.pop("@timestamp") / 1000 - time.time()) < 60
    assert document == {"n": 1, "t": '"}\n{"x'}


def test_whole_payload_as_document(new_tree, double):
    tree = start(new_tree, elastic(double, data_stream=True,
                                   document="${payload}"))
    publish(tree, [("t/a", ' {"n": 1,\n "@timestamp": 5}'), ("t/a", "{}"),
                   ("t/a", "[1]"), ("t/a", '{"n": 2}')])
    drained(tree, 4, dlq=1)
    got = double.all()
    assert {"n": 1, "@timestamp": 5} in got
    assert sorted(len(d) for d in got) == [1, 2, 2]
    assert "not a JSON object" in sinks.dead(tree)[0]["error"]


def test_each_item_has_its_answer(new_tree, double):
    """errors: true loses nothing: 400 alone is dead, 429 comes again."""
    seen = collections.Counter()

    def refuse(document):
        n = document["payload"]["n"]
        seen[n] += 1
        if n == 13:
            return 400
        if n % 10 == 0 and seen[n] == 1:
            return 429
        if n % 7 == 0 and seen[n] == 1:
            return 500
        return 0

    double.refuse = refuse
    tree = start(new_tree, elastic(double, {"batch": sinks.ONE_BATCH,
                                            "order": "none"}))
    publish(tree, sinks.numbers(100))
    drained(tree, 100, dlq=1)
    assert sorted(d["payload"]["n"] for d in double.all()) == [
        n for n in range(100) if n != 13]
    assert 'status 400, fault_400: no "create"' in sinks.dead(tree)[0]["error"]
    assert seen[1] == 1, "what was taken is not sent again"


def test_index_replaces(new_tree, double):
    tree = start(new_tree, elastic(double, op="index"))
    double.faults.append(None)  # taken or not: it is not known
    publish(tree, sinks.numbers(10))
    drained(tree, 10)
    assert len(double.all()) == 10


@pytest.mark.parametrize("auth", ["basic", "api_key"])
def test_login(new_tree, double, tmp_path, auth):
    config = {"basic": {"username": "u", "password": "p w"},
              "api_key": {"api_key": "a2V5"}}[auth]
    double.login = {"basic": "Basic dTpwIHc=", "api_key": "ApiKey a2V5"}[auth]
    tree = start(new_tree, elastic(double, auth=auth, **config))
    publish(tree, sinks.numbers(3))
    drained(tree, 3)
    secret = {"basic": {"username": "u", "password": "wrong-pw"},
              "api_key": {"api_key": "wrong-pw"}}[auth]
    status, text = sinks.run_test(tree, tmp_path, elastic(
        double, auth=auth, **secret))
    assert status == 1 and "401" in text and "wrong-pw" not in text, text
    other = start(new_tree, elastic(double))
    publish(other, sinks.numbers(2))
    sinks.reason(other, "401")


def test_faults(new_tree, double):
    """Broken answers are no delivery and no loss."""
    double.faults.extend([
        (200, b'{"errors":false}'), (200, b'{"errors":false,"items":[]}'),
        (200, b'{"items":[{"create":{"status":201}}'), (200, b""),
        (429, b""), (503, b"<html>"), (404, b"{}"), None,
        (200, b'{"items":[{},1,{"create":{}},{"create":{"status":"x"}}]}')])
    tree = start(new_tree, elastic(double, {
        "batch": sinks.ONE_BATCH, "failure_strategy": {
            **sinks.QUICK, "retry_total_times": 9}}))
    publish(tree, sinks.numbers(4))
    drained(tree, 4)
    assert sorted(d["payload"]["n"] for d in double.all()) == list(range(4))


def test_another_node(new_tree, double):
    port = bulkhead.free_port()
    tree = start(new_tree, elastic(
        double, url="http://127.0.0.1:%d, http://127.0.0.1:%d/"
        % (port, double.target.port)))
    publish(tree, sinks.numbers(5))
    drained(tree, 5)
    assert len(double.all()) == 5


def test_storm(new_tree, double):
    """Worker killed, server away, 20,000 records: each there once."""
    tree = start(new_tree, elastic(double, {"in_flight": 2}))

    def outage():
        double.target.close()
        time.sleep(1)
        double.target = servers.HttpTarget(double.target.port)
        double.target.answer = double.answer

    sinks.storm(tree, 20000, outage)
    assert sorted(d["payload"]["n"] for d in double.all()) == list(
        range(20000))
    assert max(n for _, n in double.requests) > 100


def test_hung_server(new_tree):
    sinks.hangs(new_tree, lambda port: sinks.definition("elasticsearch", {
        "url": "http://127.0.0.1:%d" % port, "index": "i",
        "timeout_ms": 300}))


@pytest.mark.parametrize("change, words", [
    ({"url": "http://a,ftp://b"}, ["url"]),
    ({"url": "http://a,,"}, ["url"]),
    ({"index": None}, ["index"]),
    ({"auth": "basic", "username": "u"}, ["password", "required"]),
    ({"api_key": "k"}, ["api_key", "no use"]),
    ({"data_stream": True, "op": "index"}, ["op", "data stream"]),
    ({"tls": {"enable": True}}, ["url", "https"]),
])
def test_definitions(tmp_path, change, words):
    config = {"url": "http://h", "index": "i", **change}
    config = {k: v for k, v in config.items() if v is not None}
    status, text = sinks.check(tmp_path, sinks.definition(
        "elasticsearch", config))
    assert status == 2, text
    for word in words:
        assert word in text, text
