"""Shared subscriptions: who gets a message, and who gets it when the first
one does not answer or is gone."""

import collections
import struct
import subprocess
import threading

import pytest

import bulkhead
from bulkhead import wait_for
from mqtt_raw import Closed, Conn, packet


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    tree = bulkhead.Tree(tmp_path_factory.mktemp("shared"),
                         {"limits": {"max_queued": 50}})
    try:
        tree.start()
        yield tree
        assert not tree.crashes()
        assert all(p["restarts"] == 0 for p in tree.status()["processes"])
        assert tree.stop() == 0
    finally:
        tree.kill_all()


def drain(conn, answer=True, timeout=0.3):
    """Payloads until none comes for a while."""
    found = []
    while True:
        m = conn.message(timeout * bulkhead.SLOW, answer)
        if m is None:
            return found
        found.append(m)


def payloads(messages):
    return [m.payload.decode() for m in messages]


@pytest.mark.sanitize
@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_round_robin(broker, version, qos):
    """Each message once; each member its share; in order for each."""
    topic = "rr/%d/%d" % (version, qos)
    members = [Conn(broker.mqtt_port, "rr-%d" % i, version) for i in range(4)]
    for m in members:
        assert m.subscribe("$share/g/" + topic, qos=qos) == [qos]
    other = Conn(broker.mqtt_port, "rr-other", version)
    other.subscribe("$share/h/" + topic, qos=qos)
    plain = Conn(broker.mqtt_port, "rr-plain", version)
    plain.subscribe(topic, qos=qos)
    pub = Conn(broker.mqtt_port, "rr-pub", version)
    for i in range(40):
        pub.publish(topic, str(i), qos)
    want = [str(i) for i in range(40)]
    got = [payloads(drain(m)) for m in members]
    assert [len(g) for g in got] == [10] * 4
    for g in got:
        assert g == sorted(g, key=int)
    assert sorted(sum(got, []), key=int) == want
    assert payloads(drain(other)) == want
    assert payloads(drain(plain)) == want
    for c in (*members, other, plain, pub):
        c.disconnect()


def test_mosquitto_members(broker):
    """mosquitto_sub twice; all of one topic, none lost."""
    subs = [subprocess.Popen(
        ["stdbuf", "-oL", "mosquitto_sub", "-p", str(broker.mqtt_port),
         "-V", "5", "-t", "$share/m/mosq/#", "-q", "1", "-C", "10", "-W",
         "20", "-d"], stdout=subprocess.PIPE, text=True,
        preexec_fn=bulkhead._dies_with_us) for _ in range(2)]
    for s in subs:
        for line in s.stdout:
            if line.startswith("Subscribed"):
                break
    subprocess.run(["mosquitto_pub", "-p", str(broker.mqtt_port), "-t",
                    "mosq/a", "-q", "1", "-l"], check=True, text=True,
                   input="".join("n%d\n" % i for i in range(20)), timeout=20)
    lines = [l for s in subs for l in s.communicate(timeout=30)[0].split()
             if l[:1] == "n" and l[1:].isdigit()]
    assert sorted(lines) == sorted("n%d" % i for i in range(20))


@pytest.mark.sanitize
def test_redelivery(broker):
    """What a member did not acknowledge goes to another, marked DUP; what
    was sent at QoS 2 does not [MQTT-4.8.2-5]."""
    a = Conn(broker.mqtt_port, "re-a")
    b = Conn(broker.mqtt_port, "re-b")
    pub = Conn(broker.mqtt_port, "re-pub")
    for c in (a, b):
        c.subscribe("$share/g/re", qos=2)
    for i in range(10):
        pub.publish("re", str(i), 1)
    first = drain(a, answer=False)
    other = drain(b)
    assert len(first) == len(other) == 5
    a.close()
    again = drain(b)
    assert payloads(again) == payloads(first)
    assert all(m.dup for m in again)
    a = Conn(broker.mqtt_port, "re-a")
    a.subscribe("$share/g/re", qos=2)
    for i in range(4):
        pub.publish("re", "two-%d" % i, 2)
    first = drain(a, answer=False)
    assert len(first) == 2
    assert len(drain(b)) == 2
    a.close()
    assert drain(b) == []
    for c in (b, pub):
        c.disconnect()


