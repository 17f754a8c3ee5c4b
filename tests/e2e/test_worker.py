"""What every connector does, whatever its type: partitions, start, reset,
audit over retention, dead letters, pause, rate, many topics."""

import json
import os
import time

import bulkhead
import compare
from mqtt_raw import Conn

FOLLOW = {"stream": "t", "start": "earliest"}


def publish(tree, n, topic="t/a", start=0, size=0):
    conn = Conn(tree.mqtt_port, "c")
    for i in range(start, start + n):
        body = {"p": "c", "n": i}
        if size:
            body["x"] = "x" * size
        conn.publish(topic, json.dumps(body), qos=1)
    conn.disconnect()


def file_connector(path, **more):
    return {"type": "file", **FOLLOW, "config": {"path": str(path)}, **more}


def test_partitions_and_key_order(new_tree, tmp_path):
    path = tmp_path / "out.log"
    tree = new_tree({"streams": {"t": {"topics": ["t/#"], "partitions": 4}},
                     "connectors": {"f": file_connector(path)}}).start()
    for i in range(200):
        if i % 50 == 0:
            conn = Conn(tree.mqtt_port, "c%d" % i)
        conn.publish("t/k%d" % (i % 7),
                     json.dumps({"p": "k%d" % (i % 7), "n": i}), qos=1)
    row = tree.wait_drained("f")
    assert row["delivered"] == 200 and row["unaccounted"] == 0
    shown = tree.show("f")
    assert set(shown["offsets"]) == {"0", "1", "2", "3"}
    assert shown["lag"] == 0
    found = compare.numbers(json.dumps(r) for r in compare.lines(path))
    for key, numbers in found.items():
        assert numbers == sorted(numbers), key


def test_topics_narrow_the_stream(new_tree, tmp_path):
    path = tmp_path / "out.log"
    tree = new_tree({"streams": {"t": {"topics": ["t/#"]}},
                     "connectors": {"f": file_connector(
                         path, topics=["t/+/x", "t/y"])}}).start()
    for topic in ("t/a", "t/a/x", "t/y", "t/y/z", "t/b/x", "t/b/x/y"):
        publish(tree, 3, topic)
    row = tree.wait_drained("f")
    assert row["matched"] == row["delivered"] == 9
    assert row["unaccounted"] == row["pending"] == 0
    assert len(compare.lines(path)) == 9
    shown = tree.show("f")["offsets"]["0"]
    bulkhead.wait_for(
        lambda: tree.show("f")["offsets"]["0"]["committed"] ==
        shown["high_watermark"], what="the offset to pass the others")


def test_start(new_tree, tmp_path):
    tree = new_tree({"streams": {"t": {"topics": ["t/#"]}}}).start()
    publish(tree, 5)
    time.sleep(1.1)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    publish(tree, 5, start=5)
    for name, start in (("e", "earliest"), ("l", "latest"), ("t", now)):
        tree.create_connector(
            name, "file", {"path": str(tmp_path / name)}, stream="t",
            start=start)
    publish(tree, 5, start=10)
    for name, first in (("e", 0), ("l", 10), ("t", 5)):
        tree.wait_drained(name, count=15 - first)
        got = [r["n"] for r in compare.lines(tmp_path / name)]
        assert got == list(range(first, 15)), name
        assert tree.audit(name)[name]["unaccounted"] == 0


def test_reset_forward_is_skipped_and_back_is_again(new_tree, tmp_path):
    path = tmp_path / "out.log"
    tree = new_tree({"streams": {"t": {"topics": ["t/#"]}},
                     "connectors": {"f": file_connector(path)}}).start()
    publish(tree, 10)
    tree.wait_drained("f")
    tree.cli("connector", "pause", "f")
    publish(tree, 10, start=10)
    tree.cli("connector", "reset", "f", "--to", "15")
    row = tree.audit("f")["f"]
    assert (row["matched"], row["skipped"], row["pending"]) == (15, 5, 5)
    assert row["unaccounted"] == 0
    tree.cli("connector", "resume", "f")
    tree.wait_drained("f")
    numbers = [r["n"] for r in compare.lines(path)]
    assert numbers == list(range(10)) + list(range(15, 20))
    tree.cli("connector", "pause", "f")
    tree.cli("connector", "reset", "f", "--to", "18")
    tree.cli("connector", "resume", "f")
    row = tree.wait_drained("f", count=22)
    assert [r["n"] for r in compare.lines(path)] == numbers + [18, 19]
    assert row["unaccounted"] == 0 and row["skipped"] == 5
    # Not while it runs.
    status, _, err = bulkhead.command("--socket", tree.socket, "connector",
                                      "reset", "f", "--to", "earliest")
    assert status == 1 and "pause" in err


