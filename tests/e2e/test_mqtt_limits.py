"""Limits that a client meets, each with its reason code; topic aliases
towards clients that take them."""

import struct

import pytest

import bulkhead
from bulkhead import wait_for
from mqtt_raw import Closed, Conn, packet

EXPIRY = b"\x11" + struct.pack(">I", 600)


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    tree = bulkhead.Tree(tmp_path_factory.mktemp("limits"), {
        "limits": {"max_subscriptions": 3, "topic_aliases_sent": 4}})
    try:
        tree.start()
        yield tree
        assert not tree.crashes()
        assert tree.stop() == 0
    finally:
        tree.kill_all()


def unsubscribe(conn, *filters):
    conn.send(packet(10, 2, b"\0\x63\0" + b"".join(
        struct.pack(">H", len(f)) + f.encode() for f in filters)))
    return list(conn.expect(11).body[3:])


@pytest.mark.parametrize("props", [b"", EXPIRY])
@pytest.mark.parametrize("qos", [0, 1])
def test_subscriptions(broker, props, qos):
    name = "subs-%d-%d" % (len(props), qos)
    c = Conn(broker.mqtt_port, name, 5, props=props)
    assert c.subscribe("a", "b", "c", "d", qos=qos) == [qos] * 3 + [0x97]
    assert unsubscribe(c, "b", "x") == [0, 0x11]
    assert c.subscribe("d", qos=qos) == [qos]
    assert c.subscribe("e", qos=qos) == [0x97]
    c.close()
    if props:
        c = Conn(broker.mqtt_port, name, 5, clean=False, props=EXPIRY)
        assert c.subscribe("e", qos=qos) == [0x97]
        assert unsubscribe(c, "a") == [0]
        assert c.subscribe("e", qos=qos) == [qos]
        c.close()


def alias_of(props):
    return struct.unpack(">H", props[-2:])[0] if props[-3:-2] == b"\x23" \
        else 0


@pytest.mark.sanitize
@pytest.mark.parametrize("session", [b"", EXPIRY])
@pytest.mark.parametrize("qos", [0, 1])
def test_aliases(broker, session, qos):
    """A topic goes once, its alias from then on; never beyond the
    client's maximum, and not at all to one that takes none."""
    limited = Conn(broker.mqtt_port, "al-%d%d" % (qos, len(session)), 5,
                   props=b"\x22" + struct.pack(">H", 2) + session)
    none = Conn(broker.mqtt_port, "no-%d%d" % (qos, len(session)), 5)
    limited.subscribe("al/#", qos=qos)
    none.subscribe("al/#", qos=qos)
    pub = Conn(broker.mqtt_port, "al-pub", 5)
    sent = []
    for i in range(60):
        topic = "al/%d" % (i // 10 % 3)
        pub.publish(topic, str(i), 1)
        sent.append((topic, str(i).encode()))
    known, got, shorter = {}, [], 0
    for _ in sent:
        m = limited.message()
        alias = alias_of(m.props)
        assert 1 <= alias <= 2
        if m.topic:
            known[alias] = m.topic
        else:
            shorter += 1
        got.append((known[alias], m.payload))
        m = none.message()
        assert m.topic and not alias_of(m.props)
    assert got == sent
    assert shorter >= 50
    for c in (limited, none, pub):
        c.close()


def test_connect_rate(tmp_path):
    tree = bulkhead.Tree(tmp_path, {"limits": {"connect_rate": 5}})
    try:
        tree.start()

        def burst():
            refused = 0
            for i in range(30):
                try:
                    Conn(tree.mqtt_port, "r%d" % i, 5).close()
                except Closed as error:
                    assert error.reason == 0x9f
                    refused += 1
            return refused
        assert burst() >= 15
        wait_for(lambda: burst() < 30, 5, "the next second")
    finally:
        tree.kill_all()
