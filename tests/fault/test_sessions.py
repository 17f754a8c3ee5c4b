"""Persistent sessions, takeover and wills when processes die."""

import json
import os
import random
import signal
import struct
import threading
import time

import pytest

import bulkhead
import compare
from mqtt_raw import (Closed, Conn, PUBCOMP, PUBREC, PUBREL, Publisher,
                      Subscriber, ack_packet, publish_packet)

pytestmark = pytest.mark.sanitize
EXPIRY = b"\x11" + struct.pack(">I", 3600)


@pytest.fixture
def broker(new_tree):
    return new_tree().start()


@pytest.mark.parametrize("qos", [1, 2])
def test_offline_queue_over_kills(broker, qos):
    """What came while the client was away arrives once and in order, over
    kills of router and acceptor before it comes back."""
    Conn(broker.mqtt_port, "s", clean=False).subscribe(("q/#", qos))
    pub = Publisher(broker.mqtt_port, "pub", "q/a", qos=qos, count=500,
                    window=100)
    pub.start()
    bulkhead.wait_for(lambda: len(pub.acked) > 100, what="messages")
    broker.kill_and_wait("router")
    pub.join(30)
    assert len(pub.acked) == 500
    broker.kill_and_wait("acceptor")
    broker.kill_and_wait("router")
    broker.wait_ready()
    sub = Subscriber(broker.mqtt_port, "s", ["q/#"], qos=qos)
    sub.subscribed.set()
    sub.start()
    bulkhead.wait_for(lambda: len(sub.got) >= 500, what="the queue")
    time.sleep(0.3)
    sub.stop()
    assert [json.loads(m.payload)["n"] for m, _ in sub.got] == list(
        range(500))


def test_packet_identifiers_stay(broker):
    """A QoS 2 message without a PUBREC comes again with DUP under the same
    packet identifier, over a kill of the acceptor and of the router."""
    conn = Conn(broker.mqtt_port, "s", clean=False)
    conn.subscribe(("q/a", 2))
    pub = Conn(broker.mqtt_port, "pub")
    pub.publish("q/a", "one", qos=2)
    first = conn.message(answer=False)
    assert first.payload == b"one" and not first.dup
    for kind in ("acceptor", "router"):
        broker.kill_and_wait(kind)
        broker.wait_ready()
        if kind == "acceptor":
            conn = bulkhead.wait_for(lambda: reconnect(broker, "s"),
                                     what="a connection")
            again = conn.message(10, answer=False)
            assert again and again.payload == b"one"
            assert again.mid == first.mid and again.dup
        else:
            # The connection lives: it is in flight there already.
            assert conn.read(1.5) is None
    conn.send(ack_packet(PUBREC, first.mid))
    release = conn.read()
    assert release and struct.unpack(">H", release.body[:2])[0] == first.mid
    conn.send(ack_packet(PUBCOMP, first.mid))
    assert conn.read(1) is None


def reconnect(tree, client_id, **options):
    try:
        conn = Conn(tree.mqtt_port, client_id, clean=False, **options)
    except (Closed, OSError):
        return None
    assert conn.session_present
    return conn


def test_released_identifier_is_not_published_again(broker):
    """PUBREL again after a kill is answered, and stores nothing twice."""
    sub = Conn(broker.mqtt_port, "s", clean=False)
    sub.subscribe(("q/a", 2))
    pub = Conn(broker.mqtt_port, "pub", clean=False)
    pub.send(publish_packet("q/a", "one", 2, 7))
    assert pub.expect(PUBREC).body[:2] == b"\0\7"
    broker.kill_and_wait("acceptor")
    broker.wait_ready()
    pub = bulkhead.wait_for(lambda: reconnect(broker, "pub"), what="pub")
    pub.send(publish_packet("q/a", "one", 2, 7, dup=True))
    assert pub.expect(PUBREC).body[:2] == b"\0\7"
    broker.kill_and_wait("router")
    pub.send(ack_packet(PUBREL, 7))
    assert pub.expect(PUBCOMP).body[:2] == b"\0\7"
    pub.send(publish_packet("q/a", "two", 2, 7))
    pub.expect(PUBREC)
    pub.send(ack_packet(PUBREL, 7))
    pub.expect(PUBCOMP)
    sub = bulkhead.wait_for(lambda: reconnect(broker, "s"), what="sub")
    assert sub.message(10).payload == b"one"
    assert sub.message(10).payload == b"two"
    assert sub.read(0.5) is None


@pytest.fixture
def two_acceptors(new_tree):
    tree = new_tree({"acceptors": {"mqtt": 2}}).start()
    assert len(tree.pids("acceptor")) == 2
    names = {p["name"] for p in tree.status()["processes"]}
    assert {"mqtt", "mqtt.1"} <= names
    return tree