def test_audit_when_older_segments_are_gone(new_tree, tmp_path):
    """Marks at the segments' beginnings keep the books recountable."""
    path = tmp_path / "out.log"
    tree = new_tree({"streams": {"t": {"topics": ["t/#"], "retention":
                                       {"size": "2MiB"}}},
                     "connectors": {"f": file_connector(
                         path, topics=["t/a"])}}).start()
    first = tree.json("stream", "show", "t")
    for round in range(8):
        publish(tree, 120, size=8000, start=round * 120)
        publish(tree, 3, topic="t/other")
        tree.wait_drained("f")

    def trimmed():
        shown = tree.show("f")["offsets"]["0"]
        return shown["log_start"] > 0 and shown
    shown = bulkhead.wait_for(trimmed, 30, "retention")
    row = tree.audit("f")["f"]
    assert row["matched"] == row["delivered"] == 960, (row, first, shown)
    assert row["unaccounted"] == 0 and row["expired"] == 0
    assert any("stored figure" in n for n in row["notes"]), row


def test_expired_unread(new_tree, tmp_path):
    path = tmp_path / "out.log"
    tree = new_tree({"streams": {"t": {"topics": ["t/#"], "retention":
                                       {"size": "2MiB"}}},
                     "connectors": {"f": file_connector(path)}}).start()
    publish(tree, 1)
    tree.wait_drained("f")
    tree.cli("connector", "pause", "f")
    publish(tree, 1000, size=8000, start=1)
    bulkhead.wait_for(
        lambda: tree.show("f")["offsets"]["0"]["log_start"] > 1, 30,
        "retention")
    tree.cli("connector", "resume", "f")
    row = tree.wait_drained("f")
    assert row["expired"] > 0, json.dumps((row, tree.show("f")))
    assert row["unaccounted"] == 0
    assert row["matched"] == 1001
    assert row["delivered"] == len(compare.lines(path)) == (
        1001 - row["expired"])
    assert any("retention" in r for r in tree.status()["reasons"])


def test_more_segments_than_descriptors(new_tree, tmp_path):
    """A stream is read through a few descriptors, however long it is."""
    path = tmp_path / "out.log"
    tree = new_tree({"store": {"segment_size": "1MiB"},
                     "streams": {"t": {"topics": ["t/#"], "partitions": 2}},
                     }).start()
    for k in range(4):
        publish(tree, 700, topic="t/%d" % k, size=20000)
    segments = sum(len(os.listdir(os.path.join(tree.data, "streams", "t", p)))
                   for p in "01")
    assert segments > 45
    tree.create_connector("f", "file", {"path": str(path)},
                          limits={"open_files": 40}, **FOLLOW)
    row = tree.wait_drained("f", count=2800)
    assert row["unaccounted"] == 0 and len(compare.lines(path)) == 2800
    # Restarted at its end, and once more from the beginning.
    tree.kill_and_wait("worker")
    publish(tree, 5, start=2800)
    assert tree.wait_drained("f", count=2805)["unaccounted"] == 0
    tree.cli("connector", "pause", "f")
    tree.cli("connector", "reset", "f", "--to", "earliest")
    tree.cli("connector", "resume", "f")
    row = tree.wait_drained("f", count=5610)
    assert row["unaccounted"] == 0 and len(compare.lines(path)) == 5610


def test_crash_marker(new_tree, tmp_path):
    """A crash of the worker's own making is noted with what was under way;
    a kill is not."""
    tree = new_tree({"streams": {"t": {"topics": ["t/#"]}},
                     "connectors": {"f": file_connector(
                         tmp_path / "out.log")}}).start()
    publish(tree, 3)
    tree.wait_drained("f")
    tree.kill_and_wait("worker")
    bulkhead.wait_for(lambda: tree.show("f")["state"] == "running")
    shown = tree.show("f")
    assert shown["marker"]["crashes"] == 0
    assert shown["last_exit"]["own_crash"] is False
    tree.kill("worker", 11)
    bulkhead.wait_for(
        lambda: (tree.show("f").get("last_exit") or {}).get("own_crash"),
        what="the crash to be known")


def refuse_odd(target):
    """The n-th record is refused while n is odd and the door is shut."""
    def answer(request):
        n = json.loads(request["body"])["payload"]["n"]
        return 422 if n % 2 and not target.is_open else 200
    target.is_open = False
    target.answer = answer


