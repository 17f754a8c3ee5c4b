"""MQTT with clients of others: mosquitto_pub, mosquitto_sub and paho; and
what only a raw client can ask."""

import itertools
import struct
import subprocess
import threading
import time

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

import bulkhead
from mqtt_raw import (Closed, Conn, PUBACK, PUBCOMP, PUBREC, PUBREL,
                      Subscriber, ack_mid, ack_packet, packet, parse_publish,
                      properties, publish_packet, subscribe_packet, text,
                      user_property)


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    """One tree for all tests here: none of them kills."""
    tree = bulkhead.Tree(tmp_path_factory.mktemp("mqtt"), {
        "limits": {"max_packet_size": "256KiB"}})
    try:
        tree.start()
        yield tree
        assert not tree.crashes()
        assert all(p["restarts"] == 0 for p in tree.status()["processes"])
        assert tree.stop() == 0
    finally:
        tree.kill_all()


class Sub:
    """mosquitto_sub of count messages."""

    def __init__(self, broker, *args, count=1, timeout=10):
        self.process = subprocess.Popen(
            ["stdbuf", "-oL", "mosquitto_sub", "-p", str(broker.mqtt_port), "-C", str(count),
             "-W", str(timeout), "-d", *args], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
            preexec_fn=bulkhead._dies_with_us)
        self.early = []   # retained ones may come before the SUBACK
        for line in self.process.stdout:
            if line.startswith("Subscribed"):
                break
            self.early.append(line.rstrip("\n"))

    def messages(self):
        # Not communicate(): it forgets what readline has read ahead.
        out = self.process.stdout.read()
        self.process.wait(30)
        return [line for line in self.early + out.splitlines()
                if not line.startswith(("Client ", "Subscribed"))]


def pub(broker, *args, stdin=None):
    done = subprocess.run(["mosquitto_pub", "-p", str(broker.mqtt_port),
                           *args], capture_output=True, text=True, timeout=20,
                          input=stdin)
    assert done.returncode == 0, done.stderr


@pytest.mark.sanitize
@pytest.mark.parametrize("version,pub_qos,sub_qos", itertools.product(
    ["mqttv31", "mqttv311", "mqttv5"], [0, 1, 2], [0, 1, 2]))
def test_mosquitto(broker, version, pub_qos, sub_qos):
    topic = "m/%s/%d/%d" % (version, pub_qos, sub_qos)
    sub = Sub(broker, "-V", version, "-t", topic, "-q", str(sub_qos),
              "-F", "%t %q %p", count=3)
    pub(broker, "-V", version, "-t", topic, "-q", str(pub_qos), "-l",
        stdin="a\nb\nc\n")
    qos = min(pub_qos, sub_qos)
    assert sub.messages() == ["%s %d %s" % (topic, qos, c) for c in "abc"]


WILDCARDS = [
    ("w/+/x", "w/a/x", True), ("w/+/x", "w/a/b/x", False),
    ("w/#", "w", True), ("w/#", "w/a/b", True), ("#", "w/any", True),
    ("+/any", "w/any", True), ("+", "w/any", False),
    ("/+", "/a", True), ("+/+", "/a", True), ("+", "/a", False),
    ("w//x", "w//x", True), ("w/+/x", "w//x", True),
    ("#", "$other/a", False), ("$other/#", "$other/a", True),
    ("w/a", "w/A", False),
]


@pytest.mark.parametrize("filter,topic,matches", WILDCARDS)
def test_wildcards(broker, filter, topic, matches):
    conn = Conn(broker.mqtt_port, "wild")
    conn.subscribe((filter, 1), ("sentinel", 1))
    other = Conn(broker.mqtt_port, "wild-pub")
    other.publish(topic, "hit", qos=1)
    other.publish("sentinel", "end", qos=1)
    got = []
    while not got or got[-1] != "sentinel":
        m = conn.message(10)
        assert m
        got.append(m.topic)
    assert got == ([topic] if matches else []) + ["sentinel"]
    conn.disconnect()
    other.disconnect()


