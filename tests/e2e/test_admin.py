"""The API's own behaviour: limits, slow and absent clients, its own death,
what is published through it while the router dies."""

import base64
import json
import os
import select
import socket
import subprocess
import time

import pytest
import requests

import bulkhead
from mqtt_raw import Conn

STREAMS = {"t": {"topics": ["t/#"]}}


@pytest.fixture
def tree(new_tree):
    return new_tree({"streams": STREAMS}).start()


def dial(tree):
    s = socket.create_connection(("127.0.0.1", tree.http_port), timeout=30)
    s.settimeout(30)
    return s


def read_stream(tree, *args):
    out = tree.cli("stream", "read", "t", "--json", *args)
    return [json.loads(line) for line in out.splitlines()]


def test_connections_have_a_limit(tree):
    """The HTTP listener is full: the admin socket still answers, and
    whoever waits is served when one of them leaves."""
    idle = [dial(tree) for _ in range(256)]
    time.sleep(0.3)
    waiting = dial(tree)
    waiting.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    waiting.settimeout(1)
    with pytest.raises(socket.timeout):
        waiting.recv(100)
    assert tree.status()["state"] == "healthy"
    idle.pop().close()
    waiting.settimeout(10)
    assert waiting.recv(100).startswith(b"HTTP/1.1 200")
    for s in idle:
        s.close()


@pytest.mark.skipif(not bulkhead.FULL, reason="takes 12 s")
def test_slow_heads_are_cut(tree):
    s = dial(tree)
    began = time.monotonic()
    for byte in b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX: ":
        s.sendall(bytes([byte]))
    assert s.recv(100) == b""
    assert 8 < time.monotonic() - began < 20


def test_a_subscriber_that_does_not_read(tree):
    """It loses messages and is told so; memory stays bounded."""
    s = dial(tree)
    s.sendall(b"GET /api/v1/subscribe?filter=x/%23 HTTP/1.1\r\n"
              b"Host: localhost\r\n\r\n")
    assert s.recv(15) == b"HTTP/1.1 200 OK"
    before = tree.rss("admin")
    conn = Conn(tree.mqtt_port, "c")
    text = "y" * 100000
    for n in range(300):
        conn.publish("x/a", text, qos=1)
    assert tree.rss("admin") < before + (40 << 20)
    got = b""
    conn.publish("x/b", "the last", qos=1)
    while b'"dropped"' not in got:
        data = s.recv(1 << 20)
        assert data
        got = got[-20:] + data
        conn.publish("x/b", "another", qos=0)


def test_a_reader_that_does_not_read(tree):
    conn = Conn(tree.mqtt_port, "c")
    for n in range(300):
        conn.publish("t/a", "z" * 100000, qos=1)
    before = tree.rss("admin")
    s = dial(tree)
    s.sendall(b"GET /api/v1/streams/t/records HTTP/1.1\r\n"
              b"Host: localhost\r\n\r\n")
    time.sleep(1)
    assert tree.rss("admin") < before + (20 << 20)
    assert tree.status()["state"] == "healthy"
    rest = requests.get("http://127.0.0.1:%d/api/v1/streams/t/records"
                        % tree.http_port, timeout=60)
    assert len(rest.content.splitlines()) == 300
    s.close()


def test_it_comes_back(tree):
    """A client that follows a stream loses its connection, nothing else."""
    conn = Conn(tree.mqtt_port, "c")
    conn.publish("t/a", "one", qos=1)
    tree.kill_and_wait("admin")
    bulkhead.wait_for(lambda: tree.status()["state"] == "healthy",
                      what="the API")
    conn.publish("t/a", "two", qos=1)
    assert [r["payload"] for r in read_stream(tree)] == ["one", "two"]


def test_lines_across_router_kills(tree):
    """Each message of pub -l is in the stream once, in order."""
    count = 6000
    pub = subprocess.Popen(
        [bulkhead.BULKHEAD, "--socket", tree.socket, "pub", "t/lines", "-l",
         "--qos", "1"], stdin=subprocess.PIPE, text=True,
        preexec_fn=bulkhead._dies_with_us)
    killer = bulkhead.Killer(tree, ["router"], 4, 0.2, 0.6)
    killer.start()
    for n in range(count):
        pub.stdin.write("%d\n" % n)
        if n % 50 == 0:
            pub.stdin.flush()
            time.sleep(0.02)
    pub.stdin.close()
    assert pub.wait(120) == 0
    killer.finish()
    tree.wait_ready()
    assert [r["payload"] for r in read_stream(tree)] == list(range(count))


