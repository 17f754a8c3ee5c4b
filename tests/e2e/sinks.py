"""sinks - what the tests of connector types share: a tree with the connector
`c`, messages for it, and how it ended."""

import json
import threading
import time

import bulkhead
from mqtt_raw import PUBACK, Conn, publish_packet

STREAMS = {"t": {"topics": ["t/#"]}}
QUICK = {"strategy": "dead_message_queue", "retry_total_times": 2,
         "wait_time_ms": 50, "max_wait_ms": 300}
WINDOW = 500


def definition(type, config, **common):
    return {"type": type, "stream": "t", "start": "earliest",
            "failure_strategy": QUICK, **common, "config": config}


def start(new_tree, definition, **config):
    return new_tree({"streams": STREAMS, "connectors": {"c": definition},
                     **config}).start()


def publish(tree, messages, version=4, **options):
    """Pairs of topic and payload; a window of unacknowledged ones."""
    conn = Conn(tree.mqtt_port, "pub", version=version)
    sent = acked = 0
    out = b""
    for topic, payload in messages:
        sent += 1
        out += publish_packet(topic, payload, 1, (sent - 1) % 65535 + 1,
                              version=version, **options)
        if sent - acked >= WINDOW:
            conn.send(out)
            out = b""
            while sent - acked > WINDOW // 2:
                conn.expect(PUBACK)
                acked += 1
    conn.send(out)
    while acked < sent:
        conn.expect(PUBACK)
        acked += 1
    conn.disconnect()


def numbers(count, first=0, topic="t/a"):
    return [(topic, json.dumps({"n": n})) for n in range(first, first + count)]


def drained(tree, count, dlq=0, timeout=40):
    row = tree.wait_drained("c", timeout, count)
    assert row["unaccounted"] == 0 and row["matched"] == count, str(row)
    assert row["dlq"] == dlq and row["delivered"] == count - dlq, str(row)


def dead(tree):
    found = tree.json("dlq", "ls", "c")
    return found if isinstance(found, list) else found["items"]


def reason(tree, word, timeout=20):
    """The worker says what it waits for."""
    def told():
        shown = tree.show("c")
        assert shown["reason"] and word in shown["reason"], str(shown)
        return shown
    return bulkhead.wait_for(told, timeout, word)


def outage(tree, target, fault, restore, seconds=2.5):
    """The target goes away under records and comes back; not one is dead.
    Returns how many were published."""
    publish(tree, numbers(50))
    fault()
    publish(tree, numbers(50, 50))
    reason(tree, "")
    time.sleep(seconds)
    assert tree.audit("c")["c"]["dlq"] == 0
    restore()
    drained(tree, 100)
    return 100


def under_kills(tree, count, faults, topic="t/%d", rounds_min=3):
    """count records over 20 keys while the faults, (name, function) pairs,
    are done again and again; at the end everything is delivered."""
    done = threading.Event()
    errors = []

    def feed():
        try:
            publish(tree, [(topic % (n % 20), json.dumps({"n": n}))
                           for n in range(count)])
        except Exception as error:
            errors.append(error)
        done.set()

    thread = threading.Thread(target=feed)
    thread.start()
    rounds = 0
    while not done.is_set() or rounds < rounds_min:
        for _, fault in faults:
            time.sleep(0.4)
            fault()
        rounds += 1
    thread.join()
    assert not errors, errors
    drained(tree, count, timeout=60)
    return rounds


def check(tmp_path, type, config):
    """`bulkhead check` of a connector; (status, text)."""
    file = tmp_path / "b.json"
    file.write_text(json.dumps({"streams": STREAMS, "connectors": {
        "c": definition(type, config)}}))
    status, out, err = bulkhead.command("check", str(file))
    return status, out + err


def connector_test(tree, tmp_path, type, config):
    file = tmp_path / "c.json"
    file.write_text(json.dumps({"name": "x", **definition(type, config)}))
    status, out, err = bulkhead.command("--socket", tree.socket, "connector",
                                        "test", str(file))
    return status, out + err
