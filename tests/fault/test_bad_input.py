"""Bad input: each has a clear error and loses nothing acknowledged."""

import contextlib
import ctypes
import json
import os
import random
import socket
import subprocess
import time

import pytest

import bulkhead
import klog
from mqtt_raw import (Closed, Conn, connect_packet, packet, publish_packet,
                      subscribe_packet, text)

STREAMS = {"t": {"topics": ["t/#"]}}


def ends(tree, timeout=20):
    """Waits for the end of a tree that cannot start: status and log."""
    status = tree.process.wait(timeout * bulkhead.SLOW)
    tree.process = None
    return status, tree.log()


def test_second_instance(new_tree):
    """On the same data: refused with a word, the first goes on."""
    first = new_tree({"streams": STREAMS}).start()
    second = new_tree({"streams": STREAMS}, data=first.data)
    second.launch()
    status, log = ends(second)
    assert status != 0
    last = log.strip().splitlines()[-1]
    assert first.data in log and ("in use" in log or "already" in log), last
    assert Conn(first.mqtt_port, "c").publish("t/a", "1", qos=1) == 0
    assert len(klog.read(first.data, "t")) == 1
    assert first.status()["state"] == "healthy"


def test_port_in_use(new_tree):
    tree = new_tree()
    with contextlib.closing(socket.socket()) as s:
        s.bind(("127.0.0.1", tree.mqtt_port))
        s.listen()
        tree.launch()
        status, log = ends(tree)
    assert status != 0
    assert "127.0.0.1:%d" % tree.mqtt_port in log
    assert "in use" in log.lower()


def test_unwritable_data_folder(new_tree, tmp_path):
    """A file where the folder should be: also root cannot write there."""
    path = tmp_path / "file"
    path.write_text("not a folder")
    tree = new_tree(data=str(path))
    tree.launch()
    status, log = ends(tree)
    assert status != 0 and str(path) in log


@pytest.mark.skipif(os.getuid() != 0, reason="needs root for a read-only mount")
def test_read_only_data_folder(new_tree, tmp_path):
    folder = tmp_path / "ro"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "none",
                           str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip("no mount here: " + done.stderr)
    try:
        tree = new_tree(data=str(folder / "data"))
        tree.launch()
        status, log = ends(tree)
        assert status != 0
        assert str(folder) in log and "ead-only" in log
    finally:
        subprocess.run(["umount", str(folder)], check=True)


BAD_CONFIGS = [
    # text, then what the faults must name: the place and words
    ("listeners:\n  - { protocol: mqtt, bind: \"127.0.0.1:70000\" }\n",
     [("2", "listeners")]),
    ("streams:\n  a: { topics: [\"x/#\"], partitions: 0 }\n"
     "  b: { topic: [\"y\"] }\nfoo: 1\n",
     [("2", "streams.a.partitions"), ("3", "streams.b"), ("4", "foo")]),
    ("listeners:\n  - { protocol: kafka, bind: \"127.0.0.1:9092\" }\n",
     [("2", "not built")]),
    ("listeners:\n  - { protocol: mqtt, bind: \"0.0.0.0:1883\" }\n",
     [("2", "allow_anonymous")]),
    ("connectors:\n  x:\n    type: postgres\n    topics: [\"a\"]\n"
     "    config: { host: h, port: 70000, database: d, username: u,"
     " table: t }\n",
     [("5", "connectors.x.config.port")]),
    ("connectors:\n  x:\n    type: file\n    topics: [\"a\"]\n"
     "    config: { path: /tmp/x, formt: json }\n",
     [("5", "connectors.x.config.formt")]),
    ("connectors:\n  Bad_Name:\n    type: file\n    topics: [\"a\"]\n"
     "    config: { path: /tmp/x }\n", [("2", "Bad_Name")]),
    ("connectors:\n  x:\n    type: nosuch\n    topics: [\"a\"]\n",
     [("3", "nosuch")]),
    # What only a type's own program sees comes with the rest.
    ("acceptors: { mqtt: 0 }\nconnectors:\n"
     "  w: { type: webhook, topics: [a], config: {\n"
     "    timeout_ms: 0,\n"
     "    url: \"http://x/${topic[}\" } }\n"
     "  f: { type: file, topics: [a], config: { path: \"${topic}\" } }\n",
     [("1", "acceptors.mqtt"), ("4", "connectors.w.config.timeout_ms"),
      ("5", "connectors.w.config.url"), ("6", "connectors.f.config.path")]),
    ("streams: [\n", [("", "")]),
    ("a: 1\na: 2\n", [("2", "a")]),
    ("limits: { max_packet_size: 16MiB }\n", [("1", "15")]),
    ("streams:\n  s: { topics: [\"a/#/b\"] }\n", [("2", "streams.s.topics")]),
]