def test_overlapping_subscriptions(broker):
    """Version 3.1.1 may get one copy or several; never none, and the QoS is
    that of a matching subscription. Version 5 with identifiers."""
    conn = Conn(broker.mqtt_port, "over")
    conn.subscribe(("o/#", 0), ("o/a", 2))
    other = Conn(broker.mqtt_port, "over-pub")
    other.publish("o/a", "x", qos=2)
    first = conn.message()
    assert first.payload == b"x"
    qos = {first.qos}
    while True:
        m = conn.message(0.5)
        if not m:
            break
        qos.add(m.qos)
    assert 2 in qos


def test_retained(broker):
    pub(broker, "-t", "r/a", "-m", "kept", "-r", "-q", "1")
    sub = Sub(broker, "-t", "r/#", "-F", "%r %t %p")
    assert sub.messages() == ["1 r/a kept"]
    # Live messages do not carry the flag; an empty one removes.
    conn = Conn(broker.mqtt_port, "r")
    conn.subscribe(("r/#", 1))
    m = conn.message()
    assert m.retain and m.payload == b"kept"
    pub(broker, "-t", "r/a", "-m", "new", "-r")
    m = conn.message()
    assert not m.retain and m.payload == b"new"
    pub(broker, "-t", "r/a", "-n", "-r")
    assert conn.message().payload == b""
    late = Conn(broker.mqtt_port, "late")
    late.subscribe(("r/#", 1))
    assert late.message(0.5) is None


@pytest.mark.parametrize("handling", [0, 1, 2])
def test_retain_handling(broker, handling):
    topic = "rh/%d" % handling
    other = Conn(broker.mqtt_port, "rh-pub")
    other.publish(topic, "kept", qos=1, retain=True)
    conn = Conn(broker.mqtt_port, "rh", version=5)
    first = 1 if handling < 2 else 0
    again = 1 if handling == 0 else 0
    for want in (first, again):
        conn.subscribe((topic, 1 | handling << 4))
        m = conn.message(1)
        assert (m is not None) == bool(want), (handling, want, m)
    other.publish(topic, "", qos=1, retain=True)
    conn.disconnect()


def test_no_local_and_retain_as_published(broker):
    conn = Conn(broker.mqtt_port, "nl", version=5)
    conn.subscribe(("nl", 1 | 4), ("rap", 1 | 8))
    assert conn.publish("nl", "mine", qos=1) in (0, 16)
    other = Conn(broker.mqtt_port, "nl2", version=5)
    other.publish("nl", "theirs", qos=1)
    assert conn.message().payload == b"theirs"
    other.publish("rap", "x", qos=1, retain=True)
    assert conn.message().retain
    other.publish("rap", "", qos=1, retain=True)


def test_will(broker):
    """Published when the connection breaks, not after a DISCONNECT."""
    watch = Conn(broker.mqtt_port, "watch")
    watch.subscribe(("will/#", 1))
    polite = Conn(broker.mqtt_port, "polite", will=("will/p", "x", 1, False))
    polite.disconnect()
    rude = Conn(broker.mqtt_port, "rude", will=("will/r", "gone", 1, True))
    rude.close()
    m = watch.message()
    assert m.topic == "will/r" and m.payload == b"gone" and m.qos == 1
    late = Conn(broker.mqtt_port, "late-watch")
    late.subscribe(("will/#", 1))
    assert late.message().retain
    Conn(broker.mqtt_port, "x").publish("will/r", "", qos=1, retain=True)


def test_will_delay_and_reconnect(broker):
    watch = Conn(broker.mqtt_port, "wd-watch")
    watch.subscribe(("wd/#", 1))
    delay = b"\x18" + struct.pack(">I", 2)
    expiry = b"\x11" + struct.pack(">I", 60)
    options = dict(version=5, clean=False, props=expiry,
                   will=("wd/a", "late", 1, False, delay))
    Conn(broker.mqtt_port, "wd", **options).close()
    time.sleep(0.5)
    back = Conn(broker.mqtt_port, "wd", **options)
    assert watch.message(3) is None, "a reconnect cancels"
    back.close()
    start = time.monotonic()
    assert watch.message(6).payload == b"late"
    assert time.monotonic() - start > 1.2


