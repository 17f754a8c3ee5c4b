"""The nats type against real servers, with JetStream and without."""

import json
import time

import pytest

import bulkhead
import mqtt_raw
import servers
import sinks
import targets
from sinks import dead, drained, numbers, publish, reason
from targets import authority  # noqa: F401

targets.needs("nats-server")


@pytest.fixture(scope="module")
def shared():
    server = targets.Nats().start()
    yield server
    server.stop()


@pytest.fixture
def nats(shared, request):
    """The server, with a new stream of everything under its name."""
    shared.name = "s%d" % (abs(hash(request.node.nodeid)) % 10**8)
    shared.stream(shared.name, shared.name + ".>")
    return shared


@pytest.fixture
def own():
    """Makes servers that the test may kill."""
    made = []

    def make(*args, **options):
        made.append(targets.Nats(*args, **options))
        made[-1].name = "s"
        return made[-1].start()
    yield make
    for server in made:
        server.stop()


def definition(broker, common=None, **config):
    return sinks.definition("nats", {
        "url": "nats://127.0.0.1:%d" % broker.port,
        "subject": getattr(broker, "name", "s") + ".${topic[1]}",
        "timeout_ms": 1500, **config}, **(common or {}))


def start(new_tree, *args, **options):
    return sinks.start(new_tree, definition(*args, **options))


def values(messages):
    return [json.loads(body)["n"] for _, _, body in messages]


# ---- messages ----------------------------------------------------------------


def test_message(new_tree, nats):
    tree = start(new_tree, nats)
    props = (b"\x03" + mqtt_raw.text("text/x")
             + mqtt_raw.user_property("a", "\u00e9")
             + mqtt_raw.user_property("a", "2"))
    publish(tree, [("t/a", b"\x00\xff")], version=5, props=props)
    publish(tree, [("t/b", "")])
    drained(tree, 2)
    (_, headers, body), (_, second, empty) = nats.drain(nats.name)
    assert body == b"\x00\xff" and empty == b""
    lines = headers.decode().split("\r\n")
    assert "Bulkhead-Topic: t/a" in lines, lines
    assert "Content-Type: text/x" in lines
    assert "a: \u00e9" in lines and "a: 2" in lines
    assert any(v.startswith("Nats-Msg-Id: t.") for v in lines), lines
    assert b"Bulkhead-Topic: t/b" in second


def test_order(new_tree, nats):
    tree = start(new_tree, nats, {
        "batch": {"max_records": 7, "linger_ms": 1}, "in_flight": 4})
    publish(tree, numbers(1000))
    drained(tree, 1000)
    assert values(nats.drain(nats.name)) == list(range(1000))


def test_twice_within_the_window(new_tree, nats):
    """The worker killed: what comes again is dropped by its id."""
    tree = start(new_tree, nats, {
        "batch": {"max_records": 50, "linger_ms": 1}})
    for first in range(0, 1000, 250):
        publish(tree, numbers(250, first))
        tree.kill("worker")
        time.sleep(0.3)
    drained(tree, 1000)
    assert values(nats.drain(nats.name)) == list(range(1000))


def test_without_jetstream(new_tree, nats):
    tree = start(new_tree, nats, jetstream=False, subject="core.${topic[1]}",
                 headers=False)
    with nats.client() as client:
        client.subscribe("core.*")
        publish(tree, numbers(500))
        drained(tree, 500)
        got = [client.message() for _ in range(500)]
    assert values(got) == list(range(500))
    assert got[0][0] == "core.a" and got[0][1] == b""


# ---- what the server does not take -----------------------------------------------


def test_refused_records(new_tree, nats):
    """No subject, too large, a header that cannot be: each alone is dead."""
    tree = start(new_tree, nats, {"batch": {"max_records": 500,
                                            "linger_ms": 300}})
    publish(tree, numbers(20))
    publish(tree, [("t/x y", "{}"), ("t/", "{}")])
    publish(tree, [("t/big", "x" * 250000)])
    publish(tree, [("t/h", "{}")], version=5,
            props=mqtt_raw.user_property("a b", "c"))
    publish(tree, numbers(20, 20))
    drained(tree, 44, dlq=4)
    errors = " ".join(row["error"] for row in dead(tree))
    assert "subject" in errors and "header" in errors, errors
    assert set(values(nats.drain(nats.name))) == set(range(40))


def test_no_stream(new_tree, nats):
    """A subject that no stream takes: tried again, then dead."""
    tree = start(new_tree, nats, subject="${payload.s}.x")
    publish(tree, [("t/%d" % n, json.dumps(
        {"n": n, "s": "none" if n % 10 == 3 else nats.name}))
        for n in range(50)])
    drained(tree, 50, dlq=5)
    assert all("no stream" in row["error"] and row["tries"] == 3
               for row in dead(tree))
    assert nats.count(nats.name) == 45


def test_full_stream_waits(new_tree, shared, request):
    shared.name = "full"
    shared.stream("full", "full.>", max_msgs=3, discard="new")
    tree = start(new_tree, shared)
    publish(tree, numbers(5))
    reason(tree, "maximum messages")
    assert tree.audit("c")["c"]["dlq"] == 0
    with shared.client() as client:
        client.request("$JS.API.STREAM.UPDATE.full", name="full",
                       subjects=["full.>"], max_msgs=100, discard="new",
                       storage="file")
    drained(tree, 5)


