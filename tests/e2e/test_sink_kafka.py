"""The kafka type against librdkafka's mock cluster: the real protocol, three
brokers and injected errors. A real Kafka is not shown here."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

import bulkhead
import kafka_mock
import mqtt_raw
import servers
import sinks
from sinks import dead, drained, numbers, publish, reason

if not kafka_mock.NAME:
    pytest.skip("librdkafka is not installed", allow_module_level=True)

PRODUCE = 0


class Cluster:
    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, kafka_mock.__file__, "t1"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=bulkhead._dies_with_us)
        self.bootstrap = self.process.stdout.readline().strip()
        assert self.bootstrap

    def do(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "ok\n"

    def pause(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def consume(self, topic="t1"):
        return kafka_mock.consume(self.bootstrap, topic)

    def values(self):
        return [json.loads(m[1])["n"] for m in self.consume()]

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def kafka():
    cluster = Cluster()
    yield cluster
    cluster.stop()


def definition(cluster, common=None, **config):
    servers_ = cluster if isinstance(cluster, str) else cluster.bootstrap
    return sinks.definition("kafka", {
        "bootstrap_servers": servers_, "topic": "t1",
        "message_timeout_ms": 2000, **config}, **(common or {}))


def start(new_tree, *args, **options):
    return sinks.start(new_tree, definition(*args, **options))


def test_record(new_tree, kafka):
    tree = start(new_tree, kafka)
    publish(tree, [("t/a", b"\x00\xff")], version=5,
            props=mqtt_raw.user_property("a", "1")
            + mqtt_raw.user_property("a", "2"))
    publish(tree, [("t/b", "")])
    drained(tree, 2)
    first, second = kafka.consume()
    assert first[:2] == (b"t/a", b"\x00\xff")
    assert [h for h in first[2] if h[0] == "a"] == [("a", b"1"), ("a", b"2")]
    assert dict(first[2])["bulkhead-id"].startswith(b"t.")
    assert abs(first[3] - time.time() * 1000) < 60000
    assert second[:2] == (b"t/b", b"")


@pytest.mark.parametrize("config", [
    {"compression": "gzip", "acks": "1", "idempotence": False},
    {"compression": "lz4", "acks": "0", "idempotence": False},
    {"compression": "zstd", "batch_size": "1KiB", "linger_ms": 0},
    {"compression": "snappy", "linger_ms": 50,
     "properties": {"socket.keepalive.enable": "true"}}])
def test_options(new_tree, kafka, config):
    tree = start(new_tree, kafka, key="k-${payload.n}", headers=False,
                 **config)
    publish(tree, numbers(300))
    drained(tree, 300)
    got = kafka.consume()
    assert [json.loads(m[1])["n"] for m in got] == list(range(300))
    assert got[7][0] == b"k-7" and got[7][2] == []


def test_refused_records(new_tree, kafka):
    tree = start(new_tree, kafka, topic="${payload.t}",
                 properties={"message.max.bytes": "20000"},
                 common={"batch": {"max_records": 500, "linger_ms": 300}})
    publish(tree, [("t/a", json.dumps({"n": n, "t": "a/b" if n == 7 else "t1"}
                                      )) for n in range(20)]
            + [("t/a", "no json"),
               ("t/a", json.dumps({"t": "t1", "x": "x" * 30000}))])
    drained(tree, 22, dlq=3)
    errors = " ".join(row["error"] for row in dead(tree))
    assert "topic" in errors and "too large" in errors.lower(), errors
    assert kafka.values() == [n for n in range(20) if n != 7]


def test_broker_errors(new_tree, kafka):
    """Errors that pass are retried by the library, in order."""
    kafka.do("errors", PRODUCE, 7, 6, 19, 7)
    tree = start(new_tree, kafka)
    publish(tree, numbers(200))
    drained(tree, 200)
    assert kafka.values() == list(range(200))


def test_not_authorized_waits(new_tree, kafka):
    kafka.do("errors", PRODUCE, *[29] * 3)
    tree = start(new_tree, kafka)
    publish(tree, numbers(5))
    drained(tree, 5)
    assert "authorization" in tree.log().lower()


@pytest.mark.parametrize("fault", ["hung", "down"])
def test_outage(new_tree, kafka, fault):
    tree = start(new_tree, kafka)
    if fault == "hung":
        sinks.outage(tree, kafka, kafka.pause, kafka.resume)
    else:
        sinks.outage(tree, kafka, lambda: kafka.do("down"),
                     lambda: kafka.do("up"))
    assert set(kafka.values()) == set(range(100))


def test_nobody_there(new_tree):
    """The reason names what the library said; nothing is dead."""
    tree = start(new_tree, "127.0.0.1:%d" % bulkhead.free_port(),
                 message_timeout_ms=1000)
    publish(tree, numbers(5))
    reason(tree, "refused")
    assert tree.audit("c")["c"]["dlq"] == 0


@pytest.mark.parametrize("mode", ["hang", "garbage"])
def test_bad_server(new_tree, mode):
    bad = servers.BadServer(mode)
    tree = start(new_tree, "127.0.0.1:%d" % bad.port, message_timeout_ms=1000)
    publish(tree, numbers(5))
    reason(tree, "")
    time.sleep(2)
    assert tree.audit("c")["c"]["dlq"] == 0
    bad.close()
    assert not tree.crashes()


def test_kills(new_tree, kafka):
    """Brokers down, worker killed under 20,000 records: none is lost."""
    tree = start(new_tree, kafka, {"in_flight": 4})

    def down():
        kafka.do("down")
        time.sleep(0.5)
        kafka.do("up")
    sinks.under_kills(tree, 20000, [
        ("worker", lambda: tree.kill("worker")), ("brokers", down)],
        rounds_min=2)
    # The mock keeps the last 5 MiB of a partition.
    assert set(range(19000, 20000)) <= set(kafka.values())


@pytest.mark.parametrize("change, words", [
    ({"acks": "1"}, ["acks", "idempotence"]),
    ({"security": "sasl_ssl"}, ["sasl.username", "sasl.password"]),
    ({"sasl": {"username": "u", "password": "p"}}, ["sasl.username"]),
    ({"properties": {"no.such": "1"}}, ["properties", "no.such"]),
    ({"properties": {"acks": "0"}}, ["properties", "acks"]),
    ({"properties": {"plugin.library.paths": "x"}}, ["properties"]),
    ({"properties": {"delivery.report.only.error": "true"}}, ["properties"]),
    ({"tls": {"cert_file": "/x"}}, ["tls.cert_file"]),
    ({"topic": "${no}"}, ["topic"]),
    ({"compression": "x"}, ["compression"]),
])
def test_definitions(tmp_path, change, words):
    status, text = sinks.check(tmp_path, "kafka", {
        "bootstrap_servers": "h", "topic": "t", **change})
    assert status == 2, text
    for word in words:
        assert word in text, text


def test_connector_test(new_tree, kafka, tmp_path):
    tree = new_tree({"streams": sinks.STREAMS}).start()
    status, text = sinks.connector_test(tree, tmp_path, "kafka",
                                        definition(kafka)["config"])
    assert status == 0 and "3" in text, text
    status, text = sinks.connector_test(
        tree, tmp_path, "kafka", definition(
            "127.0.0.1:%d" % bulkhead.free_port())["config"])
    assert status == 1, text