@pytest.mark.parametrize("number", range(len(BAD_CONFIGS)))
def test_bad_config(tmp_path, number):
    """check names path, line and column of all faults at once; exit 2."""
    config, wants = BAD_CONFIGS[number]
    path = tmp_path / "bad.yaml"
    path.write_text(config)
    status, out, err = bulkhead.command("check", path)
    assert status == 2, out + err
    lines = (out + err).splitlines()
    for place, word in wants:
        if place:
            place = "(line %s, column " % place
        assert any(place in line and word in line for line in lines), (
            "no line with %r and %r in:\n%s" % (place, word, out + err))


def test_bad_config_starts_nothing(new_tree):
    tree = new_tree(text="streams: {{ x: {{ topics: 3 }} }}\n")
    tree.launch()
    status, log = ends(tree)
    assert status == 2, log
    assert "streams.x.topics" in log


def closed_cleanly(conn):
    """The server ended it; a DISCONNECT may have come first."""
    try:
        while conn.read(5):
            pass
    except Closed as error:
        return error.reason or True
    return False


MALFORMED = {
    "bad-protocol-name": packet(1, 0, text("MQXX") + b"\4\2\0\0" + text("c")),
    "bad-version": packet(1, 0, text("MQTT") + b"\x63\2\0\0" + text("c")),
    "reserved-connect-flag": packet(1, 0, text("MQTT") + b"\4\3\0\0"
                                    + text("c")),
    "five-byte-length": b"\x10\xff\xff\xff\xff\x7f",
    "publish-first": publish_packet("a", "b"),
    "type-zero": b"\x00\x00",
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "noise": bytes(range(256)),
    "empty-connect": b"\x10\x00",
    "truncated-id": packet(1, 0, text("MQTT") + b"\4\2\0\0\0\x20abc"),
}
AFTER_CONNECT = {
    "qos-3": b"\x36\x05\x00\x01a\x00\x01",
    "wildcard-topic": publish_packet("a/#", "x"),
    "empty-topic": publish_packet("", "x"),
    "nul-in-topic": publish_packet(b"a\0b", "x"),
    "bad-utf8-topic": publish_packet(b"a\xff\xfe", "x"),
    "mid-zero": b"\x32\x05\x00\x01a\x00\x00",
    "subscribe-flags": b"\x80" + subscribe_packet(1, [("a", 0)])[1:],
    "subscribe-nothing": packet(8, 2, b"\0\1"),
    "subscribe-qos-3": subscribe_packet(1, [("a", 3)]),
    "bad-filter": subscribe_packet(1, [("a/#/b", 0)]),
    "second-connect": connect_packet("again"),
    "pubrel-flags": b"\x60\x02\x00\x01",
    "too-large": b"\x30\x80\x80\x80\x08",
    "short-publish": packet(3, 0, b"\x00\x09a"),
    "connack": b"\x20\x02\x00\x00",
}


@pytest.mark.sanitize
@pytest.mark.parametrize("version", [4, 5])
def test_malformed_mqtt(new_tree, version):
    """Each ends that connection and no other; nothing crashes."""
    tree = new_tree({"streams": STREAMS}).start()
    other = Conn(tree.mqtt_port, "other")
    other.subscribe(("x", 0))
    for name, data in MALFORMED.items():
        conn = Conn(tree.mqtt_port, connect=False, timeout=15)
        conn.send(data)
        if name == "truncated-id":
            conn.send(b"")
        assert closed_cleanly(conn), name + ": still open"
        conn.close()
    for name, data in AFTER_CONNECT.items():
        conn = Conn(tree.mqtt_port, "c-" + name, version=version, timeout=15)
        conn.send(data)
        assert closed_cleanly(conn), name + ": still open"
        conn.close()
    other.publish("x", "still here")
    assert other.message().payload == b"still here"
    assert all(p["restarts"] == 0 for p in tree.status()["processes"])
    assert not tree.crashes()


