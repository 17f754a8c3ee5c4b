"""The kinesis type against a server of the tests that checks signatures and
answers PutRecords as the service's API reference has it. AWS itself: not
shown."""

import base64
import collections
import hashlib
import json
import time

import pytest

import batch_sinks as sinks
import servers
import sigv4
from batch_sinks import drained, publish, start
from mqtt_raw import user_property

SECRET = "sec/ret+key"


class Double:
    def __init__(self, port=None):
        self.records = []
        self.sizes = []
        self.signature_faults = []
        self.expects_faults = False
        self.faults = collections.deque()
        self.fails = lambda data: None
        self.tokens = set()
        self.target = servers.HttpTarget(port)
        self.target.answer = self.answer

    def answer(self, request):
        wrong = sigv4.fault(request, SECRET, "eu-x-1", "kinesis")
        if wrong:
            self.signature_faults.append(wrong)
            return 400, (b'{"__type":"InvalidSignatureException",'
                         b'"message":"wrong"}')
        self.tokens.add(request["headers"].get("x-amz-security-token"))
        body = json.loads(request["body"])
        if body["StreamName"] != "st":
            return 400, (b'{"__type":"com.amazonaws.kinesis#'
                         b'ResourceNotFoundException","message":"no such"}')
        what = request["headers"]["x-amz-target"]
        if what == "Kinesis_20131202.DescribeStreamSummary":
            return 200, b'{"StreamDescriptionSummary":{}}'
        assert what == "Kinesis_20131202.PutRecords", what
        if self.faults:
            return self.faults.popleft()
        assert len(body["Records"]) <= 500
        self.sizes.append(len(body["Records"]))
        rows = []
        for entry in body["Records"]:
            data = base64.b64decode(entry["Data"], validate=True)
            code = self.fails(data)
            if code:
                rows.append({"ErrorCode": code, "ErrorMessage": "so it is"})
                continue
            self.records.append((entry["PartitionKey"], data))
            rows.append({"SequenceNumber": "1", "ShardId": "shard-0"})
        return 200, json.dumps({"FailedRecordCount": 0,
                                "Records": rows}).encode()


@pytest.fixture
def double():
    double = Double()
    yield double
    assert not double.signature_faults or double.expects_faults
    double.target.close()


def kinesis(double, common=None, **config):
    return sinks.definition("kinesis", {
        "stream": "st", "region": "eu-x-1",
        "endpoint": "http://localhost:%d" % double.target.port,
        "access_key_id": "AKID", "secret_access_key": SECRET, **config},
        {"order": "none", **(common or {})})


def test_records(new_tree, double, tmp_path):
    """Topic, key, headers, time and payload arrive; one request."""
    tree = start(new_tree, kinesis(double, {"batch": sinks.ONE_BATCH},
                                   session_token="tok/en=="))
    publish(tree, [("t/1", '{"v": 1}', user_property("h", "x")),
                   ("t/2", b"\xff\x00"), ("t/3", "text")], version=5)
    drained(tree, 3)
    got = {key: json.loads(data) for key, data in double.records}
    assert set(got) == {"t/1", "t/2", "t/3"}
    assert got["t/1"]["payload"] == {"v": 1}
    assert got["t/1"]["headers"] == {"h": "x"}
    assert got["t/1"]["topic"] == "t/1"
    assert abs(got["t/1"]["timestamp_ms"] / 1000 - time.time()) < 60
    assert base64.b64decode(got["t/2"]["payload_base64"]) == b"\xff\x00"
    assert double.sizes == [3] and double.tokens == {"tok/en=="}
    status, text = sinks.run_test(tree, tmp_path, kinesis(double))
    assert status == 0, text
    status, text = sinks.run_test(tree, tmp_path, kinesis(double,
                                                          stream="other"))
    assert status == 1 and "ResourceNotFound" in text, text


def test_each_record_has_its_answer(new_tree, double):
    """Failed ones alone are sent again, refused ones alone are dead."""
    seen = collections.Counter()

    def fails(data):
        n = int(data)
        seen[n] += 1
        if n == 13:
            return "ValidationException"
        if n % 5 == 0 and seen[n] == 1:
            return "ProvisionedThroughputExceededException"
        if n % 7 == 0 and seen[n] == 1:
            return "InternalFailure"
        return None

    double.fails = fails
    tree = start(new_tree, kinesis(double, {"batch": sinks.ONE_BATCH},
                                   data="${payload.n}",
                                   partition_key="k${payload.n}"))
    publish(tree, sinks.numbers(60) + [("t/x", '{"n": "%s"}' % ("9" * 300))])
    drained(tree, 61, dlq=2)
    assert sorted(int(data) for _, data in double.records) == [
        n for n in range(60) if n != 13]
    assert all(key == "k%d" % int(data) for key, data in double.records)
    errors = " ".join(row["error"] for row in sinks.dead(tree))
    assert "ValidationException: so it is" in errors
    assert "256 characters" in errors