def test_a_follower_goes_on_with_the_next_router(tree):
    sub = subprocess.Popen(
        [bulkhead.BULKHEAD, "--socket", tree.socket, "stream", "read", "t",
         "--follow", "--json", "--count", "20"], stdout=subprocess.PIPE,
        text=True, preexec_fn=bulkhead._dies_with_us)
    try:
        conn = Conn(tree.mqtt_port, "c")
        for n in range(10):
            conn.publish("t/a", str(n), qos=1)
        tree.kill_and_wait("router")
        tree.wait_ready()
        for n in range(10, 20):
            conn.publish("t/a", str(n), qos=1)
        out, _ = sub.communicate(timeout=30)
        assert [json.loads(line)["payload"] for line in
                out.splitlines()] == list(range(20))
        assert sub.returncode == 0
    finally:
        sub.kill()
        sub.wait()


def test_stream_positions(tree):
    conn = Conn(tree.mqtt_port, "c")
    for n in range(10):
        conn.publish("t/a", str(n), qos=1)
    assert [r["offset"] for r in read_stream(tree, "--from", "7")] == [7, 8, 9]
    assert read_stream(tree, "--from", "latest") == []
    assert len(read_stream(tree, "--count", "3")) == 3
    assert len(read_stream(tree, "--from", "2020-01-01T00:00:00Z")) == 10
    assert read_stream(tree, "--from", "2100-01-01T00:00:00Z") == []
    status, out, err = bulkhead.command("--socket", tree.socket, "stream",
                                        "read", "t", "--from", "nosuch")
    assert status == 2 and "RFC 3339" in err


def test_binary_payloads(tree, tmp_path):
    path = tmp_path / "bytes"
    path.write_bytes(bytes(range(256)))
    tree.cli("pub", "t/b", "-f", path, "--qos", "1", "-H", "a=1", "-H",
             "a=2", "-H", "b=x=y")
    row = read_stream(tree)[0]

    assert base64.b64decode(row["payload_base64"]) == bytes(range(256))
    assert row["headers"] == {"a": ["1", "2"], "b": "x=y"}
    assert row["protocol"] == "http" and row["qos"] == 1


def test_other_sites_are_kept_out(tree):
    base = "http://127.0.0.1:%d" % tree.http_port
    answer = requests.post(base + "/api/v1/stop", timeout=5,
                           headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403
    answer = requests.get(base + "/api/v1/status", timeout=5,
                          headers={"Host": "evil.example"})
    assert answer.status_code == 403
    assert tree.status()["state"] == "healthy"


def test_pages(tree):
    for n in range(5):
        tree.cli("stream", "create", "s%d" % n, "--topics", "s%d/#" % n)
    base = "http://127.0.0.1:%d/api/v1/streams" % tree.http_port
    names, cursor = [], None
    while True:
        page = requests.get(base, timeout=5, params={
            "limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        assert len(page["items"]) <= 2
        names += [row["name"] for row in page["items"]
                  if row["name"][0] != "$"]
        cursor = page["cursor"]
        if not cursor:
            break
    assert sorted(names) == ["s0", "s1", "s2", "s3", "s4", "t"]


@pytest.mark.skipif(bulkhead.SANITIZED, reason="freed memory is kept back")
def test_many_small_requests_leave_nothing_behind(tree):
    before = None
    for n in range(1500):
        assert requests.get("http://127.0.0.1:%d/api/v1/version"
                            % tree.http_port, timeout=5).ok
        if n == 300:
            before = tree.rss("admin")
    assert tree.rss("admin") < before + (2 << 20)
    assert len(os.listdir("/proc/%d/fd" % tree.pid("admin"))) < 40


def test_questions_survive_its_death(tree):
    """Whoever asks while it dies gets the answer of the next one."""
    killer = bulkhead.Killer(tree, ["admin"], 6, 0.1, 0.4)
    killer.start()
    while killer.is_alive():
        assert tree.status()["version"]
    killer.finish()
    assert tree.json("client", "ls") == []


def test_a_subscriber_outlives_routers(tree):
    sub = subprocess.Popen(
        [bulkhead.BULKHEAD, "--socket", tree.socket, "sub", "l/#", "--json",
         "--retained"], stdout=subprocess.PIPE, bufsize=0,
        preexec_fn=bulkhead._dies_with_us)
    try:
        conn = Conn(tree.mqtt_port, "c")
        conn.publish("l/kept", "kept", qos=1, retain=True)
        for turn in range(3):
            got = set()

            def heard():
                # Again and again: the command may not have subscribed yet.
                tree.cli("pub", "l/%d" % turn, "-m", "own")
                conn.publish("l/%d" % turn, "other", qos=1)
                while select.select([sub.stdout], [], [], 1)[0]:
                    got.add(json.loads(sub.stdout.readline())["payload"])
                    if {"own", "other"} <= got:
                        return True
                return False
            bulkhead.wait_for(heard, what="both senders")
            tree.kill_and_wait("router")
            tree.wait_ready()
    finally:
        sub.kill()
        sub.wait()
    out = tree.cli("sub", "l/kept", "--retained", "--json", "--count", "1")
    row = json.loads(out)
    assert row["payload"] == "kept" and row["retain"] is True
