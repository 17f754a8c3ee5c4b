"""The rabbitmq type against a real server."""

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

targets.needs("rabbitmq-server", "epmd")
pytest.importorskip("pika")


@pytest.fixture(scope="module")
def rabbit(authority):  # noqa: F811
    """One server for all: it takes seconds to start."""
    tls = bulkhead.free_port()
    server = targets.RabbitMQ(
        "listeners.ssl.1 = 127.0.0.1:%d\nssl_options.cacertfile = %s\n"
        "ssl_options.certfile = %s\nssl_options.keyfile = %s\n"
        "ssl_options.verify = verify_peer\n"
        "ssl_options.fail_if_no_peer_cert = true\n"
        "max_message_size = 100000\n"
        % (tls, authority.ca, authority.cert, authority.key))
    server.tls_port = tls
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def queue(rabbit, request):
    """A new queue's name."""
    name = request.node.name
    rabbit.queue(name)
    return name


def definition(broker, key, common=None, **config):
    return sinks.definition("rabbitmq", {
        "server": "127.0.0.1", "port": broker.port, "username": "test",
        "password": "s3cr3t", "routing_key": key, "timeout_ms": 2000,
        **config}, **(common or {}))


def start(new_tree, *args, **options):
    return sinks.start(new_tree, definition(*args, **options))


def values(messages):
    return [json.loads(body)["n"] for _, _, body in messages]


# ---- messages ----------------------------------------------------------------


def test_message(new_tree, rabbit, queue):
    tree = start(new_tree, rabbit, queue)
    props = (b"\x03" + mqtt_raw.text("text/x")
             + mqtt_raw.user_property("a", "\u00e9")
             + mqtt_raw.user_property("a", "2")
             + b"\x09" + mqtt_raw.text(b"corr")
             + b"\x08" + mqtt_raw.text("re/ply"))
    publish(tree, [("t/a", b"\x00\xff")], version=5, props=props)
    publish(tree, [("t/b", "")])
    drained(tree, 2)
    (_, first, body), (_, second, empty) = rabbit.drain(queue)
    assert body == b"\x00\xff" and empty == b""
    assert first.content_type == "text/x" and first.delivery_mode == 2
    assert first.correlation_id == "corr" and first.reply_to == "re/ply"
    assert first.headers["bulkhead-topic"] == "t/a"
    assert first.headers["a"] in ("\u00e9", "2")
    assert abs(first.headers["bulkhead-timestamp-ms"]
               - time.time() * 1000) < 60000
    assert abs(first.timestamp - time.time()) < 60
    assert first.message_id.startswith("t.") and \
        first.message_id != second.message_id


def test_options(new_tree, rabbit, queue):
    """Exchange, key from the record, transient, no headers."""
    with rabbit.channel() as channel:
        channel.exchange_declare("ex", "topic", durable=True)
        channel.queue_bind(queue, "ex", "*.x")
    tree = start(new_tree, rabbit, "${payload.n}.x", exchange="ex",
                 delivery_mode=1, headers=False, content_type="a/${topic}",
                 publisher_confirms=False, mandatory=False, heartbeat_s=1)
    publish(tree, numbers(20))
    drained(tree, 20)
    messages = rabbit.drain(queue)
    assert values(messages) == list(range(20))
    method, props, _ = messages[7]
    assert method.routing_key == "7.x" and method.exchange == "ex"
    assert props.delivery_mode == 1 and props.headers is None
    assert props.content_type == "a/t/a"
    # Heartbeats go on while nothing is sent: the connection is still there.
    time.sleep(4)
    publish(tree, numbers(1, 20))
    drained(tree, 21)
    assert "unavailable" not in tree.log()


def test_order(new_tree, rabbit, queue):
    tree = start(new_tree, rabbit, queue, {
        "batch": {"max_records": 7, "linger_ms": 1}, "in_flight": 4})
    publish(tree, numbers(1000))
    drained(tree, 1000)
    assert values(rabbit.drain(queue)) == list(range(1000))


