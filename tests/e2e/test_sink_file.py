"""The file sink through the whole tree: kills with rotation, compression and
many files, files cut, moved and replaced by others, formats."""

import csv
import glob
import gzip
import json
import os
import random
import shutil
import subprocess
import time

import pytest

import bulkhead
import compare
from mqtt_raw import Conn, Publisher

FOLLOW = {"stream": "t", "start": "earliest"}


def publish(tree, n, topic="t/a", start=0):
    conn = Conn(tree.mqtt_port, "c")
    for i in range(start, start + n):
        conn.publish(topic, json.dumps({"p": "c", "n": i}), qos=1)
    conn.disconnect()


def content(path, compression):
    with open(path, "rb") as f:
        data = f.read()
    if compression == "gzip":
        data = gzip.decompress(data) if data else b""
    elif compression == "zstd":
        data = subprocess.run(["zstd", "-dc"], input=data, check=True,
                              capture_output=True).stdout
    return data.decode()


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_kills_with_rotation_and_many_files(new_tree, tmp_path, compression):
    """Every record is there once, whatever was going on at each kill."""
    if compression == "zstd" and not shutil.which("zstd"):
        pytest.skip("no zstd program")
    tree = new_tree({
        "streams": {"t": {"topics": ["t/#"], "partitions": 3}},
        "connectors": {"f": {
            "type": "file", **FOLLOW, "batch": {"max_records": 50},
            "config": {"path": str(tmp_path / "out" / "${topic[1]}.log"),
                       "rotation": "size", "max_size": "1MiB",
                       "format": "lines", "compression": compression}}},
    }).start()
    pubs = [Publisher(tree.mqtt_port, "pub%d" % i, "t/f%d" % i, qos=1,
                      rate=700) for i in range(4)]
    for p in pubs:
        # Large, so that files fill up within the test.
        plain = p.payload
        p.payload = lambda n, plain=plain: (
            plain(n)[:-1] + b',"x":"%s"}'
            % os.urandom(600).hex().encode())
        p.start()
    for _ in range(12):
        time.sleep(random.uniform(0.1, 0.7))
        tree.kill("worker")
        # Not to wait for the supervisor's patience, which doubles.
        tree.cli("connector", "restart", "f")
        bulkhead.wait_for(lambda: tree.pids("worker"), what="a new worker")
    for p in pubs:
        p.stop()
    row = tree.wait_drained("f")
    assert row["unaccounted"] == 0
    assert row["delivered"] == sum(len(p.sends) for p in pubs)
    files = glob.glob(str(tmp_path / "out" / "*"))
    if compression == "none":
        assert any(f.endswith(".000001") for f in files), files
    for i, p in enumerate(pubs):
        mine = sorted(glob.glob(str(tmp_path / "out" / ("f%d.log*" % i))),
                      key=lambda f: f if f[-1] != "g" else f + ".z")
        payloads = [line for f in mine
                    for line in content(f, compression).splitlines()]
        compare.check([p], payloads, p.client_id)
        assert len(payloads) == len(p.sends), "something is there twice"
    assert not tree.crashes()