def test_keepalive(broker):
    """One and a half times the keep alive without a packet: closed."""
    conn = Conn(broker.mqtt_port, "ka", keepalive=1, timeout=8)
    start = time.monotonic()
    with pytest.raises(Closed):
        while conn.read(6) is not None:
            pass
    assert 1.2 < time.monotonic() - start < 4
    conn = Conn(broker.mqtt_port, "ka", keepalive=1)
    for _ in range(4):
        time.sleep(0.6)
        conn.send(b"\xc0\0")
        assert conn.expect(13)


def test_takeover(broker):
    old = Conn(broker.mqtt_port, "same", version=5)
    new = Conn(broker.mqtt_port, "same", version=5)
    with pytest.raises(Closed) as closed:
        old.read(5)
    assert closed.value.reason == 0x8E
    new.send(b"\xc0\0")
    assert new.expect(13)


def test_assigned_client_id(broker):
    conn = Conn(broker.mqtt_port, "", version=5)
    assert b"\x12" in conn.connack.body, "no assigned client identifier"
    other = Conn(broker.mqtt_port, "", version=5)
    assert other.connack.body != conn.connack.body
    assert Conn(broker.mqtt_port, "", version=4).connack.body[1] == 0
    with pytest.raises(Closed) as closed:
        Conn(broker.mqtt_port, "", version=4, clean=False)
    assert closed.value.reason == 2


def test_properties_pass(broker):
    """User properties in order, content type, response topic, correlation
    data and payload format reach the subscriber."""
    conn = Conn(broker.mqtt_port, "props", version=5)
    conn.subscribe(("p/a", 1))
    props = (b"\x01\x01" + b"\x03" + text("application/json")
             + b"\x08" + text("reply/to") + b"\x09" + text("corr")
             + user_property("a", "1") + user_property("b", "2")
             + user_property("a", "3"))
    Conn(broker.mqtt_port, "props-pub", version=5).publish(
        "p/a", "{}", qos=1, props=props)
    m = conn.message()
    for part in (b"\x01\x01", b"\x03" + text("application/json"),
                 b"\x08" + text("reply/to"), b"\x09" + text("corr")):
        assert part in m.props
    users = [user_property("a", "1"), user_property("b", "2"),
             user_property("a", "3")]
    assert b"".join(users) in m.props
    # A 3.1.1 subscriber gets the plain message.
    old = Conn(broker.mqtt_port, "props-old")
    old.subscribe(("p/a", 1))
    Conn(broker.mqtt_port, "props-pub", version=5).publish(
        "p/a", "{}", qos=1, props=props)
    assert old.message().payload == b"{}"


def test_message_expiry(broker):
    """Counted down while it waits for a session; gone when it is over."""
    Conn(broker.mqtt_port, "exp", version=5, clean=False,
         props=b"\x11" + struct.pack(">I", 60)).subscribe(("e/#", 1))
    time.sleep(0.2)
    other = Conn(broker.mqtt_port, "exp-pub", version=5)
    # The subscriber above was garbage collected, so it is offline now.
    other.publish("e/short", "x", qos=1, props=b"\x02" + struct.pack(">I", 1))
    other.publish("e/long", "y", qos=1, props=b"\x02" + struct.pack(">I", 60))
    time.sleep(2.5)
    conn = Conn(broker.mqtt_port, "exp", version=5, clean=False,
                props=b"\x11" + struct.pack(">I", 60))
    m = conn.message()
    assert m.topic == "e/long"
    at = m.props.index(b"\x02")
    assert struct.unpack_from(">I", m.props, at + 1)[0] <= 58