def test_virtual_host(new_tree, rabbit):
    tree = start(new_tree, rabbit, "q", virtual_host="none")
    publish(tree, numbers(1))
    reason(tree, "vhost")


# ---- what the server does not take -----------------------------------------------


def test_unroutable(new_tree, rabbit, queue):
    """Returned: tried again, then dead with the reason; not the others."""
    tree = start(new_tree, rabbit, "${payload.q}")
    publish(tree, [("t/%d" % n, json.dumps(
        {"n": n, "q": "none" if n % 10 == 3 else queue}))
        for n in range(50)])
    drained(tree, 50, dlq=5)
    assert all("NO_ROUTE" in r["error"] and r["tries"] == 3
               for r in dead(tree))
    assert len(rabbit.drain(queue)) == 45


def test_not_mandatory(new_tree, rabbit):
    tree = start(new_tree, rabbit, "none", mandatory=False)
    publish(tree, numbers(5))
    drained(tree, 5)


def test_nack(new_tree, rabbit, request):
    """A full queue that rejects: nacked, so not delivered."""
    name = request.node.name
    rabbit.queue(name, **{"x-max-length": 3, "x-overflow": "reject-publish"})
    tree = start(new_tree, rabbit, name)
    publish(tree, numbers(10))
    drained(tree, 10, dlq=7)
    assert "nack" in dead(tree)[0]["error"]
    assert len(rabbit.drain(name)) == 3


def test_too_large(new_tree, rabbit, queue):
    """The server closes the channel: only the one record is dead."""
    tree = start(new_tree, rabbit, queue,
                 {"batch": {"max_records": 500, "linger_ms": 300}})
    large = json.dumps({"n": 1000, "x": "x" * 150000})
    publish(tree, numbers(20) + [("t/a", large)] + numbers(20, 20))
    drained(tree, 41, dlq=1)
    assert "406" in dead(tree)[0]["error"] and dead(tree)[0]["tries"] == 1
    assert set(values(rabbit.drain(queue))) == set(range(40))


def test_long_key(new_tree, rabbit, queue):
    tree = start(new_tree, rabbit, "${payload}")
    publish(tree, [("t/a", "x" * 256), ("t/a", queue)])
    drained(tree, 2, dlq=1)
    assert "255" in dead(tree)[0]["error"]


def test_missing_exchange_waits(new_tree, rabbit, queue):
    tree = start(new_tree, rabbit, queue, exchange="later")
    publish(tree, numbers(10))
    reason(tree, "404")
    assert tree.audit("c")["c"]["dlq"] == 0
    with rabbit.channel() as channel:
        channel.exchange_declare("later", "fanout", durable=True)
        channel.queue_bind(queue, "later")
    drained(tree, 10)
    assert set(values(rabbit.drain(queue))) == set(range(10))


def test_login(new_tree, rabbit):
    tree = start(new_tree, rabbit, "q", password="wr0ng-pw")
    publish(tree, numbers(3))
    shown = reason(tree, "ACCESS_REFUSED")
    assert "wr0ng-pw" not in json.dumps(shown) + tree.log()
    assert tree.audit("c")["c"]["dlq"] == 0


# ---- TLS -------------------------------------------------------------------------


def test_tls(new_tree, rabbit, queue, authority):  # noqa: F811
    tls = {"enable": True, "ca_file": authority.ca,
           "cert_file": authority._path("client.crt"),
           "key_file": authority._path("client.key")}

    def config(server="127.0.0.1", **change):
        return definition(rabbit, queue, server=server, port=rabbit.tls_port,
                          tls={k: v for k, v in {**tls, **change}.items()
                               if v is not None})
    tree = new_tree({"streams": sinks.STREAMS, "connectors": {
        "c": config(), "name": config("localhost"),
        "unknown": config(ca_file=None),
        "other": config(server_name="other.example"),
        "lax": config(server_name="other.example", verify=False)}}).start()
    publish(tree, numbers(20))
    drained(tree, 20)
    for name in ("name", "lax"):
        assert tree.wait_drained(name, 20, 20)["delivered"] == 20
    for name in ("unknown", "other"):
        bulkhead.wait_for(lambda: tree.show(name)["reason"], what=name)
        assert tree.audit(name)[name]["delivered"] == 0
    rabbit.drain(queue)


