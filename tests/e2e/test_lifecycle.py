"""The supervisor: restarts, backoff, watchdog, crash reports, reload and the
ordered stop."""

import json
import os
import signal
import subprocess
import time

import pytest

import bulkhead
import compare
from mqtt_raw import Conn, Publisher

STREAMS = {"t": {"topics": ["t/#"]}}


def process(tree, name):
    found = [p for p in tree.status()["processes"] if p["name"] == name]
    return found[0] if found else None


def test_stop_drains(new_tree, tmp_path):
    """`bulkhead stop` under load: exit 0, nothing left, no gap after."""
    out = str(tmp_path / "o")
    tree = new_tree({"streams": STREAMS, "connectors": {"f": {
        "type": "file", "stream": "t", "start": "earliest",
        "config": {"path": out, "format": "json"}}}}).start()
    pub = Publisher(tree.mqtt_port, "pub", "t/a", rate=500)
    pub.start()
    bulkhead.wait_for(lambda: len(pub.acked) > 200, what="load")
    children = list(tree.children())
    tree.cli("stop")
    assert tree.process.wait(30) == 0
    tree.process = None
    assert not [p for p in children if tree.is_ours(p)]
    tree.start()
    before = len(pub.acked)
    bulkhead.wait_for(lambda: len(pub.acked) > before + 100,
                      what="the publisher to come back")
    pub.stop()
    tree.wait_drained("f")
    compare.check([pub], [r["payload"] for r in compare.lines(out)], "file")
    assert not tree.crashes()


def test_restart_at_once_and_backoff(new_tree):
    """One kill: back within a second. A worker that dies again and again
    backs off; everybody else is not affected."""
    tree = new_tree({"streams": STREAMS}).start()
    start = time.monotonic()
    tree.kill_and_wait("acceptor")
    assert time.monotonic() - start < 2 * bulkhead.SLOW
    tree.create_connector("f", "file", {"path": tree.folder + "/o",
                                        "format": "lines"},
                          stream="t", start="earliest")
    for _ in range(5):
        tree.kill("connector.f")
        bulkhead.wait_for(lambda: process(tree, "connector.f")["state"] in
                          ("running", "backoff", "starting"))
        time.sleep(0.3)
    shown = process(tree, "connector.f")
    assert shown["restarts"] >= 2
    bulkhead.wait_for(lambda: process(tree, "connector.f")["state"]
                      == "running", 40, "the worker to run again")
    assert process(tree, "router")["restarts"] == 0


@pytest.mark.parametrize("kind", ["router", "acceptor", "admin"])
def test_watchdog(new_tree, kind):
    """SIGSTOP: a hang is a crash, killed with SIGABRT after watchdog_ms."""
    tree = new_tree({"streams": STREAMS,
                     "limits": {"watchdog_ms": 1000}}).start()
    before = tree.pid(kind)
    os.kill(before, signal.SIGSTOP)
    bulkhead.wait_for(lambda: tree.pids(kind) not in ([], [before]), 15,
                      "another " + kind)
    tree.wait_ready()
    assert Conn(tree.mqtt_port, "c").publish("t/a", "x", qos=1) == 0
    name = {"router": "router", "acceptor": "mqtt", "admin": "admin"}[kind]
    assert process(tree, name)["last_exit"], "no last exit"


def test_crash_report(new_tree):
    """Signal, backtrace and last events of a crash."""
    tree = new_tree({"streams": STREAMS}).start()
    conn = Conn(tree.mqtt_port, "c")
    conn.publish("t/a", "x", qos=1)
    tree.kill("router", signal.SIGSEGV)
    reports = bulkhead.wait_for(tree.crashes, what="a report")
    assert len(reports) == 1
    report = tree.json("crash", "show", reports[0]["id"])
    assert report["name"] == "router"
    assert report["signal"] in (11, "SIGSEGV")
    assert report["backtrace"], report
    assert report["events"], report
    assert conn.publish("t/a", "x", qos=1) == 0


def test_reload(new_tree, tmp_path):
    """Plans, changes only what differs; a bad file changes nothing."""
    def connector(name):
        return {"type": "file", "stream": "t", "start": "earliest",
                "config": {"path": str(tmp_path / name), "format": "lines"}}

    tree = new_tree({"streams": STREAMS, "connectors": {
        "a": connector("a"), "b": connector("b")}}).start()
    conn = Conn(tree.mqtt_port, "c")
    pids = {p["name"]: p["pid"] for p in tree.status()["processes"]}
    changed = connector("b2")
    tree.write_config(
        streams={**STREAMS, "u": {"topics": ["u/#"]}},
        connectors={"a": connector("a"), "b": changed, "c": connector("c")})
    plan = tree.cli("reload")
    for word in ("u", "b", "c"):
        assert word in plan, plan
    tree.wait_ready()
    now = {p["name"]: p["pid"] for p in tree.status()["processes"]}
    for name in ("router", "mqtt", "admin", "connector.a"):
        assert now[name] == pids[name], name + " was restarted"
    assert "connector.c" in now
    assert conn.publish("t/a", "hello", qos=1) == 0
    assert conn.publish("u/a", "hello", qos=1) == 0
    tree.wait_drained("c")
    tree.wait_drained("b")
    assert (tmp_path / "b2").read_text() == "hello\n"
    assert (tmp_path / "c").read_text() == "hello\n"
    # A bad file: said so, nothing changed.
    good = open(tree.config_file).read()
    tree.write_text(good.replace('"lines"', '"nosuch"'))
    status, out, err = bulkhead.command("--socket", tree.socket, "reload")
    assert status != 0 and "nosuch" in out + err
    tree.process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert {p["name"]: p["pid"] for p in tree.status()["processes"]} == now
    # One taken away goes.
    tree.write_text(good)
    tree.write_config(connectors={"a": connector("a")})
    tree.process.send_signal(signal.SIGHUP)
    bulkhead.wait_for(lambda: "connector.c" not in {
        p["name"] for p in tree.status()["processes"]}, what="its end")
    names = {p["name"] for p in tree.status()["processes"]}
    assert "connector.a" in names and "connector.b" not in names


