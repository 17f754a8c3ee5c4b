"""The thin path: mosquitto_pub -> stream -> file, through all processes,
also when router and worker are killed on the way."""

import json
import os
import subprocess

import pytest

import bulkhead
import compare
import klog
from mqtt_raw import Publisher, Subscriber

pytestmark = pytest.mark.sanitize

STREAM = {"t": {"topics": ["t/#"]}}


def file_connector(path, **more):
    return {"type": "file", "stream": "t", "start": "earliest",
            "config": {"path": path, "format": "json"}, **more}


def mosquitto_pub(tree, topic, lines, qos=1):
    done = subprocess.run(
        ["mosquitto_pub", "-p", str(tree.mqtt_port), "-t", topic, "-q",
         str(qos), "-l"], input="".join(line + "\n" for line in lines),
        text=True, timeout=60, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_mosquitto_pub_to_file(new_tree, tmp_path):
    out = str(tmp_path / "out.jsonl")
    tree = new_tree({"streams": STREAM,
                     "connectors": {"f": file_connector(out)}}).start()
    sent = ['{"n":%d}' % n for n in range(100)]
    mosquitto_pub(tree, "t/a", sent)
    row = tree.wait_drained("f")
    assert row["matched"] == 100 and row["delivered"] == 100
    assert row["unaccounted"] == 0
    got = compare.lines(out)
    assert [r["payload"] for r in got] == [json.loads(s) for s in sent]
    assert {r["topic"] for r in got} == {"t/a"}
    assert len({r["id"] for r in got}) == 100
    # The segment on disk is what Kafka's own tools would read.
    stored = klog.read(tree.data, "t", check_crc=True)
    assert [r.value.decode() for r in stored] == sent
    assert {r.topic for r in stored} == {"t/a"}
    assert tree.stop() == 0


def test_killed_on_the_way(new_tree, tmp_path):
    out = str(tmp_path / "out.jsonl")
    tree = new_tree({"streams": STREAM,
                     "connectors": {"f": file_connector(out)}}).start()
    pub = Publisher(tree.mqtt_port, "pub", "t/a", qos=1, rate=500)
    pub.start()
    bulkhead.wait_for(lambda: len(pub.acked) > 100, what="first messages")
    for kind in ("router", "worker", "router", "worker"):
        tree.kill_and_wait(kind)
        before = len(pub.acked)
        bulkhead.wait_for(lambda: len(pub.acked) > before + 100,
                          what="messages after a kill of " + kind)
    pub.stop()
    assert pub.unacked() == 0 and pub.connects == 1
    assert len(pub.acked) == len(pub.sends)
    row = tree.wait_drained("f")
    assert row["unaccounted"] == 0
    assert row["delivered"] == len(pub.sends)
    rows = compare.lines(out)
    compare.check([pub], [r["payload"] for r in rows], "file")
    assert len(rows) == len(pub.sends), "something is there twice"
    assert not tree.crashes()
    assert tree.stop() == 0


def test_sessions_over_kills(new_tree):
    """A persistent session in QoS 2, with acceptor and router killed."""
    tree = new_tree({"streams": STREAM}).start()
    sub = Subscriber(tree.mqtt_port, "sub", ["t/#"], qos=2)
    sub.start()
    sub.ready()
    pub = Publisher(tree.mqtt_port, "pub", "t/a", qos=2, rate=300)
    pub.start()
    for kind in ("acceptor", "router"):
        before = len(pub.acked)
        bulkhead.wait_for(lambda: len(pub.acked) > before + 50,
                          what="messages before the kill of " + kind)
        tree.kill_and_wait(kind)
    before = len(pub.acked)
    bulkhead.wait_for(lambda: len(pub.acked) > before + 50,
                      what="messages after the kills")
    pub.stop()
    bulkhead.wait_for(lambda: len(sub.got) >= len(pub.acked),
                      what="all messages at the subscriber")
    sub.stop()
    compare.check([pub], [r.value for r in klog.read(tree.data, "t")],
                  "stream")
    compare.check_subscriber(sub, [pub], 2)
    assert len(sub.got) == len(pub.sends)


def test_everything_again_after_a_stop(new_tree, tmp_path):
    """A stop and a start keep the stream, the offset and the session."""
    out = str(tmp_path / "out.jsonl")
    tree = new_tree({"streams": STREAM,
                     "connectors": {"f": file_connector(out)}}).start()
    mosquitto_pub(tree, "t/a", ['{"n":1}', '{"n":2}'])
    tree.wait_drained("f")
    assert tree.stop() == 0
    tree.start()
    mosquitto_pub(tree, "t/a", ['{"n":3}'])
    row = tree.wait_drained("f")
    assert row["matched"] == 3 and row["unaccounted"] == 0
    assert [r["payload"]["n"] for r in compare.lines(out)] == [1, 2, 3]
    offsets = [r.offset for r in klog.read(tree.data, "t")]
    assert offsets == [0, 1, 2], "a clean stop leaves no gap"


def test_supervisor_killed(new_tree, tmp_path):
    """The supervisor's death ends all children; a start is recovery."""
    out = str(tmp_path / "out.jsonl")
    tree = new_tree({"streams": STREAM,
                     "connectors": {"f": file_connector(out)}}).start()
    mosquitto_pub(tree, "t/a", ['{"n":%d}' % n for n in range(50)])
    children = list(tree.children())
    assert len(children) >= 4
    tree.process.kill()
    tree.process.wait()
    tree.process = None
    bulkhead.wait_for(
        lambda: not [p for p in children if tree.is_ours(p)], 5,
        "the children to end")
    tree.start()
    mosquitto_pub(tree, "t/a", ['{"n":%d}' % n for n in range(50, 60)])
    row = tree.wait_drained("f")
    assert row["unaccounted"] == 0
    assert [r["payload"]["n"] for r in compare.lines(out)] == list(range(60))
    assert os.path.exists(tree.socket)