def test_no_jetstream_at_all(new_tree, own):
    """The server has none: everything waits."""
    server = own()
    server.kill()
    server.write("n.conf", 'listen: "127.0.0.1:%d"\n' % server.port)
    server.start()
    tree = start(new_tree, server)
    publish(tree, numbers(5))
    reason(tree, "no stream")
    time.sleep(1)
    assert tree.audit("c")["c"]["dlq"] == 0


# ---- login, TLS ------------------------------------------------------------------


def test_login(new_tree, own):
    server = own('authorization: {users: [{user: u, password: "s3cr3t-pw"}, '
                 '{user: v, password: "v-pw", permissions: {publish: ["s.a", '
                 '"$JS.API.>"]}}]}', user="u")
    server.login["pass"] = "s3cr3t-pw"
    server.stream("s", "s.>")
    tree = start(new_tree, server, username="u", password="wr0ng-pw")
    publish(tree, numbers(3))
    shown = reason(tree, "Authorization")
    assert "wr0ng-pw" not in json.dumps(shown) + tree.log()
    assert tree.audit("c")["c"]["dlq"] == 0
    tree.write_config(connectors={"c": definition(
        server, username="u", password="s3cr3t-pw")})
    tree.cli("reload")
    drained(tree, 3)
    assert "s3cr3t-pw" not in json.dumps(tree.show("c")) + tree.log()
    tree.write_config(connectors={"c": definition(
        server, username="v", password="v-pw")})
    tree.cli("reload")
    publish(tree, numbers(3, 3))
    drained(tree, 6)
    publish(tree, numbers(1, topic="t/b"))
    reason(tree, "ermission")
    assert tree.audit("c")["c"]["dlq"] == 0


def test_token(new_tree, own):
    server = own('authorization: {token: "t0ken"}', auth_token="t0ken")
    server.stream("s", "s.>")
    tree = start(new_tree, server, token="t0ken")
    publish(tree, numbers(3))
    drained(tree, 3)
    assert "t0ken" not in json.dumps(tree.show("c")) + tree.log()


def test_tls(new_tree, own, authority):  # noqa: F811
    server = own('tls: {cert_file: "%s", key_file: "%s", ca_file: "%s", '
                 'verify: true}' % (authority.cert, authority.key,
                                    authority.ca))
    tls = {"enable": True, "ca_file": authority.ca,
           "cert_file": authority._path("client.crt"),
           "key_file": authority._path("client.key")}

    def config(host="localhost", **change):
        return definition(
            server, url="nats://%s:%d" % (host, server.port), jetstream=False,
            tls={k: v for k, v in {**tls, **change}.items() if v is not None})
    tree = new_tree({"streams": sinks.STREAMS, "connectors": {
        "c": config(), "address": config("127.0.0.1",
                                         server_name="localhost"),
        "unknown": config(ca_file=None),
        "other": config(server_name="other.example"),
        "lax": config(server_name="other.example", verify=False)}}).start()
    publish(tree, numbers(20))
    drained(tree, 20)
    for name in ("address", "lax"):
        assert tree.wait_drained(name, 20, 20)["delivered"] == 20
    for name in ("unknown", "other"):
        bulkhead.wait_for(lambda: tree.show(name)["reason"], what=name)
        assert tree.audit(name)[name]["delivered"] == 0


# ---- outages ---------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["hung", "killed"])
def test_outage(new_tree, own, fault):
    server = own()
    server.stream("s", "s.>")
    tree = start(new_tree, server)
    if fault == "hung":
        sinks.outage(tree, server, server.pause, server.resume, 4)
    else:
        sinks.outage(tree, server, server.kill, server.start)
    assert set(values(server.drain("s"))) == set(range(100))


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


def test_another_of_the_list(new_tree, nats):
    tree = start(new_tree, nats, url="nats://127.0.0.1:%d, nats://localhost:%d"
                 % (bulkhead.free_port(), nats.port))
    publish(tree, numbers(5))
    drained(tree, 5)


def test_kills(new_tree, own):
    """Server and worker killed under 20,000 records: none is lost."""
    server = own()
    server.stream("s", "s.>")
    tree = start(new_tree, server, {"in_flight": 4})
    sinks.under_kills(tree, 20000, [
        ("server", server.restart), ("worker", lambda: tree.kill("worker"))])
    assert set(values(server.drain("s"))) == set(range(20000))


# ---- definitions, test -------------------------------------------------------------


@pytest.mark.parametrize("change, words", [
    ({"url": "h:1"}, ["url", "nats://"]),
    ({"url": "nats://u:p@h:1"}, ["url", "login"]),
    ({"username": "u"}, ["username", "password"]),
    ({"username": "u", "password": "p", "token": "t"}, ["only one"]),
    ({"subject": "${no}"}, ["subject"]),
    ({"tls": {"ca_file": "/x"}}, ["tls.ca_file"]),
    ({"url": "nats://1.2.3.4:1", "tls": {"enable": True}},
     ["tls.server_name"]),
])
def test_definitions(tmp_path, change, words):
    status, text = sinks.check(tmp_path, "nats", {
        "url": "nats://h:4222", **change})
    assert status == 2, text
    for word in words:
        assert word in text, text


def test_connector_test(new_tree, nats, tmp_path):
    tree = new_tree({"streams": sinks.STREAMS}).start()

    def run(**config):
        return sinks.connector_test(tree, tmp_path, "nats",
                                    definition(nats, **config)["config"])
    status, text = run()
    assert status == 0 and "jetstream" in text, text
    assert run(jetstream=False)[0] == 0
    status, text = run(url="nats://127.0.0.1:%d" % bulkhead.free_port())
    assert status == 1, text
    assert nats.count(nats.name) == 0