def test_dead_letters(new_tree, http_target, tmp_path):
    refuse_odd(http_target)
    path = tmp_path / "dead.log"
    tree = new_tree({
        "streams": {"t": {"topics": ["t/#"]}, "d": {"topics": ["dead/#"]}},
        "connectors": {
            "w": {"type": "webhook", **FOLLOW,
                  "failure_strategy": {"topic_name": "dead/w"},
                  "config": {"url": http_target.url}},
            "d": {"type": "file", "stream": "d", "start": "earliest",
                  "config": {"path": str(path), "format": "json"}}}}).start()
    publish(tree, 10)
    row = tree.wait_drained("w")
    assert (row["delivered"], row["dlq"], row["unaccounted"]) == (5, 5, 0)
    # The topic has a copy of each, with what happened.
    bulkhead.wait_for(lambda: len(compare.lines(path)) == 5)
    dead = compare.lines(path)[0]
    assert dead["topic"] == "dead/w" and dead["payload"]["n"] == 1
    assert dead["headers"]["dlq-topic"] == "t/a"
    assert "422" in dead["headers"]["dlq-error"]
    rows = tree.json("dlq", "ls", "w")
    rows = rows["rows"] if isinstance(rows, dict) else rows
    assert len(rows) == 5
    one = tree.json("dlq", "show", "w", rows[0]["id"])
    assert json.loads(one["payload"])["n"] == 1
    assert one["error_class"] == "refused" and "422" in one["error"]
    # Tried again it fails again; then it does not.
    tree.cli("dlq", "replay", "w", rows[0]["id"], check=False)
    assert tree.json("dlq", "show", "w", rows[0]["id"])["tries"] == 2
    http_target.is_open = True
    tree.cli("dlq", "replay", "w", rows[0]["id"], rows[1]["id"])
    row = tree.audit("w")["w"]
    assert (row["delivered"], row["dlq"], row["replayed"]) == (7, 3, 2)
    assert row["unaccounted"] == 0
    tree.cli("dlq", "purge", "w", rows[2]["id"])
    row = tree.audit("w")["w"]
    assert (row["dlq"], row["purged"], row["unaccounted"]) == (3, 1, 0)
    # All survive a restart of the worker.
    tree.cli("connector", "restart", "w")
    bulkhead.wait_for(lambda: tree.show("w")["state"] == "running")
    tree.cli("dlq", "replay", "w")
    row = tree.audit("w")["w"]
    assert (row["delivered"], row["dlq"], row["unaccounted"]) == (9, 1, 0)
    assert tree.show("w")["dlq_rows"] == 0


def test_definitions_versions(new_tree, tmp_path):
    """Each version of a definition has its own row, counted by its filter."""
    path = tmp_path / "out.log"
    tree = new_tree({"streams": {"t": {"topics": ["t/#"]}}}).start()
    tree.create_connector("f", "file", {"path": str(path)},
                          topics=["t/a"], **FOLLOW)
    publish(tree, 5, topic="t/a")
    publish(tree, 7, topic="t/b")
    tree.wait_drained("f", count=5)
    changed = tmp_path / "f.json"
    changed.write_text(json.dumps({
        "name": "f", "type": "file", "topics": ["t/b"],
        "config": {"path": str(path)}, **FOLLOW}))
    tree.cli("connector", "update", str(changed))
    publish(tree, 5, topic="t/a")
    publish(tree, 7, topic="t/b")
    row = tree.wait_drained("f", count=12)
    assert row["delivered"] == 12 and row["unaccounted"] == 0
    assert [r["matched"] for r in row["rows"]] == [5, 7]
    assert len(compare.lines(path)) == 12


def test_rate_limit(new_tree, tmp_path):
    path = tmp_path / "out.log"
    tree = new_tree({"streams": {"t": {"topics": ["t/#"]}},
                     "connectors": {"f": file_connector(
                         path, rate_limit=100)}}).start()
    publish(tree, 1)
    tree.wait_drained("f")
    begin = time.monotonic()
    publish(tree, 300, start=1)
    tree.wait_drained("f")
    assert time.monotonic() - begin > 2
    assert len(compare.lines(path)) == 301


def test_offsets_survive_a_new_stream(new_tree, tmp_path):
    """A stream that is made anew is read from its beginning."""
    path = tmp_path / "out.log"
    tree = new_tree({"connectors": {}}).start()
    tree.cli("stream", "create", "t", "--topics", "t/#")
    tree.create_connector("f", "file", {"path": str(path)}, **FOLLOW)
    publish(tree, 3)
    tree.wait_drained("f")
    tree.cli("stream", "delete", "t")
    bulkhead.wait_for(lambda: tree.show("f")["state"] == "unavailable")
    assert "t does not exist" in tree.show("f")["reason"]
    tree.cli("stream", "create", "t", "--topics", "t/#")
    publish(tree, 3, start=3)
    row = tree.wait_drained("f", count=6)
    assert [r["n"] for r in compare.lines(path)] == list(range(6))
    assert row["unaccounted"] == 0


def test_memory_of_an_idle_worker(new_tree, tmp_path):
    """Under 4 MiB of its own, also after work."""
    path = tmp_path / "out.log"
    tree = new_tree({"streams": {"t": {"topics": ["t/#"]}},
                     "connectors": {"f": file_connector(path)}}).start()

    def private():
        with open("/proc/%d/smaps_rollup" % tree.pid("worker")) as f:
            return sum(int(line.split()[1]) for line in f
                       if line.startswith("Private_"))
    if bulkhead.SANITIZED:
        return
    publish(tree, 300, size=4000)
    tree.wait_drained("f")
    bulkhead.wait_for(lambda: private() < 4096, 10, "memory back")
    assert os.path.getsize(path) > 300 * 4000
