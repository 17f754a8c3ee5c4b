"""The mqtt type against Mosquitto: a bridge."""

import json
import subprocess
import threading
import time

import pytest

import bulkhead
import mqtt_raw
import servers
import sinks
import targets
from sinks import dead, drained, numbers, publish, reason
from targets import authority  # noqa: F401

targets.needs("mosquitto")


@pytest.fixture
def own():
    """Makes brokers that the test may kill."""
    made = []

    def make(*args):
        made.append(targets.Mosquitto(*args))
        return made[-1].start()
    yield make
    for server in made:
        server.stop()


class Listener(threading.Thread):
    """Subscribes to everything, comes back after every break and keeps what
    came, in order."""

    def __init__(self, port, version=5, qos=1, **login):
        super().__init__(daemon=True)
        self.port = port
        self.options = {"version": version, **login}
        self.qos = qos
        self.messages = []
        self.ready = threading.Event()
        self.ending = False
        self.start()
        assert self.ready.wait(10)

    def run(self):
        while not self.ending:
            try:
                conn = mqtt_raw.Conn(self.port, "listener", clean=False,
                                     **self.options)
                conn.subscribe("#", qos=self.qos)
                self.ready.set()
                while not self.ending:
                    m = conn.message(0.2)
                    if m:
                        self.messages.append(m)
            except (OSError, mqtt_raw.Closed, AssertionError):
                time.sleep(0.1)

    def wait(self, count, timeout=15):
        bulkhead.wait_for(lambda: len(self.messages) >= count, timeout,
                          "%d messages" % count)
        return self.messages

    def stop(self):
        self.ending = True
        self.join()


def values(messages):
    return [json.loads(m.payload)["n"] for m in messages]


def definition(broker, common=None, **config):
    return sinks.definition("mqtt", {
        "server": "mqtt://127.0.0.1:%d" % broker.port, "timeout_ms": 1500,
        **config}, **(common or {}))


def start(new_tree, *args, **options):
    return sinks.start(new_tree, definition(*args, **options))


# ---- messages ----------------------------------------------------------------


def test_message(new_tree, own):
    broker = own()
    listener = Listener(broker.port)
    tree = start(new_tree, broker)
    long = "x" * 20000
    props = (b"\x01\x01" + b"\x03" + mqtt_raw.text("text/x")
             + b"\x08" + mqtt_raw.text("re/ply")
             + b"\x09" + mqtt_raw.text(b"co\x00rr")
             + b"\x02\x00\x00\x0e\x10"
             + mqtt_raw.user_property("a", "1")
             + mqtt_raw.user_property("a", long))
    publish(tree, [("t/a", "hello")], version=5, props=props)
    publish(tree, [("t/b", b"\x00\xff")])
    drained(tree, 2)
    first, second = listener.wait(2)
    assert (first.topic, first.payload, first.qos) == ("t/a", b"hello", 1)
    assert (second.topic, second.payload) == ("t/b", b"\x00\xff")
    raw = first.props if isinstance(first.props, bytes) else repr(
        first.props).encode()
    for part in (b"text/x", b"re/ply", b"co", long.encode(),
                 b"bulkhead-id"):
        assert part in raw, raw[:300]
    listener.stop()


@pytest.mark.parametrize("version, qos", [("5", 0), ("5", 2), ("3.1.1", 1),
                                          ("3.1.1", 2)])
def test_qos(new_tree, own, version, qos):
    broker = own()
    listener = Listener(broker.port, qos=2)
    tree = start(new_tree, broker, protocol_version=version, qos=qos,
                 topic="up/${topic}", in_flight=10)
    publish(tree, numbers(500))
    drained(tree, 500)
    got = listener.wait(500)
    assert values(got) == list(range(500))
    assert {m.qos for m in got} == {qos} and got[0].topic == "up/t/a"
    listener.stop()


@pytest.mark.parametrize("retain, kept", [("keep", 1), ("true", 2),
                                          ("false", 0)])
