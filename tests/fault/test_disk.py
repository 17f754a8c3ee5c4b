"""A full disk, damaged segments and damaged databases (architecture,
section 3)."""

import contextlib
import glob
import os
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest

import bulkhead
import compare
import klog
from mqtt_raw import Closed, Conn, Publisher, publish_packet

STREAMS = {"t": {"topics": ["t/#"]}}


@pytest.fixture
def small_disk(tmp_path):
    """A tmpfs of 64 MiB."""
    if os.getuid() != 0:
        pytest.skip("a small tmpfs needs root to mount it")
    folder = str(tmp_path / "small")
    os.mkdir(folder)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none",
                           folder], capture_output=True, text=True)
    if done.returncode:
        pytest.skip("mount of a tmpfs is not allowed here: " + done.stderr)
    yield folder
    for _ in range(50):
        if subprocess.run(["umount", folder],
                          capture_output=True).returncode == 0:
            break
        time.sleep(0.1)


def fill(tree, conn, start, size=100000):
    """Publishes at QoS 1 until 0x97; how many were taken."""
    n = start
    while True:
        head = b'{"n":%d,"x":"' % n
        reason = conn.publish("t/a", head + b"x" * (size - len(head) - 2)
                              + b'"}', qos=1)
        if reason == 0x97:
            return n
        assert reason in (0, 16), hex(reason)
        n += 1
        assert n < 2000, "64 MiB hold more than 200 MB"


def test_full_disk(new_tree, small_disk, tmp_path):
    out = str(tmp_path / "out.jsonl")
    tree = new_tree({
        "streams": {"t": {"topics": ["t/#"], "retention": {"size": 0}}},
        "store": {"segment_size": "4MiB"},
        "connectors": {"f": {
            "type": "file", "stream": "t", "start": "earliest",
            "config": {"path": out, "format": "json"}}}},
        data=os.path.join(small_disk, "data")).start()
    live = Conn(tree.mqtt_port, "live")
    live.subscribe(("#", 0))
    conn = Conn(tree.mqtt_port, "five", version=5)
    live_four = Conn(tree.mqtt_port, "other")
    live_four.subscribe(("free/#", 1))
    taken = fill(tree, conn, 0)
    assert taken > 50

    def full():
        status = tree.status()
        assert status["state"] == "degraded"
        assert any("full" in r for r in status["reasons"]), str(status)
        return True
    bulkhead.wait_for(full, what="degraded: disk full")
    # 3.1.1 stays unacknowledged, and is acknowledged when there is space.
    four = Conn(tree.mqtt_port, "four", version=4)
    four.send(publish_packet("t/a", b'{"n":-1,"x":"%s"}' % (b"y" * 100000),
                             1, 1))
    assert four.read(1.5) is None
    # Live delivery goes on; so do acknowledgements of what no stream takes.
    assert four_publish(tree, "free/a", "z")
    got = live_four.message(10)
    assert got and got.payload == b"z"
    assert tree.wait_drained("f")["unaccounted"] == 0
    assert len(compare.lines(out)) == taken
    # A kill on the full disk: everything acknowledged is still there.
    tree.kill_and_wait("router")
    bulkhead.wait_for(lambda: "router" in {
        p["name"] for p in tree.status()["processes"]
        if p["state"] == "running"}, what="the router to run")
    numbers = [r.value for r in klog.read(tree.data, "t")]
    assert len(numbers) == taken
    # Space again: it resumes by itself.
    subprocess.run(["mount", "-o", "remount,size=160m", small_disk],
                   check=True)
    ack = four.read(20)
    assert ack and ack.type == 4, "the waiting publish was not taken"
    bulkhead.wait_for(lambda: tree.status()["state"] == "healthy", 20,
                      "healthy again")
    assert conn.publish("t/a", '{"n":-2}', qos=1) in (0, 16)
    row = tree.wait_drained("f")
    assert row["unaccounted"] == 0 and row["dlq"] == 0, str(row)
    assert tree.stop() == 0


def four_publish(tree, topic, payload):
    conn = Conn(tree.mqtt_port, "free")
    try:
        return conn.publish(topic, payload, qos=1) in (0, 16)
    except (Closed, AssertionError):
        return False
    finally:
        conn.close()


def stopped_tree_with(new_tree, tmp_path, count=3000, **config):
    """A tree that took messages, drained nothing, and was stopped."""
    out = str(tmp_path / "out.jsonl")
    tree = new_tree({"streams": STREAMS, **config, "connectors": {"f": {
        "type": "file", "stream": "t", "start": "earliest",
        "config": {"path": out, "format": "json"}}}}).start()
    tree.cli("connector", "pause", "f")
    pub = Publisher(tree.mqtt_port, "pub", "t/a", count=count, size=300,
                    window=100)
    pub.start()
    pub.join(60)
    assert len(pub.acked) == count
    return tree, pub, out