def test_shorter_file_is_completed(new_tree, tmp_path):
    path = tmp_path / "out.log"
    tree = new_tree({"streams": {"t": {"topics": ["t/#"]}},
                     "connectors": {"f": {
                         "type": "file", **FOLLOW,
                         "config": {"path": str(path)}}}}).start()
    publish(tree, 100)
    tree.wait_drained("f")
    whole = path.read_text()
    tree.cli("connector", "pause", "f")
    assert tree.stop() == 0
    os.truncate(path, len(whole) // 2 + 3)
    tree.start()
    tree.cli("connector", "resume", "f")
    bulkhead.wait_for(lambda: path.read_text() == whole, what="the rest")
    assert tree.wait_drained("f")["unaccounted"] == 0


def test_longer_and_foreign_files(new_tree, tmp_path):
    path = tmp_path / "out.log"
    path.write_text("somebody's own\n")
    tree = new_tree({"streams": {"t": {"topics": ["t/#"]}},
                     "connectors": {"f": {
                         "type": "file", **FOLLOW,
                         "config": {"path": str(path)}}}}).start()
    publish(tree, 5)
    tree.wait_drained("f")
    assert path.read_text() == "somebody's own\n"
    ours = tmp_path / "out.log.new-1"
    assert len(compare.lines(ours)) == 5
    tree.kill("worker")
    with open(ours, "a") as f:
        f.write("not committed")
    bulkhead.wait_for(lambda: tree.show("f")["state"] == "running")
    publish(tree, 5, start=5)
    tree.wait_drained("f")
    assert [r["n"] for r in compare.lines(ours)] == list(range(10))
    assert path.read_text() == "somebody's own\n"


def test_logrotate(new_tree, tmp_path):
    """Moved away by others: a new file is begun at the path."""
    path = tmp_path / "out.log"
    tree = new_tree({"streams": {"t": {"topics": ["t/#"]}},
                     "connectors": {"f": {
                         "type": "file", **FOLLOW,
                         "config": {"path": str(path)}}}}).start()
    publish(tree, 5)
    tree.wait_drained("f")
    os.rename(path, tmp_path / "out.log.1")
    publish(tree, 5, start=5)
    tree.wait_drained("f")
    assert [r["n"] for r in compare.lines(path)] == list(range(5, 10))
    assert [r["n"] for r in compare.lines(tmp_path / "out.log.1")] == list(
        range(5))


def test_formats(new_tree, tmp_path):
    paths = {f: str(tmp_path / ("out." + f)) for f in ("lines", "json", "csv")}
    tree = new_tree({
        "streams": {"t": {"topics": ["t/#"]}},
        "connectors": {f: {"type": "file", **FOLLOW,
                           "config": {"path": p, "format": f}}
                       for f, p in paths.items()}}).start()
    conn = Conn(tree.mqtt_port, "dev,1", version=5)
    payloads = [b"plain", b"two\nlines", b'{ "a" : [1, 2] }', b"\xff\xfe",
                b""]
    for p in payloads:
        conn.publish("t/a", p, qos=1)
    for f in paths:
        tree.wait_drained(f)
    with open(paths["lines"], "rb") as f:
        assert f.read() == (b'plain\ntwo\\nlines\n{ "a" : [1, 2] }\n'
                            b"\xff\xfe\n\n")
    rows = compare.lines(paths["json"])
    assert rows[0]["payload"] == "plain" and rows[0]["client_id"] == "dev,1"
    assert rows[1]["payload"] == "two\nlines"
    assert rows[2]["payload"] == {"a": [1, 2]}
    assert rows[3]["payload_base64"] == "//4=" and "payload" not in rows[3]
    assert rows[4]["payload"] == ""
    assert abs(rows[0]["timestamp_ms"] / 1000 - time.time()) < 60
    with open(paths["csv"], newline="", encoding="utf-8") as f:
        table = list(csv.DictReader(f))
    assert len(table) == 5 and table[0]["client_id"] == "dev,1"
    assert table[3]["payload"] == "base64://4="
    assert [r["id"] for r in table] == [r["id"] for r in rows]


def test_one_connector_per_file(new_tree, tmp_path):
    path = str(tmp_path / "out.log")
    tree = new_tree({"streams": {"t": {"topics": ["t/#"]}},
                     "connectors": {"f": {"type": "file", **FOLLOW,
                                          "config": {"path": path}}}}).start()
    with pytest.raises(bulkhead.Failed, match="config.path"):
        tree.create_connector("g", "file", {"path": path}, **FOLLOW)
    # By another way to the same file: the lock on it says so.
    os.symlink(tmp_path, tmp_path / "link")
    publish(tree, 3)
    tree.wait_drained("f")
    tree.create_connector("g", "file",
                          {"path": str(tmp_path / "link" / "out.log")},
                          **FOLLOW)
    publish(tree, 3, start=3)
    tree.wait_drained("f")
    tree.wait_drained("g")
    assert [r["n"] for r in compare.lines(path)] == list(range(6))


def test_unwritable_folder_is_unavailable(new_tree, tmp_path):
    """No retry is spent, nothing is lost, it goes on by itself."""
    wall = tmp_path / "wall"
    wall.write_text("a file where a folder is wanted")
    tree = new_tree({"streams": {"t": {"topics": ["t/#"]}},
                     "connectors": {"f": {
                         "type": "file", **FOLLOW,
                         "failure_strategy": {"retry_total_times": 0,
                                              "wait_time_ms": 50,
                                              "max_wait_ms": 200},
                         "config": {"path": str(wall / "out.log")}}}}).start()
    publish(tree, 3)
    shown = bulkhead.wait_for(
        lambda: tree.show("f")["state"] == "unavailable" and tree.show("f"))
    assert "Not a directory" in shown["reason"]
    assert shown["counters"]["dlq"] == 0
    wall.unlink()
    row = tree.wait_drained("f")
    assert row["delivered"] == 3 and row["dlq"] == 0
    assert tree.show("f")["state"] == "running"