def test_retain(new_tree, own, retain, kept):
    broker = own()
    tree = start(new_tree, broker, retain=retain)
    conn = mqtt_raw.Conn(tree.mqtt_port, "p")
    conn.publish("t/kept", "{}", qos=1, retain=True)
    conn.publish("t/not", "{}", qos=1)
    conn.disconnect()
    drained(tree, 2)
    conn = mqtt_raw.Conn(broker.port, "l")
    conn.subscribe("#")
    got = []
    while (m := conn.message(0.5)) is not None:
        got.append(m)
    assert len(got) == kept and all(m.retain for m in got)


def test_client_id_and_keepalive(new_tree, own):
    broker = own("allow_anonymous true\nlog_type all\n")
    tree = start(new_tree, broker, client_id="my-bridge", keepalive_s=5,
                 clean_start=False)
    publish(tree, numbers(1))
    drained(tree, 1)
    assert "as my-bridge (p5, c0, k5)" in broker.log()
    time.sleep(8)
    publish(tree, numbers(1, 1))
    drained(tree, 2)
    assert broker.log().count("as my-bridge") == 1


def test_refused_records(new_tree, own):
    """No topic to publish to: that record alone."""
    broker = own()
    listener = Listener(broker.port)
    tree = start(new_tree, broker, topic="${payload.t}",
                 common={"batch": {"max_records": 500, "linger_ms": 300}})
    publish(tree, [("t/a", json.dumps(
        {"n": n, "t": "a/#" if n == 7 else "x"})) for n in range(20)]
        + [("t/a", "no json")])
    drained(tree, 21, dlq=2)
    assert len(dead(tree)) == 2
    assert values(listener.wait(19)) == [n for n in range(20) if n != 7]
    listener.stop()


def test_not_authorized_topic(new_tree, own):
    broker = own()
    broker.kill()
    acl = broker.write("acl", "topic readwrite ok/#\n")
    broker.write("m.conf", "listener %d 127.0.0.1\nuser root\n"
                 "allow_anonymous true\nacl_file %s\n" % (broker.port, acl))
    broker.start()
    tree = start(new_tree, broker, topic="${payload.t}/x")
    publish(tree, [("t/a", json.dumps({"t": t}))
                   for t in ("ok", "no", "ok")])
    drained(tree, 3, dlq=1)
    assert "authorized" in dead(tree)[0]["error"].lower()


# ---- login, TLS ------------------------------------------------------------------


def test_login(new_tree, own):
    broker = own()
    broker.kill()
    broker.write("pw", "")
    subprocess.run(["mosquitto_passwd", "-b", broker.path("pw"), "u",
                    "s3cr3t-pw"], check=True, capture_output=True)
    broker.write("m.conf", "listener %d 127.0.0.1\nuser root\n"
                 "password_file %s\n" % (broker.port, broker.path("pw")))
    broker.start()
    tree = start(new_tree, broker, username="u", password="wr0ng-pw")
    publish(tree, numbers(3))
    shown = reason(tree, "uthorized")
    assert "wr0ng-pw" not in json.dumps(shown) + tree.log()
    assert tree.audit("c")["c"]["dlq"] == 0
    tree.write_config(connectors={"c": definition(
        broker, username="u", password="s3cr3t-pw")})
    tree.cli("reload")
    drained(tree, 3)
    assert "s3cr3t-pw" not in json.dumps(tree.show("c")) + tree.log()


