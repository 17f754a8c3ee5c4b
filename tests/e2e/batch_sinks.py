"""batch_sinks - what the tests of connector types that send many records at
once have in common: the connector `s`, storms, checks of definitions."""

import json
import threading
import time

import bulkhead
import servers
from mqtt_raw import Conn, publish_packet

STREAMS = {"t": {"topics": ["t/#"]}}
QUICK = {"strategy": "dead_message_queue", "retry_total_times": 2,
         "wait_time_ms": 50, "max_wait_ms": 300}
# Long enough that what is published at once is one batch.
ONE_BATCH = {"max_records": 500, "linger_ms": 400}
NAME = "s"


def definition(type, config, common=None):
    return {"type": type, "stream": "t", "start": "earliest",
            "failure_strategy": QUICK, **(common or {}), "config": config}


def start(new_tree, definition, **config):
    return new_tree({"streams": STREAMS, "connectors": {NAME: definition},
                     **config}).start()


def publish(tree, messages, version=4):
    conn = Conn(tree.mqtt_port, "pub", version=version)
    for topic, payload, *props in messages:
        assert conn.publish(topic, payload, qos=1,
                            props=b"".join(props)) in (0, 16)
    conn.disconnect()


def numbers(count, first=0, topic="t/a"):
    return [(topic, json.dumps({"n": n})) for n in range(first, first + count)]


def flood(tree, count, topics=7, window=200):
    """Messages {"n": N} of topics t/0.. as fast as they are acknowledged."""
    conn = Conn(tree.mqtt_port, "flood")
    for first in range(0, count, window):
        last = min(first + window, count)
        conn.send(b"".join(publish_packet(
            "t/%d" % (n % topics), json.dumps({"n": n}), qos=1,
            mid=n - first + 1) for n in range(first, last)))
        for _ in range(first, last):
            conn.expect(4)
    conn.disconnect()


def drained(tree, count, dlq=0, timeout=40):
    row = tree.wait_drained(NAME, timeout, count)
    assert row["unaccounted"] == 0 and row["matched"] == count, str(row)
    assert row["dlq"] == dlq and row["delivered"] == count - dlq, str(row)
    return row


def dead(tree):
    found = tree.json("dlq", "ls", NAME)
    return found if isinstance(found, list) else found["items"]


def reason(tree, *words):
    """The worker says what it waits for; nothing is dead for that."""
    def told():
        shown = tree.show(NAME)
        assert shown["reason"], str(shown)
        for word in words:
            assert word in shown["reason"], str(shown)
        return shown
    shown = bulkhead.wait_for(told, 20, " ".join(words) or "a reason")
    assert tree.audit(NAME)[NAME]["dlq"] == 0
    return shown


def run_test(tree, tmp_path, definition):
    """`connector test` of a definition: (status, text)."""
    file = tmp_path / "test.json"
    file.write_text(json.dumps({"name": NAME, **definition}))
    status, out, err = bulkhead.command("--socket", tree.socket, "connector",
                                        "test", str(file))
    return status, out + err


def check(tmp_path, definition):
    """`check` of a definition: (status, text)."""
    file = tmp_path / "check.json"
    file.write_text(json.dumps({"streams": STREAMS,
                                "connectors": {NAME: definition}}))
    status, out, err = bulkhead.command("check", str(file))
    return status, out + err


def storm(tree, count, outage, kills=4, timeout=90):
    """count records while the worker is killed and the target is out:
    outage() takes it away for a while and brings it back."""
    thread = threading.Thread(target=flood, args=(tree, count))
    thread.start()
    for n in range(kills):
        time.sleep(0.3)
        tree.kill("worker")
        if n == kills // 2:
            outage()
    thread.join()
    drained(tree, count, timeout=timeout)


def hangs(new_tree, definition_for):
    """A server that takes connections and says nothing: no dead letter."""
    server = servers.BadServer("hang")
    try:
        tree = start(new_tree, definition_for(server.port))
        publish(tree, numbers(20))
        bulkhead.wait_for(lambda: server.connections > 1, 20, "a connection")
        time.sleep(2)
        reason(tree)
        assert tree.audit(NAME)[NAME]["delivered"] == 0
    finally:
        server.close()
