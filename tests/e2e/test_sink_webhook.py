"""The web hook against a real HTTP server: what each option does, what each
answer means."""

import base64
import collections
import gzip
import hashlib
import hmac
import json
import os
import ssl
import subprocess
import time

import pytest

import bulkhead
import servers
from mqtt_raw import Conn, user_property

STREAMS = {"t": {"topics": ["t/#"]}}
QUICK = {"strategy": "dead_message_queue", "retry_total_times": 2,
         "wait_time_ms": 50, "max_wait_ms": 300}
# Long enough that what is published at once is one batch.
ONE_BATCH = {"max_records": 500, "linger_ms": 400}


def hook(target, common=None, **config):
    return {"type": "webhook", "stream": "t", "start": "earliest",
            "failure_strategy": QUICK, **(common or {}),
            "config": {"url": target.url, **config}}


def start(new_tree, definition):
    return new_tree({"streams": STREAMS,
                     "connectors": {"w": definition}}).start()


def publish(tree, messages, version=4):
    conn = Conn(tree.mqtt_port, "pub", version=version)
    for topic, payload, *props in messages:
        assert conn.publish(topic, payload, qos=1,
                            props=b"".join(props)) in (0, 16)
    conn.disconnect()


def numbers(count, topic="t/a"):
    return [(topic, json.dumps({"n": n})) for n in range(count)]


def drained(tree, count, dlq=0):
    row = tree.wait_drained("w", 30)
    assert row["unaccounted"] == 0 and row["matched"] == count, str(row)
    assert row["dlq"] == dlq and row["delivered"] == count - dlq, str(row)


def dead(tree):
    found = tree.json("dlq", "ls", "w")
    return found if isinstance(found, list) else found["items"]


def test_record(new_tree, http_target):
    """Everything that a record has, payload by payload."""
    tree = start(new_tree, hook(http_target))
    before = int(time.time() * 1000)
    conn = Conn(tree.mqtt_port, "dev-1", version=5)
    props = (user_property("a", "1") + user_property("b", "x")
             + user_property("a", "2") + b"\x03\x00\x04a/bc"
             + b"\x08\x00\x03t/r" + b"\x09\x00\x02\x00\xff")
    conn.publish("t/1/temp", b'{"v": [1, {"w": null}]}', qos=1, props=props)
    for payload in (b"no json", b"\xff\x00", b"", b'"text"', b"12.50"):
        conn.publish("t/2", payload, qos=1)
    conn.disconnect()
    drained(tree, 6)
    records = sorted(http_target.records(), key=lambda r: r["offset"])
    first = records[0]
    assert first["topic"] == first["key"] == "t/1/temp"
    assert first["payload"] == {"v": [1, {"w": None}]}
    assert first["qos"] == 1 and first["retain"] is False
    assert first["client_id"] == "dev-1" and first["protocol"]
    assert before <= first["timestamp_ms"] <= time.time() * 1000
    assert first["headers"] == {"a": ["1", "2"], "b": "x"}
    assert first["content_type"] == "a/bc"
    assert first["response_topic"] == "t/r"
    assert first["stream"] == "t" and first["partition"] == 0
    assert first["id"].startswith("t.")
    assert first["id"].endswith("-0-%d" % first["offset"])
    assert [r.get("payload") for r in records[1:]] == [
        "no json", None, "", "text", 12.5]
    assert base64.b64decode(records[2]["payload_base64"]) == b"\xff\x00"
    for request in http_target.taken:
        record = json.loads(request["body"])
        assert request["headers"]["idempotency-key"] == record["id"]
        assert request["headers"]["content-type"] == "application/json"
        assert request["method"] == "POST"