def test_tls(new_tree, own, authority):  # noqa: F811
    port = bulkhead.free_port()
    own("allow_anonymous true\nlistener %d 127.0.0.1\nallow_anonymous true\n"
        "cafile %s\ncertfile %s\nkeyfile %s\nrequire_certificate true\n"
        % (port, authority.ca, authority.cert, authority.key))
    tls = {"ca_file": authority.ca,
           "cert_file": authority._path("client.crt"),
           "key_file": authority._path("client.key")}

    def config(host="localhost", **change):
        return sinks.definition("mqtt", {
            "server": "mqtts://%s:%d" % (host, port), "timeout_ms": 1500,
            "tls": {k: v for k, v in {**tls, **change}.items()
                    if v is not None}, "client_id": host + repr(change)})
    tree = new_tree({"streams": sinks.STREAMS, "connectors": {
        "c": config(), "address": config("127.0.0.1"),
        "unknown": config(ca_file=None),
        "lax": config(ca_file=None, verify=False)}}).start()
    publish(tree, numbers(20))
    drained(tree, 20)
    for name in ("address", "lax"):
        assert tree.wait_drained(name, 20, 20)["delivered"] == 20
    bulkhead.wait_for(lambda: tree.show("unknown")["reason"], what="unknown")
    assert tree.audit("unknown")["unknown"]["delivered"] == 0


# ---- outages ---------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["hung", "killed"])
def test_outage(new_tree, own, fault):
    broker = own()
    tree = start(new_tree, broker)
    if fault == "hung":
        sinks.outage(tree, broker, broker.pause, broker.resume, 4)
    else:
        sinks.outage(tree, broker, broker.kill, broker.start)


@pytest.mark.parametrize("mode", ["hang", "garbage", "refuse"])
def test_bad_server(new_tree, mode):
    bad = servers.BadServer(mode)
    tree = start(new_tree, bad, timeout_ms=500)
    publish(tree, numbers(10))
    reason(tree, "127.0.0.1")
    time.sleep(2)
    row = tree.audit("c")["c"]
    assert row["dlq"] == 0 and row["delivered"] == 0, str(row)
    bad.close()
    assert not tree.crashes()


def test_host_name(new_tree, own):
    """Another address of the name takes over where one does not answer."""
    broker = own()
    tree = start(new_tree, broker, server="mqtt://localhost:%d" % broker.port)
    publish(tree, numbers(5))
    drained(tree, 5)


def test_kills(new_tree, own):
    """The connection and the worker killed under 20,000 records. The broker
    itself stays: it keeps nothing that it has not written yet."""
    broker = own()
    listener = Listener(broker.port)
    tree = start(new_tree, broker, {"in_flight": 2})

    def hang():
        broker.pause()
        time.sleep(0.3)
        broker.resume()
    sinks.under_kills(tree, 20000, [
        ("hang", hang), ("worker", lambda: tree.kill("worker"))])
    bulkhead.wait_for(lambda: len(set(values(listener.messages))) == 20000,
                      20, "all messages")
    listener.stop()


# ---- definitions, test -------------------------------------------------------------


@pytest.mark.parametrize("change, words", [
    ({"server": "h:1"}, ["server", "mqtt://"]),
    ({"server": "mqtt://u:p@h"}, ["server"]),
    ({"server": "mqtt://h:0"}, ["server"]),
    ({"password": "p"}, ["password", "username"]),
    ({"tls": {"ca_file": "/x"}}, ["tls"]),
    ({"qos": 2, "clean_start": False}, ["clean_start"]),
    ({"qos": 3}, ["qos"]),
    ({"topic": "${no}"}, ["topic"]),
])
def test_definitions(tmp_path, change, words):
    status, text = sinks.check(tmp_path, "mqtt", {
        "server": "mqtt://h", **change})
    assert status == 2, text
    for word in words:
        assert word in text, text


def test_connector_test(new_tree, own, tmp_path):
    broker = own()
    tree = new_tree({"streams": sinks.STREAMS}).start()
    listener = Listener(broker.port)

    def run(**config):
        return sinks.connector_test(tree, tmp_path, "mqtt",
                                    definition(broker, **config)["config"])
    status, text = run()
    assert status == 0, text
    status, text = run(server="mqtt://127.0.0.1:%d" % bulkhead.free_port())
    assert status == 1, text
    assert not listener.messages
    listener.stop()