def spread(tree, conns_of):
    """Connections of both acceptors: opens until each has one. Returns a
    dict acceptor pid -> connection."""
    found = {}
    for n in range(60):
        conn = conns_of(n)
        local = conn.sock.getsockname()[1]
        pid = owner(tree, local)
        if pid in found:
            conn.disconnect()
            continue
        found[pid] = conn
        if len(found) == 2:
            return found
    raise AssertionError("one acceptor takes no connection: %s" % found)


def owner(tree, client_port):
    """The acceptor that holds the connection from this port."""
    inodes = set()
    with open("/proc/net/tcp") as f:
        for line in f.readlines()[1:]:
            parts = line.split()
            if (int(parts[1].split(":")[1], 16) == tree.mqtt_port
                    and int(parts[2].split(":")[1], 16) == client_port):
                inodes.add("socket:[%s]" % parts[9])
    for pid in tree.pids("acceptor"):
        folder = "/proc/%d/fd" % pid
        for fd in os.listdir(folder):
            try:
                if os.readlink(os.path.join(folder, fd)) in inodes:
                    return pid
            except OSError:
                continue
    return None


def test_forwarding_between_acceptors(two_acceptors):
    tree = two_acceptors
    subs = spread(tree, lambda n: Conn(tree.mqtt_port, "sub%d" % n))
    for conn in subs.values():
        conn.subscribe(("f/+", 1))
    pubs = spread(tree, lambda n: Conn(tree.mqtt_port, "pub%d" % n))
    sent = []
    for i in range(50):
        for pid, pub in pubs.items():
            payload = "%d-%d" % (pid, i)
            sent.append(payload.encode())
            pub.publish("f/x", payload, qos=i % 3)
    for conn in subs.values():
        got = []
        while len(got) < len(sent):
            m = conn.message(10)
            assert m, "%d of %d" % (len(got), len(sent))
            got.append(m.payload)
        assert sorted(got) == sorted(sent)
        for pid in pubs:
            mine = [p for p in got if p.startswith(b"%d-" % pid)]
            assert mine == [p for p in sent if p.startswith(b"%d-" % pid)]
        assert conn.read(0.3) is None


def test_subscription_sees_the_next_publish(two_acceptors):
    """A SUBACK from one acceptor, then a publish at the other: it arrives,
    every time (interest is pulled, not waited for)."""
    tree = two_acceptors
    subs = spread(tree, lambda n: Conn(tree.mqtt_port, "sub%d" % n))
    pubs = spread(tree, lambda n: Conn(tree.mqtt_port, "pub%d" % n))
    for i in range(100):
        for sub in subs.values():
            assert sub.subscribe(("i/%d" % i, 0)) == [0]
        for pid, pub in pubs.items():
            pub.publish("i/%d" % i, str(pid), qos=0)
        for sub in subs.values():
            got = {sub.message(5).payload for _ in pubs}
            assert got == {str(pid).encode() for pid in pubs}, i


def test_takeover_between_acceptors(two_acceptors):
    """The older connection is closed with 0x8E, the session moves whole."""
    tree = two_acceptors
    conn = Conn(tree.mqtt_port, "one", version=5, clean=False, props=EXPIRY)
    conn.subscribe(("k/#", 1))
    Conn(tree.mqtt_port, "pub").publish("k/a", "x", qos=1)
    assert conn.message().payload == b"x"
    homes = set()
    for n in range(40):
        homes.add(owner(tree, conn.sock.getsockname()[1]))
        newer = Conn(tree.mqtt_port, "one", version=5, clean=False,
                     props=EXPIRY)
        assert newer.session_present
        with pytest.raises(Closed) as closed:
            while conn.read(5):
                pass
        assert closed.value.reason == 0x8E, str(closed.value)
        conn.close()
        conn = newer
    assert len(homes) == 2, "all connections at one acceptor"
    Conn(tree.mqtt_port, "pub2").publish("k/a", "y", qos=1)
    assert conn.message().payload == b"y"