@pytest.mark.sanitize
def test_slow_member_hoards_nothing(broker):
    """One with a full window is passed over; what nobody can take waits,
    within the limit, and goes to whoever has room first."""
    props = b"\x21" + struct.pack(">H", 2)      # receive maximum
    slow = Conn(broker.mqtt_port, "slow", 5, props=props)
    fast = Conn(broker.mqtt_port, "fast", 5)
    pub = Conn(broker.mqtt_port, "slow-pub", 5)
    for c in (slow, fast):
        c.subscribe("$share/g/slow", qos=1)
    for i in range(20):
        pub.publish("slow", str(i), 1)
    held = drain(slow, answer=False)
    assert len(held) == 2
    assert len(drain(fast)) == 18
    fast.disconnect()
    for i in range(100):                       # 50 are kept
        pub.publish("slow", "w%d" % i, 1)
    new = Conn(broker.mqtt_port, "new", 5)
    new.subscribe("$share/g/slow", qos=1)
    assert payloads(drain(new)) == ["w%d" % i for i in range(50)]
    slow.close()
    assert payloads(drain(new)) == payloads(held)
    for c in (new, pub):
        c.disconnect()


def test_last_member_takes_it_along(broker):
    """A group without members is none: nothing of it is left."""
    a = Conn(broker.mqtt_port, "last-a")
    pub = Conn(broker.mqtt_port, "last-pub", 5)
    a.subscribe("$share/g/last", qos=1)
    pub.publish("last", "x", 1)
    drain(a, answer=False)
    a.close()
    wait_for(lambda: pub.publish("last", "y", 1) == 0x10, 10, "nobody")
    b = Conn(broker.mqtt_port, "last-b")
    b.subscribe("$share/g/last", qos=1)
    assert drain(b) == []
    for c in (b, pub):
        c.disconnect()


def test_options(broker):
    """No retained messages; no local is an error [MQTT-3.8.3-4];
    identifiers; unsubscribe; the alias $queue."""
    pub = Conn(broker.mqtt_port, "opt-pub", 5)
    pub.publish("opt/x", "kept", 1, retain=True)
    a = Conn(broker.mqtt_port, "opt-a", 5)
    assert a.subscribe(("$share/g/opt/+", 1), ("$queue/opt/+", 1)) == [1, 1]
    assert drain(a) == []
    pub.publish("opt/x", "live", 1)
    assert payloads(drain(a)) == ["live", "live"]
    a.send(packet(10, 2, b"\0\x09\0" + b"".join(
        struct.pack(">H", len(f)) + f for f in
        (b"$queue/opt/+", b"$share/g/opt/+", b"$share/h/opt/+"))))
    assert a.expect(11).body == b"\0\x09\0\0\0\x11"
    pub.publish("opt/x", "gone", 1)
    assert drain(a) == []
    with pytest.raises(Closed) as closed:
        a.subscribe(("$share/g/opt/+", 5))
    assert closed.value.reason == 0x82
    for bad in ("$share/g", "$share//x", "$share/+/x", "$share/g/"):
        c = Conn(broker.mqtt_port, "opt-bad", 5)
        with pytest.raises(Closed):
            assert c.subscribe((bad, 1))[0] < 0x80
            raise AssertionError(bad)
        c.close()
    pub.publish("opt/x", "", 1, retain=True)
    pub.disconnect()