def test_many_headers(new_tree, http_target):
    """A message made of nothing but user properties holds nobody up."""
    tree = start(new_tree, hook(http_target))
    conn = Conn(tree.mqtt_port, "pub", version=5)
    conn.publish("t/a", "x", qos=1, props=b"".join(
        user_property("k%d" % (n // 2), "") for n in range(90000)))
    conn.disconnect()
    drained(tree, 1)
    headers = http_target.records()[0]["headers"]
    assert len(headers) == 45000 and headers["k7"] == ["", ""]
    assert not tree.crashes()


def test_templates(new_tree, http_target):
    tree = start(new_tree, hook(
        http_target, url=http_target.url
        + "/${topic[1]}/${payload.name}?at=${timestamp:%Y}&c=${client_id}",
        method="put", headers={"X-Topic": "${topic}",
                               "X-None": "${headers.no}", "X-Fixed": "1"},
        body='{"name": "${payload.name}", "n": ${payload.n:number|0}}'))
    publish(tree, [("t/a b", json.dumps({"name": '"/../x?&#\u00e9', "n": 3})),
                   ("t/b", json.dumps({"name": "plain"})),
                   ("t/c", json.dumps({"name": ".."})),
                   ("t/d", json.dumps({"name": "x", "n": "no number"})),
                   ("t/e\x7f", json.dumps({"name": "x"}))])
    drained(tree, 5, dlq=3)
    first, second = sorted(http_target.taken, key=lambda r: r["path"])
    assert first["path"] == ("/in/a%%20b/%%22%%2F..%%2Fx%%3F%%26%%23%%C3%%A9"
                             "?at=%s&c=pub" % time.strftime("%Y"))
    assert first["method"] == "PUT"
    assert json.loads(first["body"]) == {"name": '"/../x?&#\u00e9', "n": 3}
    assert first["headers"]["x-topic"] == "t/a b"
    assert first["headers"]["x-fixed"] == "1"
    assert first["headers"]["x-none"] == ""
    assert json.loads(second["body"]) == {"name": "plain", "n": 0}
    errors = sorted(row["error"] for row in dead(tree))
    assert any("segment" in e for e in errors), errors
    assert any("header" in e for e in errors), errors


def test_body_as_it_is(new_tree, http_target):
    tree = start(new_tree, hook(http_target, method="patch",
                                body="${payload}",
                                content_type="application/octet-stream"))
    publish(tree, [("t/a", b"\x00\xff raw")])
    drained(tree, 1)
    request = http_target.taken[0]
    assert request["body"] == b"\x00\xff raw"
    assert request["method"] == "PATCH"
    assert request["headers"]["content-type"] == "application/octet-stream"


@pytest.mark.parametrize("mode", ["array", "lines"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_batches(new_tree, http_target, mode, packed):
    tree = start(new_tree, hook(http_target, {"batch": ONE_BATCH},
                                batch_mode=mode, gzip=packed))
    publish(tree, numbers(50))
    drained(tree, 50)
    assert len(http_target.taken) < 10
    got = []
    for request in http_target.taken:
        body = request["body"]
        assert (request["headers"].get("content-encoding") == "gzip"
                ) == packed
        if packed:
            body = gzip.decompress(body)
        got += (json.loads(body) if mode == "array"
                else [json.loads(line) for line in body.splitlines()])
    assert [r["payload"]["n"] for r in got] == list(range(50))


def test_groups(new_tree, http_target):
    """A batch whose URLs differ: one request for each, order kept."""
    tree = start(new_tree, hook(
        http_target, {"batch": ONE_BATCH}, batch_mode="array",
        url=http_target.url + "/${topic[1]}", body='[${payload.n:number}]'))
    publish(tree, [("t/" + "ab"[n % 2], json.dumps({"n": n}))
                   for n in range(20)])
    drained(tree, 20)
    got = collections.defaultdict(list)
    for request in http_target.taken:
        got[request["path"]] += json.loads(request["body"])
    assert got == {"/in/a": [[n] for n in range(0, 20, 2)],
                   "/in/b": [[n] for n in range(1, 20, 2)]}


@pytest.mark.parametrize("status", [400, 413, 422])
def test_refused_one_of_an_array(new_tree, http_target, status):
    """Found by halving; it alone is dead, at once."""
    http_target.answer = lambda request: (
        (status, b"not this") if b'"n":13}' in request["body"].replace(
            b" ", b"") else 200)
    tree = start(new_tree, hook(http_target, {"batch": ONE_BATCH},
                                batch_mode="array"))
    publish(tree, numbers(40))
    drained(tree, 40, dlq=1)
    got = sorted(r["payload"]["n"] for batch in http_target.records()
                 for r in batch)
    assert got == [n for n in range(40) if n != 13]
    row = dead(tree)[0]
    assert str(status) in row["error"] and "not this" in row["error"]


def test_authentication(new_tree, http_target):
    cases = {
        "basic": {"auth_type": "basic", "username": "u", "password": "p:w"},
        "bearer": {"auth_type": "bearer", "bearer_token": "tok-en"},
        "hmac": {"auth_type": "hmac", "hmac_secret": "k", "gzip": True},
    }
    tree = new_tree({"streams": STREAMS, "connectors": {
        name: hook(http_target, url=http_target.url + "/" + name, **config)
        for name, config in cases.items()}}).start()
    publish(tree, [("t/a", "1")])
    for name in cases:
        tree.wait_drained(name, 20)
    got = {r["path"].rpartition("/")[2]: r for r in http_target.taken}
    assert set(got) == set(cases)
    assert got["basic"]["headers"]["authorization"] == (
        "Basic " + base64.b64encode(b"u:p:w").decode())
    assert got["bearer"]["headers"]["authorization"] == "Bearer tok-en"
    want = hmac.new(b"k", got["hmac"]["body"], hashlib.sha256).hexdigest()
    assert got["hmac"]["headers"]["x-hub-signature-256"] == "sha256=" + want


def test_retry_after(new_tree, http_target):
    """No request until the time that the target asked for is over."""
    times = []

    def answer(request):
        times.append(time.monotonic())
        return 503 if len(times) == 1 else 200

    http_target.answer = answer
    http_target.more_headers = {"Retry-After": "2"}
    tree = start(new_tree, hook(http_target))
    publish(tree, numbers(1))
    drained(tree, 1)
    assert len(times) == 2
    assert 1.8 < times[1] - times[0] < 6 * bulkhead.SLOW


@pytest.mark.parametrize("mode", ["single", "array"])
def test_order_of_a_key(new_tree, http_target, mode):
    """Each record fails at its first try: those of a key arrive in order,
    and none of another key waits for them for ever."""
    seen = collections.Counter()

    def answer(request):
        body = json.loads(request["body"])
        batch = body if isinstance(body, list) else [body]
        failed = False
        for record in batch:
            seen[record["id"]] += 1
            failed |= (seen[record["id"]] == 1
                       and record["payload"]["n"] % 7 == 0)
        return 500 if failed else 200

    http_target.answer = answer
    tree = start(new_tree, hook(http_target, {"batch": {
        "max_records": 20, "linger_ms": 5}, "in_flight": 3},
        batch_mode=mode))
    publish(tree, [("t/%d" % (n % 5), json.dumps({"n": n}))
                   for n in range(200)])
    drained(tree, 200)
    got = collections.defaultdict(list)
    for body in http_target.records():
        for record in body if isinstance(body, list) else [body]:
            got[record["topic"]].append(record["payload"]["n"])
    assert {t: sorted(v) for t, v in got.items()} == {
        "t/%d" % k: list(range(k, 200, 5)) for k in range(5)}
    for topic, order in got.items():
        assert order == sorted(order), (topic, order)


def test_cut_in_mid_answer(new_tree, http_target):
    """No whole answer is no delivery: it is sent again, none is dead."""
    cuts = []

    def answer(request):
        if len(cuts) < 2:
            cuts.append(1)
            return None
        return 200

    http_target.answer = answer
    tree = start(new_tree, hook(http_target))
    publish(tree, numbers(10))
    drained(tree, 10)
    assert {r["payload"]["n"] for r in http_target.records()} == set(
        range(10))


def test_huge_answer(new_tree, http_target):
    """A target that says far too much is not read to the end."""
    http_target.answer = lambda request: (200, b"x" * (32 << 20))
    tree = start(new_tree, hook(http_target, connections=1))
    publish(tree, numbers(3))
    drained(tree, 3)
    assert tree.rss("worker") < (64 << 20) * bulkhead.SLOW


def test_connections(new_tree, http_target):
    """So many requests at once, not one more."""
    under_way = []
    most = []

    def answer(request):
        under_way.append(1)
        most.append(len(under_way))
        time.sleep(0.05)
        under_way.pop()
        return 200

    http_target.answer = answer
    tree = start(new_tree, hook(http_target, {"batch": ONE_BATCH},
                                connections=3, timeout_ms=20000))
    publish(tree, [("t/%d" % n, "1") for n in range(40)])
    drained(tree, 40)
    assert max(most) == 3


def test_timeout(new_tree, http_target):
    """timeout_ms ends a request; the target answers the probe, so the record
    is tried again as often as allowed and is then dead."""
    def answer(request):
        if b'"n":1}' in request["body"].replace(b" ", b""):
            time.sleep(1.5 * bulkhead.SLOW)
        return 200

    http_target.answer = answer
    tree = start(new_tree, hook(http_target,
                                timeout_ms=300 * bulkhead.SLOW))
    publish(tree, numbers(3))
    drained(tree, 3, dlq=1)
    assert http_target.probes >= 3
    assert "timed out" in dead(tree)[0]["error"].lower()


# ---- TLS ---------------------------------------------------------------------


@pytest.fixture
def https_target(tmp_path):
    """A server with a certificate for the name hook.test only."""
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert,
         "-days", "2", "-subj", "/CN=hook.test", "-addext",
         "subjectAltName=DNS:hook.test"], check=True, capture_output=True)
    # The worker is another user where the tests run as root.
    for folder in (tmp_path, *tmp_path.parents):
        mode = os.stat(folder).st_mode
        if mode & 0o011 != 0o011:
            os.chmod(folder, mode | 0o011)
    target = servers.HttpTarget()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    target.server.socket = context.wrap_socket(target.server.socket,
                                               server_side=True)
    target.cert = cert
    yield target
    target.close()


def secure(target, **tls):
    return hook(target, url="https://127.0.0.1:%d/in" % target.port,
                tls={"enable": True, **tls})


def test_tls(new_tree, https_target):
    tree = start(new_tree, secure(https_target, ca_file=https_target.cert,
                                  server_name="hook.test"))
    publish(tree, numbers(5))
    drained(tree, 5)
    assert https_target.taken[0]["headers"]["host"] == (
        "127.0.0.1:%d" % https_target.port)


def test_tls_unverified(new_tree, https_target):
    tree = start(new_tree, secure(https_target, verify=False))
    publish(tree, numbers(2))
    drained(tree, 2)


@pytest.mark.parametrize("fault", ["unknown authority", "wrong name"])
def test_tls_refused(new_tree, https_target, fault):
    """Nothing is sent to who cannot show that it is the target."""
    tls = ({"server_name": "hook.test"} if fault == "unknown authority"
           else {"ca_file": https_target.cert})
    tree = start(new_tree, secure(https_target, **tls))
    publish(tree, numbers(2))

    def told():
        shown = tree.show("w")
        assert shown["reason"], str(shown)
        return shown["reason"]
    reason = bulkhead.wait_for(told, what="a reason").lower()
    assert "certificate" in reason or "ssl" in reason, reason
    assert tree.audit("w")["w"]["dlq"] == 0
    assert not https_target.taken


# ---- definitions ---------------------------------------------------------------


def test_definitions(tmp_path):
    """All faults of a definition at once, each with its path."""
    file = tmp_path / "b.json"
    file.write_text(json.dumps({"streams": STREAMS, "connectors": {"w": {
        "type": "webhook", "stream": "t", "config": {
            "url": "http://${topic}/x", "connections": 257,
            "auth_type": "basic", "password": "pw-not-shown",
            "bearer_token": "tok-not-shown", "batch_mode": "heap",
            "headers": {"Content-Length": "1"}, "nosuch": 1}}}}))
    status, out, err = bulkhead.command("check", str(file))
    assert status == 2
    for word in ("config.connections", "256", "config.batch_mode",
                 "config.nosuch"):
        assert word in out + err, out + err
    config = json.loads(file.read_text())
    options = config["connectors"]["w"]["config"]
    del options["nosuch"], options["connections"], options["batch_mode"]
    file.write_text(json.dumps(config))
    status, out, err = bulkhead.command("check", str(file))
    assert status == 2
    for word in ("config.url", "config.username", "config.bearer_token",
                 "config.headers"):
        assert word in out + err, out + err
    assert "not-shown" not in out + err


def test_connector_test(new_tree, http_target, tmp_path):
    tree = new_tree({"streams": STREAMS}).start()
    file = tmp_path / "w.json"
    file.write_text(json.dumps({"name": "w", **hook(http_target)}))
    status, out, err = bulkhead.command("--socket", tree.socket, "connector",
                                        "test", str(file))
    assert status == 0, err
    assert not http_target.requests, "a test sends no record"