def test_takeover_race(two_acceptors):
    """Many connections take the same session at once under load: in the end
    one has it, and every message came once, in order."""
    tree = two_acceptors
    Conn(tree.mqtt_port, "one", clean=False).subscribe(("r/#", 2))
    pub = Publisher(tree.mqtt_port, "pub", "r/a", qos=2, rate=300)
    pub.start()
    end = time.monotonic() + 6
    failures = []

    def racer():
        rnd = random.Random()
        while time.monotonic() < end:
            try:
                conn = Conn(tree.mqtt_port, "one", clean=False, timeout=3)
                if not conn.session_present:
                    failures.append("session lost")
                time.sleep(rnd.uniform(0, 0.05))
                conn.close()
            except (Closed, OSError, AssertionError):
                pass

    threads = [threading.Thread(target=racer) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    sub = Subscriber(tree.mqtt_port, "one", ["r/#"], qos=2)
    sub.subscribed.set()
    sub.start()
    time.sleep(0.5)
    pub.stop()
    assert not failures, failures[:3]
    bulkhead.wait_for(lambda: len(sub.got) >= len(pub.sends), 20,
                      "all messages: %d of %d" % (len(sub.got),
                                                  len(pub.sends)))
    time.sleep(0.3)
    sub.stop()
    compare.check_subscriber(sub, [pub], 2)
    assert len(sub.got) == len(pub.sends)


def test_wills_of_a_killed_acceptor(two_acceptors):
    """The router owns wills: each client of the dead acceptor has its own
    published once, nobody else's; a reconnect within the delay cancels."""
    tree = two_acceptors
    watch = Conn(tree.mqtt_port, "watch", clean=False)
    watch.subscribe(("will/#", 1))
    victims = {}
    for n in range(10):
        conn = Conn(tree.mqtt_port, "w%d" % n, version=5,
                    will=("will/%d" % n, "gone %d" % n, 1, False))
        victims[n] = (conn, owner(tree, conn.sock.getsockname()[1]))
    delayed = Conn(tree.mqtt_port, "later", version=5, clean=False,
                   props=EXPIRY,
                   will=("will/later", "late", 1, False,
                         b"\x18" + struct.pack(">I", 5)))
    late_home = owner(tree, delayed.sock.getsockname()[1])
    pid = late_home
    os.kill(pid, signal.SIGKILL)
    tree.kills += 1
    back = bulkhead.wait_for(
        lambda: try_connect(tree, "later", version=5, clean=False,
                            props=EXPIRY), what="a connection")
    assert back.session_present
    want = {b"gone %d" % n for n, (_, home) in victims.items() if home == pid}
    assert want, "no client at the killed acceptor"
    got = []
    end = time.monotonic() + 8
    while time.monotonic() < end:
        if watch.sock.fileno() < 0:
            break
        try:
            m = watch.message(0.5)
        except Closed:
            watch = bulkhead.wait_for(lambda: reconnect(tree, "watch"),
                                      what="the watcher")
            continue
        if m:
            got.append(m.payload)
    assert sorted(got) == sorted(want)


def try_connect(tree, client_id, **options):
    try:
        return Conn(tree.mqtt_port, client_id, **options)
    except (Closed, OSError, AssertionError):
        return None


def test_will_survives_router_kill(broker):
    watch = Conn(broker.mqtt_port, "watch")
    watch.subscribe(("will/#", 1))
    dying = Conn(broker.mqtt_port, "w", will=("will/a", "gone", 1, False))
    broker.kill_and_wait("router")
    dying.close()
    m = watch.message(10)
    assert m and m.payload == b"gone"
    assert watch.read(0.5) is None


def test_clients_stay_over_router_kill(broker):
    """A kill of the router costs no client its connection."""
    conns = [Conn(broker.mqtt_port, "c%d" % n) for n in range(20)]
    for n, conn in enumerate(conns):
        conn.subscribe(("c/%d" % n, 1))
    for _ in range(3):
        broker.kill_and_wait("router")
        pub = Conn(broker.mqtt_port, "pub")
        for n, conn in enumerate(conns):
            assert pub.publish("c/%d" % n, "hello", qos=1) in (0, 16)
            assert conn.message(10).payload == b"hello"
        pub.disconnect()


def test_retained_over_kills(broker):
    pub = Conn(broker.mqtt_port, "pub")
    for n in range(50):
        pub.publish("keep/%d" % n, "v%d" % n, qos=1, retain=True)
    pub.publish("keep/0", "", qos=1, retain=True)
    for kind in ("router", "acceptor"):
        broker.kill_and_wait(kind)
        broker.wait_ready()
        conn = bulkhead.wait_for(
            lambda: try_connect(broker, "new-" + kind), what="connection")
        conn.subscribe(("keep/#", 1))
        got = {}
        while len(got) < 49:
            m = conn.message(10)
            assert m, "%d of 49" % len(got)
            assert m.retain
            got[m.topic] = m.payload
        assert got == {"keep/%d" % n: b"v%d" % n for n in range(1, 50)}
        assert conn.read(0.3) is None


def test_subscriptions_are_kept(broker):
    """SUBACK and UNSUBACK of a persistent session wait for the commit."""
    conn = Conn(broker.mqtt_port, "s", clean=False)
    assert conn.subscribe(("a/#", 1), ("b/#", 2), ("c/#", 0)) == [1, 2, 0]
    broker.kill("router")
    broker.kill("acceptor")
    broker.wait_ready()
    conn = bulkhead.wait_for(lambda: reconnect(broker, "s"), what="session")
    pub = Conn(broker.mqtt_port, "pub")
    for topic, qos in (("a/1", 1), ("b/1", 2), ("c/1", 1)):
        pub.publish(topic, topic, qos=qos)
    got = {conn.message(10).topic for _ in range(3)}
    assert got == {"a/1", "b/1", "c/1"}
