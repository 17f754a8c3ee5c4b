"""A broken connector or client hurts nobody else, and memory stays bounded
(operations.md, promises)."""

import os
import signal
import socket
import statistics
import time

import bulkhead
import compare
import servers
from mqtt_raw import Conn, Publisher, Subscriber, publish_packet

STREAMS = {"t": {"topics": ["t/#"]}}


def rates(publisher, seconds):
    before = len(publisher.acked)
    time.sleep(seconds)
    return (len(publisher.acked) - before) / seconds


def test_stuck_connectors_slow_nobody(new_tree, tmp_path, http_target):
    """A black hole, a refusing and a garbage target, and one worker stopped
    by SIGSTOP, beside a healthy file connector."""
    out = str(tmp_path / "out.jsonl")
    bad = [servers.BadServer(mode) for mode in ("hang", "garbage", "refuse")]
    connectors = {
        "bad%d" % n: {"type": "webhook", "stream": "t", "start": "earliest",
                      "config": {"url": "http://127.0.0.1:%d/" % b.port,
                                 "timeout_ms": 1000}}
        for n, b in enumerate(bad)}
    connectors["f"] = {"type": "file", "stream": "t", "start": "earliest",
                       "config": {"path": out, "format": "json"}}
    connectors["stopped"] = {
        "type": "webhook", "stream": "t", "start": "earliest",
        "config": {"url": http_target.url}}
    tree = new_tree({"streams": STREAMS, "connectors": connectors,
                     "limits": {"watchdog_ms": 600000}}).start()
    stopped = tree.pids("connector.stopped")[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        pub = Publisher(tree.mqtt_port, "pub", "t/a", rate=500, size=1000)
        pub.start()
        time.sleep(1)
        for _ in range(8):
            assert rates(pub, 1) > 350, "the publisher slows"
        pub.stop()
    finally:
        os.kill(stopped, signal.SIGCONT)
    row = tree.wait_drained("f", 30)
    assert row["delivered"] == len(pub.sends) and row["unaccounted"] == 0
    compare.check([pub], [r["payload"] for r in compare.lines(out)], "file")
    assert tree.rss("router") < 300 << 20
    tree.wait_drained("stopped", 30)
    for b in bad:
        b.close()


def test_crashing_connector_slows_nobody(new_tree, tmp_path, http_target):
    """A worker that dies of SIGSEGV again and again, beside a healthy one:
    reports, backoff, and nobody else notices."""
    out = str(tmp_path / "out.jsonl")
    common = {"stream": "t", "start": "earliest"}
    tree = new_tree({"streams": STREAMS, "connectors": {
        "f": {"type": "file", **common,
              "config": {"path": out, "format": "json"}},
        "bad": {"type": "webhook", **common,
                "config": {"url": http_target.url}}}}).start()
    pub = Publisher(tree.mqtt_port, "pub", "t/a", rate=500)
    pub.start()
    for _ in range(4):
        bulkhead.wait_for(
            lambda: tree.kill("connector.bad", signal.SIGSEGV), 20,
            "the worker to be there")
        assert rates(pub, 1) > 350, "the publisher slows"
    pub.stop()
    row = tree.wait_drained("f", 30, len(pub.sends))
    assert row["delivered"] == len(pub.sends)
    others = [p for p in tree.status()["processes"]
              if p["name"] != "connector.bad"]
    assert all(p["restarts"] == 0 for p in others)
    assert {c["name"] for c in tree.crashes()} == {"connector.bad"}
    # In the end it did its work as well: no record of its killed it alone.
    row = tree.wait_drained("bad", 60, len(pub.sends))
    assert row["unaccounted"] == 0 and row["dlq"] == 0, str(row)


def test_client_that_never_reads(new_tree):
    """It meets its own limit; publishers keep their pace, others get all,
    and the acceptor's memory stays bounded."""
    tree = new_tree({"limits": {"max_queued_bytes": "1MiB"}}).start()
    deaf = []
    for n in range(5):
        conn = Conn(tree.mqtt_port, "deaf%d" % n)
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        conn.subscribe(("f/#", n % 2))
        deaf.append(conn)
    offline = Conn(tree.mqtt_port, "deaf-session", clean=False)
    offline.subscribe(("f/#", 1))
    good = Subscriber(tree.mqtt_port, "good", ["f/#"], qos=1,
                      persistent=False)
    good.start()
    good.ready()
    before = tree.rss("acceptor")
    pub = Publisher(tree.mqtt_port, "pub", "f/a", rate=2000, size=4096,
                    window=100, count=20000)
    pub.start()
    pub.join(60)
    assert len(pub.acked) == 20000, "the publisher was held up"
    bulkhead.wait_for(lambda: len(good.got) == 20000, 20,
                      "the healthy subscriber: %d" % len(good.got))
    grown = tree.rss("acceptor") - before
    assert grown < 64 << 20, "grew by %d KiB" % (grown >> 10)
    assert tree.rss("router") < 300 << 20
    good.stop()
    pub.stop()
    status = tree.status()
    assert all(p["restarts"] == 0 for p in status["processes"])


def test_flood_of_half_open_connections(new_tree):
    """Connections that say nothing are closed after connect_timeout, and
    a client still gets in meanwhile."""
    tree = new_tree({"limits": {"connect_timeout": "2s"}}).start()
    idle = [socket.create_connection(("127.0.0.1", tree.mqtt_port))
            for _ in range(300)]
    idle[0].sendall(b"\x10")          # half a CONNECT
    idle[1].sendall(b"\x10\x80\x80")
    conn = Conn(tree.mqtt_port, "c")
    conn.subscribe(("x", 0))
    conn.send(publish_packet("x", "y"))
    assert conn.message().payload == b"y"

    def closed():
        left = 0
        for s in idle:
            s.settimeout(0.01)
            try:
                left += s.recv(1) != b""
            except socket.timeout:
                left += 1
            except OSError:
                pass
        assert left == 0, "%d still open" % left
        return True
    bulkhead.wait_for(closed, 10, "half-open connections to be closed")


def test_latency_beside_a_backlog(new_tree, tmp_path):
    """Live delivery does not wait for a session's long queue."""
    tree = new_tree({"streams": STREAMS}).start()
    Conn(tree.mqtt_port, "away", clean=False).subscribe(("t/#", 1))
    pub = Publisher(tree.mqtt_port, "pub", "t/a", count=20000, window=500)
    pub.start()
    live = Conn(tree.mqtt_port, "live")
    live.subscribe(("live", 0))
    sender = Conn(tree.mqtt_port, "sender")
    times = []
    for _ in range(50):
        start = time.monotonic()
        sender.publish("live", "x", qos=0)
        assert live.message(5)
        times.append(time.monotonic() - start)
        time.sleep(0.02)
    pub.join(60)
    assert len(pub.acked) == 20000
    assert statistics.median(times) < 0.5