def test_subscription_identifier(broker):
    conn = Conn(broker.mqtt_port, "sid", version=5)
    conn.send(subscribe_packet(1, [("sid/#", 1)], 5, b"\x0b\x07"))
    assert conn.expect(9)
    Conn(broker.mqtt_port, "sid-pub").publish("sid/a", "x", qos=1)
    assert b"\x0b\x07" in conn.message().props


def test_session_expires(broker):
    options = dict(version=5, clean=False)
    Conn(broker.mqtt_port, "se", props=b"\x11" + struct.pack(">I", 1),
         **options).disconnect()
    time.sleep(2.5)
    assert not Conn(broker.mqtt_port, "se", props=b"\x11"
                    + struct.pack(">I", 60), **options).session_present
    time.sleep(0.2)
    assert Conn(broker.mqtt_port, "se", **options).session_present


def test_clean_start_ends_the_session(broker):
    Conn(broker.mqtt_port, "cs", clean=False).subscribe(("cs/#", 1))
    assert Conn(broker.mqtt_port, "cs", clean=False).session_present
    assert not Conn(broker.mqtt_port, "cs", clean=True).session_present
    assert not Conn(broker.mqtt_port, "cs", clean=False).session_present


def test_receive_maximum(broker):
    """No more unacknowledged messages than the client takes."""
    conn = Conn(broker.mqtt_port, "rm", version=5,
                props=b"\x21" + struct.pack(">H", 3))
    conn.subscribe(("rm/#", 1))
    other = Conn(broker.mqtt_port, "rm-pub")
    for n in range(10):
        other.publish("rm/a", str(n), qos=1)
    mids = []
    while True:
        p = conn.read(0.7)
        if not p:
            break
        mids.append(parse_publish(p, 5).mid)
    assert len(mids) == 3
    got = 3
    for mid in mids:
        conn.send(ack_packet(PUBACK, mid))
    while got < 10:
        m = conn.message()
        assert m
        got += 1


def test_maximum_packet_size(broker):
    """Ours is honoured, and the client's."""
    conn = Conn(broker.mqtt_port, "mp", version=5)
    assert b"\x27" + struct.pack(">I", 256 << 10) in conn.connack.body
    conn.send(publish_packet("big", b"x" * (300 << 10), 1, 1, version=5))
    with pytest.raises(Closed) as closed:
        conn.read(5)
    assert closed.value.reason in (0x95, None)
    small = Conn(broker.mqtt_port, "small", version=5,
                 props=b"\x27" + struct.pack(">I", 100))
    small.subscribe(("ps", 1))
    other = Conn(broker.mqtt_port, "ps-pub")
    other.publish("ps", "x" * 200, qos=1)
    other.publish("ps", "fits", qos=1)
    assert small.message().payload == b"fits"


def test_topic_alias(broker):
    conn = Conn(broker.mqtt_port, "ta", version=5)
    conn.subscribe(("alias/a", 1))
    alias = b"\x23" + struct.pack(">H", 1)
    conn.send(publish_packet("alias/a", "one", 0, version=5, props=alias))
    conn.send(publish_packet("", "two", 0, version=5, props=alias))
    assert [conn.message().payload for _ in range(2)] == [b"one", b"two"]
    conn.send(publish_packet("", "x", 0, version=5,
                             props=b"\x23" + struct.pack(">H", 2)))
    with pytest.raises(Closed):
        conn.read(5)


def test_qos2_from_a_client_is_once(broker):
    """The same packet identifier again before PUBREL is no new message."""
    conn = Conn(broker.mqtt_port, "q2")
    conn.subscribe(("q2", 0))
    other = Conn(broker.mqtt_port, "q2-pub")
    for dup in (False, True, True):
        other.send(publish_packet("q2", "once", 2, 5, dup=dup))
        assert other.expect(PUBREC)
    assert conn.message().payload == b"once"
    assert conn.message(0.5) is None