def test_flipped_byte_costs_one_batch(new_tree, tmp_path):
    """The batch that holds it is skipped, named by status and audit; all
    others are delivered."""
    tree, pub, out = stopped_tree_with(new_tree, tmp_path)
    time.sleep(1.2)          # past a checkpoint
    publish_more(tree, pub)
    assert tree.stop() == 0
    path = klog.segments(tree.data, "t")[0]
    all_batches = list(klog.batches(path))
    assert len(all_batches) > 5
    at, size, fields, _ = all_batches[len(all_batches) // 2]
    lost = fields[-1]
    with open(path, "r+b") as f:
        f.seek(at + size - 10)
        byte = f.read(1)
        f.seek(at + size - 10)
        f.write(bytes([byte[0] ^ 0x40]))
    tree.start()
    tree.cli("connector", "resume", "f")
    row = tree.wait_drained("f")
    assert row["damaged"] == lost, str(row)
    assert row["unaccounted"] == 0
    total = sum(b[2][-1] for b in all_batches)
    assert row["delivered"] == total - lost
    assert len(compare.lines(out)) == total - lost
    status = tree.status()
    assert any("damage" in r and "t" in r for r in status["reasons"]), (
        status["reasons"])
    # And it goes on taking messages, after the damage.
    assert Conn(tree.mqtt_port, "x").publish("t/a", '{"p":"z","n":0}',
                                             qos=1) == 0
    assert tree.wait_drained("f")["delivered"] == total - lost + 1


def test_damage_after_delivery_is_named(new_tree, tmp_path):
    """The log goes bad under a connector that has read it: its ledger stays
    closed, and audit and status name the place."""
    tree, pub, out = stopped_tree_with(new_tree, tmp_path, count=300)
    tree.cli("connector", "resume", "f")
    assert tree.wait_drained("f")["delivered"] == 300
    path = klog.segments(tree.data, "t")[0]
    at, size, fields, _ = list(klog.batches(path))[0]
    with open(path, "r+b") as f:
        f.seek(at + size - 10)
        byte = f.read(1)
        f.seek(at + size - 10)
        f.write(bytes([byte[0] ^ 0x40]))
    said = tree.cli("audit")
    assert "%d records within offsets 0 to " % fields[-1] in said, said
    assert "nothing is unaccounted" in said
    row = tree.audit("f")["f"]
    assert row["delivered"] == 300 and row["notes"], str(row)
    reasons = tree.status()["reasons"]
    assert any("damaged" in r and "connector.f" in r for r in reasons), reasons


def publish_more(tree, pub):
    conn = Conn(tree.mqtt_port, "more")
    for n in range(20):
        conn.publish("t/b", '{"p":"more","n":%d}' % n, qos=1)
    conn.disconnect()


def test_torn_tail_is_cut(new_tree, tmp_path):
    """Half a batch at the end after kill -9 of everything: it was never
    acknowledged; what is before it stays."""
    tree, pub, out = stopped_tree_with(new_tree, tmp_path, count=500)
    for pid in [tree.process.pid, *tree.children()]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    tree.process.wait()
    tree.process = None
    path = klog.segments(tree.data, "t")[-1]
    found = list(klog.batches(path))
    at, size, _, batch = found[-1]
    with open(path, "r+b") as f:
        f.seek(at + size)
        f.write(batch[:size // 2])
    tree.start()
    tree.cli("connector", "resume", "f")
    row = tree.wait_drained("f")
    assert row["delivered"] == 500 and row["damaged"] == 0, str(row)
    compare.check([pub], [r["payload"] for r in compare.lines(out)], "file")
    Conn(tree.mqtt_port, "x").publish("t/a", '{"p":"z","n":0}', qos=1)
    offsets = [r.offset for r in klog.read(tree.data, "t")]
    assert len(offsets) == 501 and len(set(offsets)) == 501


def test_truncated_segment(new_tree, tmp_path):
    """A segment cut short below the checkpoint: what is left is served, the
    loss is named, offsets are not used again."""
    tree, pub, out = stopped_tree_with(new_tree, tmp_path, count=2000)
    assert tree.stop() == 0
    path = klog.segments(tree.data, "t")[0]
    found = list(klog.batches(path))
    cut = found[len(found) // 2]
    last = found[-1][2][0] + found[-1][2][6]
    kept = sum(b[2][-1] for b in found[:len(found) // 2])
    with open(path, "r+b") as f:
        f.truncate(cut[0] + 30)
    tree.start()
    tree.cli("connector", "resume", "f")
    row = tree.wait_drained("f")
    assert row["delivered"] == kept, str(row)
    assert row["unaccounted"] == 0, str(row)
    assert Conn(tree.mqtt_port, "x").publish("t/a", '{"p":"z","n":0}',
                                             qos=1) == 0
    newest = klog.read(tree.data, "t")[-1]
    assert newest.offset > last, "an offset was used twice"
    status = tree.status()
    assert status["state"] == "degraded", "the loss is not named"


def test_damaged_router_db(new_tree, tmp_path):
    """It is never overwritten: the router refuses to start and says what to
    do; the logs stay as they are."""
    tree, pub, out = stopped_tree_with(new_tree, tmp_path, count=100)
    assert tree.stop() == 0
    db = os.path.join(tree.data, "router.db")
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.remove(db + suffix)
    with open(db, "r+b") as f:
        f.seek(100)
        f.write(os.urandom(min(os.path.getsize(db) - 100, 16000)))
    with open(db, "rb") as f:
        before = f.read()
    segments = [open(p, "rb").read() for p in klog.segments(tree.data, "t")]
    tree.launch()

    def said():
        log = tree.log()
        assert "router.db" in log, log[-500:]
        return True
    bulkhead.wait_for(said, 20, "a word about router.db")
    time.sleep(1)
    with open(db, "rb") as f:
        assert f.read() == before, "the damaged database was written to"
    assert segments == [open(p, "rb").read()
                        for p in klog.segments(tree.data, "t")]
    if tree.process.poll() is None:
        status = tree.status()
        assert status["state"] == "degraded"
        assert any("router" in r for r in status["reasons"])
        router = [p for p in status["processes"] if p["name"] == "router"][0]
        assert "router.db" in (router["reason"] or ""), str(router)


def test_missing_router_db(new_tree, tmp_path):
    """Who moves a damaged database away does not lose the logs by it: the
    router refuses until both are there, or neither."""
    tree, pub, out = stopped_tree_with(new_tree, tmp_path, count=100)
    assert tree.stop() == 0
    away = tmp_path / "away"
    away.mkdir()
    for path in glob.glob(os.path.join(tree.data, "router.db*")):
        shutil.move(path, away)
    segments = [open(p, "rb").read() for p in klog.segments(tree.data, "t")]
    assert any(segments)
    tree.launch()

    def said():
        assert "router.db is missing" in tree.log(), tree.log()[-500:]
        return True
    bulkhead.wait_for(said, 20, "a word about router.db")
    assert tree.stop() == 0
    assert segments == [open(p, "rb").read()
                        for p in klog.segments(tree.data, "t")]
    for path in away.iterdir():
        shutil.move(path, tree.data)
    tree.start()
    tree.cli("connector", "resume", "f")
    row = tree.wait_drained("f")
    assert row["delivered"] == 100 and row["unaccounted"] == 0, str(row)


def test_damaged_connector_db(new_tree, tmp_path):
    """Its worker is parked with a reason; everybody else works."""
    tree, pub, out = stopped_tree_with(new_tree, tmp_path, count=100)
    assert tree.stop() == 0
    db = os.path.join(tree.data, "connectors", "f.db")
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.remove(db + suffix)
    with open(db, "r+b") as f:
        f.write(b"this is no database" * 300)
    before = open(db, "rb").read()
    tree.start()

    def said():
        shown = tree.show("f")
        assert shown["state"] == "stopped", str(shown)
        assert "f.db" in shown["reason"]
        return True
    bulkhead.wait_for(said, what="the reason")
    assert open(db, "rb").read() == before
    assert Conn(tree.mqtt_port, "x").publish("t/a", "1", qos=1) == 0
    assert tree.status()["state"] == "degraded"


def test_locked_database(new_tree, tmp_path):
    """Another program holds router.db: nothing acknowledged is lost, the
    reason is shown, and it goes on when the lock is gone."""
    tree, pub, out = stopped_tree_with(new_tree, tmp_path, count=10)
    holder = sqlite3.connect(os.path.join(tree.data, "router.db"),
                             isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    conn = Conn(tree.mqtt_port, "x")
    conn.send(publish_packet("t/a", '{"p":"z","n":0}', 1, 1))
    time.sleep(2)
    holder.execute("ROLLBACK")
    holder.close()
    ack = conn.read(20)
    assert ack and ack.type == 4
    tree.cli("connector", "resume", "f")
    row = tree.wait_drained("f")
    assert row["delivered"] == 11 and row["unaccounted"] == 0, str(row)