@pytest.mark.sanitize
def test_noise(new_tree):
    """Random and mutated packets, half of them after a CONNECT."""
    tree = new_tree({"streams": STREAMS}).start()
    rnd = random.Random(7)
    good = [publish_packet("t/a", "payload", 1, 5),
            subscribe_packet(9, [("t/#", 1), ("a/+", 2)]),
            publish_packet("t/a", "x" * 300, 2, 6), b"\xc0\x00",
            b"\x62\x02\x00\x06"]
    for n in range(300):
        conn = Conn(tree.mqtt_port, connect=False)
        data = bytearray()
        if n % 2:
            data += connect_packet("n%d" % n, 4 + n // 2 % 2)
        for _ in range(rnd.randint(1, 5)):
            data += rnd.choice(good)
        for _ in range(rnd.randint(1, 6)):
            data[rnd.randrange(len(data))] = rnd.randrange(256)
        with contextlib.suppress(Closed):
            conn.send(bytes(data[:rnd.randint(1, len(data))]))
        conn.close()
    assert Conn(tree.mqtt_port, "c").publish("t/a", "1", qos=1) == 0
    assert all(p["restarts"] == 0 for p in tree.status()["processes"])
    assert not tree.crashes()


def test_http_noise(new_tree):
    tree = new_tree().start()
    for data in (b"\0" * 100, b"GET /%s HTTP/1.1\r\n\r\n" % (b"a" * 100000),
                 b"POST /api/v1/connectors HTTP/1.1\r\nHost: x\r\n"
                 b"Content-Length: 99999999999\r\n\r\n",
                 b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10000 + b"\r\n",
                 b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
                 b"POST /api/v1/connectors HTTP/1.1\r\nHost: x\r\n"
                 b"Content-Length: 5\r\n\r\n{{{{{"):
        with contextlib.closing(socket.create_connection(
                ("127.0.0.1", tree.http_port), timeout=5)) as s:
            with contextlib.suppress(OSError):
                s.sendall(data)
                s.settimeout(2)
                answer = s.recv(65536)
                assert not answer or b" 4" in answer[:20], answer[:100]
    assert tree.status()["state"] == "healthy"


def test_wrong_frame_on_a_link(new_tree):
    """Bytes written into a process's own link (taken by pidfd_getfd) end
    that link; the reader lives on and the tree recovers."""
    if os.getuid() != 0:
        pytest.skip("taking another process's descriptor needs root")
    tree = new_tree({"streams": STREAMS}).start()
    router = tree.pid("router")
    acceptor = tree.pid("acceptor")
    found = [fd for fd in map(int, os.listdir("/proc/%d/fd" % acceptor))
             if fd > 3 and is_socketpair(acceptor, fd)]
    assert found, "the acceptor has no link"
    for fd in found:
        with contextlib.closing(take_fd(acceptor, fd)) as s:
            s.settimeout(1)
            with contextlib.suppress(OSError):
                s.sendall(b"\xff\xff\xff\xff\xff\0\0\0garbage")
    conn = bulkhead.wait_for(lambda: try_publish(tree), 20, "a publish")
    assert conn
    assert tree.pid("router") == router, "the reader died of a peer's bytes"
    assert len(klog.read(tree.data, "t")) >= 1
    assert not tree.crashes()


def is_socketpair(pid, fd):
    try:
        target = os.readlink("/proc/%d/fd/%d" % (pid, fd))
    except OSError:
        return False
    if not target.startswith("socket:["):
        return False
    inode = target[8:-1]
    with open("/proc/net/unix") as f:
        return any(line.split()[6] == inode for line in f.readlines()[1:])


def take_fd(pid, fd):
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    try:
        got = libc.syscall(438, pidfd, fd, 0)
        if got < 0:
            pytest.skip("pidfd_getfd: " + os.strerror(ctypes.get_errno()))
    finally:
        os.close(pidfd)
    return socket.socket(fileno=got)


def try_publish(tree):
    try:
        conn = Conn(tree.mqtt_port, "probe", timeout=3)
        done = conn.publish("t/a", json.dumps({"at": time.time()}), qos=1)
        conn.disconnect()
        return done == 0
    except (Closed, OSError, AssertionError):
        return False