def test_qos2_again_after_a_break_is_answered(broker):
    """The first copy is stored for long when its repetition comes, and
    nothing else asks for a commit: the PUBREC comes all the same."""
    first = Conn(broker.mqtt_port, "again", clean=False)
    first.send(publish_packet("again/x", b"1", 2, 9))
    first.expect(PUBREC)
    first.close()
    time.sleep(1)
    second = Conn(broker.mqtt_port, "again", clean=False, timeout=3)
    assert second.session_present
    second.send(publish_packet("again/x", b"1", 2, 9, dup=True))
    assert ack_mid(second.expect(PUBREC)) == 9
    second.send(ack_packet(PUBREL, 9))
    assert ack_mid(second.expect(PUBCOMP)) == 9
    second.disconnect()


@pytest.mark.sanitize
def test_paho(broker):
    """paho in both versions, callbacks, QoS 2, unsubscribe."""
    for protocol in (paho.MQTTv311, paho.MQTTv5):
        got = []
        done = threading.Event()
        client = paho.Client("paho%d" % protocol, protocol=protocol)
        client.on_message = lambda c, u, m: (
            got.append((m.topic, m.payload, m.qos)),
            done.set() if len(got) == 100 else None)
        subscribed = threading.Event()
        client.on_subscribe = lambda *a: subscribed.set()
        client.connect("127.0.0.1", broker.mqtt_port)
        client.loop_start()
        client.subscribe("paho/#", 2)
        assert subscribed.wait(10)
        options = {}
        if protocol == paho.MQTTv5:
            options["properties"] = Properties(PacketTypes.PUBLISH)
            options["properties"].UserProperty = [("k", "v")]
        for n in range(100):
            client.publish("paho/%d" % (n % 3), str(n), qos=2, **options)
        assert done.wait(20), len(got)
        assert [int(p) for _, p, _ in got] == list(range(100))
        assert {q for _, _, q in got} == {2}
        client.loop_stop()
        client.disconnect()


def test_fan_out_and_in(broker):
    subs = [Subscriber(broker.mqtt_port, "fan%d" % n, ["fan/#"], qos=n % 3,
                       persistent=n % 2 == 1) for n in range(12)]
    for s in subs:
        s.start()
        s.ready()
    pubs = [Conn(broker.mqtt_port, "fanp%d" % n) for n in range(3)]
    for n in range(60):
        pubs[n % 3].publish("fan/%d" % (n % 3), str(n), qos=n % 3)
    for s in subs:
        bulkhead.wait_for(lambda: len(s.got) >= 60, 15, s.client_id)
        s.stop()
        assert sorted(int(m.payload) for m, _ in s.got) == list(range(60))
        for k in range(3):
            mine = [int(m.payload) for m, _ in s.got
                    if m.topic == "fan/%d" % k]
            assert mine == sorted(mine)


def test_many_filters_in_one_subscribe(broker):
    conn = Conn(broker.mqtt_port, "mf", version=5)
    codes = conn.subscribe(("a", 0), ("b", 1), ("c/#", 2))
    assert codes == [0, 1, 2]


def test_unsubscribe(broker):
    for version, clean in ((4, True), (5, True), (4, False)):
        conn = Conn(broker.mqtt_port, "un%d" % version, version=version,
                    clean=clean)
        conn.subscribe(("un", 1))
        conn.send(packet(10, 2, struct.pack(">H", 9) + properties(version)
                         + text("un")))
        assert conn.expect(11)
        Conn(broker.mqtt_port, "un-pub").publish("un", "x", qos=1)
        assert conn.message(0.5) is None
        conn.disconnect()
    Conn(broker.mqtt_port, "un4").disconnect()


def test_publish_without_a_subscriber(broker):
    conn = Conn(broker.mqtt_port, "lonely", version=5)
    assert conn.publish("nobody/here", "x", qos=1) in (0, 0x10)
    assert conn.publish("nobody/here", "x", qos=2) in (0, 0x10)