def test_reload_of_nothing(new_tree):
    tree = new_tree({"streams": STREAMS}).start()
    pids = {p["name"]: p["pid"] for p in tree.status()["processes"]}
    tree.cli("reload")
    assert pids == {p["name"]: p["pid"] for p in tree.status()["processes"]}


def test_created_twice_is_idempotent_or_refused(new_tree):
    tree = new_tree({"streams": STREAMS}).start()
    config = {"path": tree.folder + "/o", "format": "lines"}
    tree.create_connector("f", "file", config, stream="t")
    with pytest.raises(bulkhead.Failed) as failed:
        tree.create_connector("f", "file", config, stream="t")
    assert "f" in failed.value.err
    # And one file is written by one connector only.
    with pytest.raises(bulkhead.Failed):
        tree.create_connector("g", "file", config, stream="t")


def test_own_stream_of_a_connector(new_tree, tmp_path):
    """Without a stream that covers its topics it gets $connector.NAME."""
    tree = new_tree({"streams": STREAMS}).start()
    tree.create_connector("own", "file", {"path": str(tmp_path / "o"),
                                          "format": "lines"},
                          topics=["own/#"])
    Conn(tree.mqtt_port, "c").publish("own/a", "mine", qos=1)
    tree.wait_drained("own")
    assert (tmp_path / "o").read_text() == "mine\n"
    listed = tree.json("stream", "ls")
    names = {s["name"] for s in (
        listed if isinstance(listed, list) else listed["items"])}
    assert "$connector.own" in names, names


def test_several_covering_streams_are_refused(new_tree, tmp_path):
    tree = new_tree({"streams": {"one": {"topics": ["x/#"]},
                                 "two": {"topics": ["x/+"]}}}).start()
    with pytest.raises(bulkhead.Failed) as failed:
        tree.create_connector("c", "file", {"path": str(tmp_path / "o")},
                              topics=["x/a"])
    assert "one" in failed.value.err and "two" in failed.value.err


def test_retention_by_size(new_tree):
    """Oldest segments go; what is below the log start is gone for readers
    that come later, and offsets go on."""
    tree = new_tree({
        "store": {"segment_size": "1MiB"},
        "streams": {"t": {"topics": ["t/#"],
                          "retention": {"size": "2MiB"}}}}).start()
    pub = Publisher(tree.mqtt_port, "pub", "t/a", size=4000, count=3000,
                    window=200)
    pub.start()
    pub.join(60)

    def trimmed():
        shown = tree.json("stream", "show", "t")
        start = shown["partitions"][0]["log_start"]
        assert start > 0, json.dumps(shown)
        return start
    start = bulkhead.wait_for(trimmed, 30, "retention")
    out = tree.cli("stream", "read", "t", "--from", "earliest", "--json")
    first = json.loads(out.splitlines()[0])
    assert first["offset"] == start or first["offset"] > 0


def test_run_finds_its_programs(new_tree, tmp_path):
    """From another folder, by a symbolic link."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "bulkhead").symlink_to(bulkhead.BULKHEAD)
    tree = new_tree({"streams": STREAMS}, build=str(tmp_path))
    here = os.getcwd()
    try:
        os.chdir(tmp_path)
        tree.start()
        assert tree.stop() == 0
    finally:
        os.chdir(here)


def test_demo(new_tree, tmp_path):
    """What ./run --demo shows, on ports of its own."""
    tree = new_tree()
    env = {**os.environ, "PATH": os.path.dirname(bulkhead.BULKHEAD) + ":"
           + os.environ["PATH"]}
    with open(tree.log_file, "wb") as log:
        tree.process = subprocess.Popen(
            [os.path.join(bulkhead.ROOT, "deploy", "demo.sh"),
             bulkhead.BULKHEAD, "-c", tree.config_file, "--data", tree.data],
            stdout=log, stderr=log, env=env, start_new_session=True,
            preexec_fn=bulkhead._dies_with_us)
    try:
        bulkhead.wait_for(lambda: "still running" in tree.log(), 30,
                          "the demo to end: " + tree.log()[-500:])
        rows = compare.lines(os.path.join(tree.data, "demo",
                                          "telemetry.jsonl"))
        assert len(rows) == 12
        assert {r["payload"]["machine"] for r in rows} == {"press", "mill",
                                                           "oven"}
        assert "healthy" in tree.log() and '"celsius":44' in tree.log()
    finally:
        # Not SIGINT, which a shell's background job may have ignored.
        tree.process.terminate()
        try:
            tree.process.wait(30)
        finally:
            tree.cli("stop", check=False)
        tree.process = None
    with pytest.raises(bulkhead.Failed) as failed:
        tree.status()
    assert failed.value.status == 3