def test_order_of_a_key(new_tree, double):
    """order key: one record of a key in a request, and in log order."""
    seen = collections.Counter()

    def fails(data):
        seen[data] += 1
        return ("InternalFailure" if int(data) % 9 == 0 and seen[data] == 1
                else None)

    double.fails = fails
    tree = start(new_tree, kinesis(double, {
        "order": "key", "batch": {"max_records": 60, "linger_ms": 100}},
        data="${payload.n}"))
    publish(tree, [("t/%d" % (n % 4), json.dumps({"n": n}))
                   for n in range(120)])
    drained(tree, 120)
    assert max(double.sizes) <= 4
    got = collections.defaultdict(list)
    for key, data in double.records:
        got[key].append(int(data))
    assert got == {"t/%d" % k: list(range(k, 120, 4)) for k in range(4)}


def taken_apart(data):
    """User records of the aggregated format."""
    assert data[:4] == b"\xf3\x89\x9a\xc2"
    message, digest = data[4:-16], data[-16:]
    assert hashlib.md5(message).digest() == digest

    def fields(text):
        at = 0

        def varint():
            nonlocal at
            value = shift = 0
            while True:
                byte = text[at]
                at += 1
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    return value
        while at < len(text):
            tag = varint()
            if tag & 7 == 0:
                yield tag >> 3, varint()
            else:
                size = varint()
                yield tag >> 3, text[at:at + size]
                at += size
    keys = [v.decode() for n, v in fields(message) if n == 1]
    rows = []
    for number, value in fields(message):
        if number == 3:
            row = dict(fields(value))
            rows.append((keys[row[1]], row[3]))
    return rows


def test_aggregate(new_tree, double):
    """One record for each key, in order; it fails and comes again whole."""
    failed = []

    def fails(data):
        if not failed and b"t/1" in data:
            failed.append(1)
            return "InternalFailure"
        return None

    double.fails = fails
    tree = start(new_tree, kinesis(double, {
        "order": "key", "batch": sinks.ONE_BATCH}, aggregate=True,
        data="${payload.n}"))
    publish(tree, [("t/%d" % (n % 3), json.dumps({"n": n}))
                   for n in range(90)])
    drained(tree, 90)
    assert failed and max(double.sizes) <= 3
    got = collections.defaultdict(list)
    for key, data in double.records:
        for inner, value in taken_apart(data):
            assert inner == key
            got[key].append(int(value))
    assert got == {"t/%d" % k: list(range(k, 90, 3)) for k in range(3)}


def test_large_records(new_tree, double):
    """A request stays under 5 MiB; more than 1 MiB is refused."""
    tree = start(new_tree, kinesis(double, {
        "batch": {"max_records": 500, "max_bytes": "16MiB",
                  "linger_ms": 400}}, data="${payload}",
        partition_key="${offset}"), limits={"max_packet_size": "4MiB"})
    publish(tree, [("t/a", b"x" * 900000) for _ in range(12)]
            + [("t/a", b"x" * (1 << 20))])
    drained(tree, 13, dlq=1)
    assert max(double.sizes) <= 5 and sum(double.sizes) == 12
    assert "1 MiB" in sinks.dead(tree)[0]["error"]


def test_refused_keys(new_tree, double):
    double.expects_faults = True
    tree = start(new_tree, kinesis(double, secret_access_key="wrong-pw"))
    publish(tree, sinks.numbers(3))
    shown = sinks.reason(tree, "InvalidSignature")
    assert "wrong-pw" not in json.dumps(shown) + tree.log()


def test_faults(new_tree, double):
    """Half an answer, too few entries, throttling: nothing is dead."""
    double.faults.extend([
        (200, b'{"Records":[{"SequenceNumber"'),
        (200, b'{"Records":[]}'), (500, b'{"__type":"InternalFailure"}'),
        (400, b'{"__type":"ThrottlingException","message":"slow"}'),
        (503, b""), None])
    tree = start(new_tree, kinesis(double, {
        "batch": sinks.ONE_BATCH, "failure_strategy": {
            **sinks.QUICK, "retry_total_times": 5}}, data="${payload.n}"))
    publish(tree, sinks.numbers(20))
    drained(tree, 20)
    assert {int(data) for _, data in double.records} == set(range(20))


def test_storm(new_tree, double):
    tree = start(new_tree, kinesis(double, data="${payload.n}"))

    def outage():
        double.target.close()
        time.sleep(1)
        double.target = servers.HttpTarget(double.target.port)
        double.target.answer = double.answer

    sinks.storm(tree, 20000, outage)
    assert {int(data) for _, data in double.records} == set(range(20000))


def test_hung_server(new_tree):
    class At:
        def __init__(self, port):
            self.target = self
            self.port = port
    sinks.hangs(new_tree, lambda port: kinesis(At(port), timeout_ms=300))


@pytest.mark.parametrize("change, words", [
    ({"region": None}, ["region"]),
    ({"region": "a b"}, ["region"]),
    ({"stream": "a/b"}, ["stream"]),
    ({"secret_access_key": None}, ["secret_access_key"]),
    ({"endpoint": "http://"}, ["endpoint"]),
    ({"tls": {"enable": True}}, ["endpoint", "https"]),
])
def test_definitions(tmp_path, change, words):
    config = {"stream": "s", "region": "r", "access_key_id": "a",
              "secret_access_key": "s-not-shown", "endpoint": "http://h",
              **change}
    config = {k: v for k, v in config.items() if v is not None}
    status, text = sinks.check(tmp_path, sinks.definition(
        "kinesis", config))
    assert status == 2 and "s-not-shown" not in text, text
    for word in words:
        assert word in text, text