def test_persistent_member(broker):
    """Served while it is connected, and again when it comes back."""
    props = b"\x11" + struct.pack(">I", 600)
    a = Conn(broker.mqtt_port, "per-a", 5, props=props)
    pub = Conn(broker.mqtt_port, "per-pub", 5)
    assert a.subscribe(("$share/g/per", 1)) == [0]
    pub.publish("per", "1", 1)
    assert payloads(drain(a)) == ["1"]
    a.disconnect()
    a = Conn(broker.mqtt_port, "per-a", 5, clean=False, props=props)
    assert a.session_present
    pub.publish("per", "2", 1)
    assert payloads(drain(a)) == ["2"]
    for c in (a, pub):
        c.disconnect()


@pytest.mark.parametrize("strategy", ["random", "sticky", "hash_client",
                                      "hash_topic"])
def test_strategies(tmp_path, strategy):
    tree = bulkhead.Tree(tmp_path, {"mqtt": {"shared_strategy": strategy}})
    try:
        tree.start()
        members = [Conn(tree.mqtt_port, "s-%d" % i) for i in range(3)]
        for m in members:
            m.subscribe("$share/g/s/+", qos=1)
        pubs = [Conn(tree.mqtt_port, "p-%d" % i) for i in range(12)]
        for i, p in enumerate(pubs):
            for topic in range(12):
                p.publish("s/%d" % topic, "%d %d" % (i, topic), 1)
        got = [[tuple(m.payload.decode().split()) for m in drain(c)]
               for c in members]
        assert sorted(sum(got, [])) == sorted(
            (str(i), str(t)) for i in range(12) for t in range(12))
        counts = [len(g) for g in got]
        if strategy == "sticky":
            assert sorted(counts) == [0, 0, 144]
            holder = counts.index(144)
            members[holder].close()
            members.pop(holder)
            for i in range(10):
                pubs[0].publish("s/0", "0 0", 1)
            assert sorted(len(drain(c)) for c in members) == [0, 10]
            return
        assert all(counts), counts
        at = {"hash_client": 0, "hash_topic": 1}.get(strategy)
        if at is not None:
            owners = collections.defaultdict(set)
            for i, g in enumerate(got):
                for key in g:
                    owners[key[at]].add(i)
            assert all(len(o) == 1 for o in owners.values())
    finally:
        tree.kill_all()


def test_several_acceptors_refuse(tmp_path):
    """A group must be whole in one process; the CONNACK says so too."""
    tree = bulkhead.Tree(tmp_path, {"acceptors": {"mqtt": 2}})
    try:
        tree.start()
        c = Conn(tree.mqtt_port, "many", 5)
        assert b"\x2a\0" in c.connack.body
        assert c.subscribe(("$share/g/x", 1)) == [0x9e]
    finally:
        tree.kill_all()


@pytest.mark.sanitize
def test_members_come_and_go_under_load(broker):
    """At QoS 1 everything arrives, whoever dies."""
    seen, stop = set(), threading.Event()
    lock = threading.Lock()

    def member(name, lives):
        while not stop.is_set():
            c = Conn(broker.mqtt_port, name)
            c.subscribe("$share/g/load", qos=1)
            for n in range(lives):
                m = c.message(0.2)
                if m is None:
                    if stop.is_set():
                        break
                    continue
                with lock:
                    seen.add(m.payload)
            c.close()
    stays = Conn(broker.mqtt_port, "load-stays")
    stays.subscribe("$share/g/load", qos=1)

    def steady():
        while not stop.is_set():
            m = stays.message(0.2)
            if m is not None:
                with lock:
                    seen.add(m.payload)
    threads = [threading.Thread(target=member, args=("load-%d" % i, 7 + i))
               for i in range(3)] + [threading.Thread(target=steady)]
    for t in threads:
        t.start()
    pub = Conn(broker.mqtt_port, "load-pub")
    sent = set()
    for i in range(1500):
        pub.publish("load", "m%d" % i, 1)
        sent.add(b"m%d" % i)
    try:
        wait_for(lambda: seen == sent, 20, "all messages")
    finally:
        stop.set()
        for t in threads:
            t.join(20)
    pub.disconnect()