# ---- outages ---------------------------------------------------------------------


def test_hung(new_tree, rabbit, queue):
    tree = start(new_tree, rabbit, queue)
    try:
        sinks.outage(tree, rabbit, rabbit.pause, rabbit.resume, 4)
    finally:
        rabbit.resume()
    assert set(values(rabbit.drain(queue))) == set(range(100))


def test_alarm(new_tree, rabbit, queue):
    """Out of memory: the server blocks publishers, nothing is dead."""
    tree = start(new_tree, rabbit, queue)
    publish(tree, numbers(5))
    drained(tree, 5)
    rabbit.ctl("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        publish(tree, numbers(5, 5))
        reason(tree, "takes no messages")
        time.sleep(1)
        assert tree.audit("c")["c"]["dlq"] == 0
    finally:
        rabbit.ctl("set_vm_memory_high_watermark", "absolute", "4GB")
    drained(tree, 10)
    assert set(values(rabbit.drain(queue))) == set(range(10))


@pytest.mark.parametrize("mode", ["hang", "garbage", "refuse"])
def test_bad_server(new_tree, mode):
    bad = servers.BadServer(mode)
    tree = start(new_tree, bad, "q", timeout_ms=500)
    publish(tree, numbers(10))
    reason(tree, "127.0.0.1")
    time.sleep(2)
    row = tree.audit("c")["c"]
    assert row["dlq"] == 0 and row["delivered"] == 0, str(row)
    bad.close()
    assert not tree.crashes()


def test_kills(new_tree, rabbit, queue):
    """Server and worker killed under 20,000 records: none is lost."""
    tree = start(new_tree, rabbit, queue, {"in_flight": 4})
    sinks.under_kills(tree, 20000, [
        ("worker", lambda: tree.kill("worker")), ("server", rabbit.restart),
        ("worker", lambda: tree.kill("worker"))], rounds_min=1)
    assert set(values(rabbit.drain(queue))) == set(range(20000))


# ---- definitions, test -------------------------------------------------------------


@pytest.mark.parametrize("change, words", [
    ({"server": None}, ["server"]),
    ({"port": 70000}, ["port", "65535"]),
    ({"password": None}, ["password"]),
    ({"publisher_confirms": False}, ["mandatory"]),
    ({"delivery_mode": 3}, ["delivery_mode"]),
    ({"routing_key": "${no}"}, ["routing_key"]),
    ({"tls": {"ca_file": "/x"}}, ["tls.ca_file"]),
])
def test_definitions(tmp_path, change, words):
    config = {"server": "h", "username": "u", "password": "p", **change}
    status, text = sinks.check(tmp_path, "rabbitmq", {
        k: v for k, v in config.items() if v is not None})
    assert status == 2, text
    for word in words:
        assert word in text, text


def test_connector_test(new_tree, rabbit, tmp_path):
    tree = new_tree({"streams": sinks.STREAMS}).start()

    def run(**config):
        return sinks.connector_test(
            tree, tmp_path, "rabbitmq",
            definition(rabbit, "q", **config)["config"])
    status, text = run()
    assert status == 0, text
    status, text = run(exchange="nosuch")
    assert status == 1 and "404" in text, text
    status, text = run(password="wr0ng-pw")
    assert status == 1 and "wr0ng-pw" not in text, text
    status, text = run(port=bulkhead.free_port())
    assert status == 1, text
