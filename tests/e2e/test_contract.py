"""The names of operations.md: commands, exit statuses, JSON fields, HTTP."""

import json
import os
import re
import select
import sqlite3
import subprocess

import pytest
import requests

import bulkhead
from mqtt_raw import Conn

STREAMS = {"t": {"topics": ["t/#"]}}
STATES = {"running", "starting", "backoff", "stopped", "paused"}
KINDS = {"router", "acceptor", "worker", "admin"}
RFC3339 = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
COUNTERS = {"matched", "delivered", "retried", "discarded", "dlq", "filtered"}
AUDIT = {"matched", "delivered", "dlq", "discarded", "filtered", "expired",
         "damaged", "skipped", "pending", "unaccounted"}


@pytest.fixture
def tree(new_tree, tmp_path):
    return new_tree({"streams": STREAMS, "connectors": {"f": {
        "type": "file", "stream": "t", "start": "earliest",
        "config": {"path": str(tmp_path / "o"), "format": "json"}}}}).start()


def test_status(tree):
    status = tree.status()
    assert {"state", "reasons", "version", "uptime_s",
            "processes"} <= set(status)
    assert status["state"] == "healthy" and status["reasons"] == []
    names = {}
    for p in status["processes"]:
        assert {"name", "kind", "pid", "state", "since", "uptime_s",
                "restarts", "cpu_percent", "rss_bytes", "last_exit",
                "reason"} <= set(p)
        assert p["kind"] in KINDS and p["state"] in STATES
        assert RFC3339.match(p["since"]), p["since"]
        assert p["rss_bytes"] > 0 and p["restarts"] == 0
        assert os.path.exists("/proc/%d" % p["pid"])
        assert p["last_exit"] is None and p["reason"] is None
        names[p["name"]] = p["kind"]
    assert names == {"router": "router", "mqtt": "acceptor",
                     "admin": "admin", "connector.f": "worker"}
    text = tree.cli("status")
    assert "healthy" in text and "connector.f" in text
    assert "\x1b" not in text, "colour only on a terminal"
    tree.kill_and_wait("router")
    tree.wait_ready()
    router = [p for p in tree.status()["processes"]
              if p["name"] == "router"][0]
    assert router["restarts"] == 1 and router["last_exit"] is not None


def test_connector_show(tree):
    conn = Conn(tree.mqtt_port, "c")
    for n in range(5):
        conn.publish("t/a", str(n), qos=1)
    tree.wait_drained("f")
    shown = tree.show("f")
    assert {"definition", "state", "reason", "since", "offsets", "lag",
            "counters", "rates", "last_error", "last_success",
            "in_flight"} <= set(shown)
    assert shown["definition"]["type"] == "file"
    assert shown["state"] == "running"
    assert COUNTERS <= set(shown["counters"])
    assert shown["counters"]["delivered"] == 5
    assert shown["counters"]["matched"] == 5
    offset = shown["offsets"]["0"]
    assert offset["committed"] == 5 and offset["high_watermark"] == 5
    assert shown["lag"] == 0 and shown["in_flight"] == 0
    assert RFC3339.match(shown["last_success"]), shown["last_success"]
    assert shown["last_error"] is None
    listed = tree.json("connector", "ls")
    rows = listed if isinstance(listed, list) else listed["items"]
    assert [row["name"] for row in rows] == ["f"]


def test_audit(tree):
    conn = Conn(tree.mqtt_port, "c")
    for n in range(7):
        conn.publish("t/a", str(n), qos=1)
    row = tree.wait_drained("f")
    assert AUDIT <= set(row)
    assert row["matched"] == row["delivered"] == 7
    assert row["unaccounted"] == row["pending"] == 0
    status, out, err = bulkhead.command("--socket", tree.socket, "audit", "f")
    assert status == 0 and "unaccounted" in out.lower()


def test_audit_sees_a_lost_record(tree):
    """A ledger that is one short is found: exit 1."""
    conn = Conn(tree.mqtt_port, "c")
    for n in range(7):
        conn.publish("t/a", str(n), qos=1)
    tree.wait_drained("f")
    assert tree.stop() == 0
    db = sqlite3.connect(os.path.join(tree.data, "connectors", "f.db"))
    tables = [r[0] for r in db.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table'")]
    assert "ledger" in tables, tables
    db.execute("UPDATE ledger SET delivered = delivered - 1")
    db.commit()
    db.close()
    tree.start()
    status, out, err = bulkhead.command("--socket", tree.socket, "audit", "f",
                                        "--json")
    assert status == 1, out
    assert tree.audit("f")["f"]["unaccounted"] == 1


def test_exit_statuses(tree, tmp_path):
    def status(*args):
        return bulkhead.command("--socket", tree.socket, *args)

    assert status("status")[0] == 0
    assert status("version")[0] == 0
    for args in (("connector", "show", "nosuch"),
                 ("stream", "show", "nosuch"), ("stream", "delete", "nosuch"),
                 ("dlq", "ls", "nosuch"), ("client", "kick", "nosuch"),
                 ("session", "delete", "nosuch"), ("crash", "show", "nosuch")):
        code, out, err = status(*args)
        assert code == 1, "%s: %d %s" % (args, code, err)
        assert len(err.strip().splitlines()) == 1, err
        assert "nosuch" in err, err
        assert not out
    for args in ((), ("nosuch",), ("connector",), ("connector", "show"),
                 ("status", "--nosuch"), ("pub",)):
        code, out, err = status(*args)
        assert code == 2, "%s: %d %s" % (args, code, err)
    code, out, err = bulkhead.command("--socket", str(tmp_path / "none"),
                                      "status")
    assert code == 3 and len(err.strip().splitlines()) == 1, err
    env = {**os.environ, "BULKHEAD_SOCKET": tree.socket}
    assert bulkhead.command("status", env=env)[0] == 0


def test_check(tree, tmp_path):
    assert bulkhead.command("check", tree.config_file)[0] == 0
    status, out, err = bulkhead.command("check", tmp_path / "missing.yaml")
    assert status != 0 and "missing.yaml" in err
    status, out, err = bulkhead.command("check", "--schema")
    assert status == 0
    schema = json.loads(out)
    assert "listeners" in schema["properties"]
    assert "connectors" in schema["properties"]


def test_connector_life(tree, tmp_path):
    path = tmp_path / "two"
    tree.create_connector("two", "file", {"path": str(path),
                                          "format": "lines"},
                          stream="t", start="earliest")
    Conn(tree.mqtt_port, "c").publish("t/a", "hello", qos=1)
    tree.wait_drained("two")
    assert path.read_text() == "hello\n"
    tree.cli("connector", "pause", "two")
    bulkhead.wait_for(lambda: tree.show("two")["state"] == "paused")
    Conn(tree.mqtt_port, "c").publish("t/a", "later", qos=1)
    assert tree.audit("two")["two"]["pending"] == 1
    # The pause survives a restart of everything.
    assert tree.stop() == 0
    tree.start()
    assert tree.show("two")["state"] == "paused"
    assert path.read_text() == "hello\n"
    tree.cli("connector", "resume", "two")
    tree.wait_drained("two")
    assert path.read_text() == "hello\nlater\n"
    tree.cli("connector", "pause", "two")
    tree.cli("connector", "reset", "two", "--to", "earliest")
    tree.cli("connector", "resume", "two")
    bulkhead.wait_for(
        lambda: path.read_text() == "hello\nlater\n" * 2, what="the replay")
    row = tree.wait_drained("two")
    assert row["unaccounted"] == 0, str(row)
    before = tree.pids("connector.two")
    tree.cli("connector", "restart", "two")
    bulkhead.wait_for(lambda: tree.pids("connector.two") not in ([], before),
                      what="a new worker")
    tree.cli("connector", "delete", "two")
    assert bulkhead.command("--socket", tree.socket, "connector", "show",
                            "two")[0] == 1
    assert "connector.two" not in {p["name"]
                                   for p in tree.status()["processes"]}
    # Those of the file are read-only here.
    assert bulkhead.command("--socket", tree.socket, "connector", "delete",
                            "f")[0] != 0


def test_connector_refused(tree, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("name: bad\ntype: postgres\nstream: t\nconfig:\n"
                    "  host: h\n  port: 70000\n  nosuch: 1\n")
    status, out, err = bulkhead.command("--socket", tree.socket, "connector",
                                        "create", path)
    assert status == 2, err
    for word in ("port", "70000", "65535", "nosuch"):
        assert word in err, err
    assert "bad" not in {c["name"] for c in rows(tree.json("connector",
                                                           "ls"))}


def rows(listed):
    return listed if isinstance(listed, list) else listed["items"]


def test_connector_test(tree, tmp_path):
    status, out, err = bulkhead.command("--socket", tree.socket, "connector",
                                        "test", "f")
    assert status == 0, err
    path = tmp_path / "t.yaml"
    path.write_text("name: x\ntype: webhook\nstream: t\nconfig:\n"
                    "  url: http://127.0.0.1:%d/\n" % bulkhead.free_port())
    status, out, err = bulkhead.command("--socket", tree.socket, "connector",
                                        "test", path)
    assert status == 1, out


def test_streams(tree):
    tree.cli("stream", "create", "more", "--topics", "m/#", "--partitions",
             "2")
    names = {s["name"] for s in rows(tree.json("stream", "ls"))}
    assert {"t", "more"} <= names
    conn = Conn(tree.mqtt_port, "c")
    for n in range(10):
        conn.publish("m/%d" % n, "v%d" % n, qos=1)
    shown = tree.json("stream", "show", "more")
    assert shown["topics"] == ["m/#"]
    out = tree.cli("stream", "read", "more", "--from", "earliest", "--json")
    read = [json.loads(line) for line in out.splitlines()]
    assert sorted((r["topic"], r["payload"]) for r in read) == [
        ("m/%d" % n, "v%d" % n) for n in range(10)]
    assert {r["partition"] for r in read} == {0, 1}
    assert all(r["id"].startswith("more.") for r in read)
    tree.cli("stream", "delete", "more")
    assert "more" not in {s["name"] for s in rows(tree.json("stream", "ls"))}
    assert not os.path.exists(os.path.join(tree.data, "streams", "more"))


def test_clients_and_sessions(tree):
    conn = Conn(tree.mqtt_port, "kickme", version=5)
    Conn(tree.mqtt_port, "keeper", clean=False).subscribe(("k/#", 1))
    clients = rows(tree.json("client", "ls"))
    assert "kickme" in {c["client_id"] for c in clients}
    tree.cli("client", "kick", "kickme")
    with pytest.raises(Exception) as closed:
        conn.read(5)
    assert getattr(closed.value, "reason", None) == 0x98
    sessions = rows(tree.json("session", "ls"))
    assert "keeper" in {s["client_id"] for s in sessions}
    tree.cli("session", "delete", "keeper")
    assert "keeper" not in {s["client_id"]
                            for s in rows(tree.json("session", "ls"))}
    assert not Conn(tree.mqtt_port, "keeper", clean=False).session_present


def test_pub_and_sub(tree):
    sub = subprocess.Popen([bulkhead.BULKHEAD, "--socket", tree.socket, "sub",
                            "s/#", "--json"], stdout=subprocess.PIPE,
                           bufsize=0, preexec_fn=bulkhead._dies_with_us)
    try:
        conn = Conn(tree.mqtt_port, "c")
        conn.subscribe(("s/cli", 1))

        def both():
            # Again and again: the command may not have subscribed yet.
            tree.cli("pub", "s/cli", "-m", "from the command", "--qos", "1",
                     "-H", "k=v")
            return (conn.message(1) is not None
                    and select.select([sub.stdout], [], [], 1)[0])
        bulkhead.wait_for(both, what="the message")
        line = json.loads(sub.stdout.readline())
        assert line["topic"] == "s/cli"
        assert line["payload"] == "from the command"
    finally:
        sub.kill()
        sub.wait()
    tree.cli("pub", "t/cli", "-l", stdin="one\ntwo\n")
    assert tree.wait_drained("f", count=2)["matched"] == 2


def test_http(tree):
    base = "http://127.0.0.1:%d" % tree.http_port
    assert requests.get(base + "/health/live", timeout=5).status_code == 200
    ready = requests.get(base + "/health/ready", timeout=5)
    assert ready.status_code == 200, ready.text
    status = requests.get(base + "/api/v1/status", timeout=5).json()
    assert status["state"] == "healthy"
    missing = requests.get(base + "/api/v1/connectors/nosuch", timeout=5)
    assert missing.status_code == 404
    error = missing.json()["error"]
    assert error["code"] and "nosuch" in error["message"]
    made = requests.post(base + "/api/v1/connectors", timeout=10, json={
        "name": "x", "type": "file", "stream": "t",
        "config": {"path": {"a": 1}, "nosuch": True}})
    assert made.status_code in (400, 422), made.text
    paths = {d["path"] for d in made.json()["error"]["details"]}
    assert any(p.endswith("config.path") for p in paths), paths
    assert any(p.endswith("config.nosuch") for p in paths), paths
    assert requests.get(base + "/nosuch", timeout=5).status_code == 404
    assert requests.delete(base + "/api/v1/status",
                           timeout=5).status_code == 405
    types = requests.get(base + "/api/v1/connector-types", timeout=5).json()
    assert {"file", "webhook", "postgres"} <= {t["name"] for t in rows(types)}
    openapi = requests.get(base + "/api/v1/openapi.json", timeout=5).json()
    assert "/api/v1/status" in openapi["paths"]


METRIC = re.compile(r'^bulkhead_[a-z0-9_]+(\{([a-z_]+="[^"]*",?)*\})? '
                    r'[-+0-9.eE]+$')


def test_metrics(tree):
    Conn(tree.mqtt_port, "c").publish("t/a", "1", qos=1)
    tree.wait_drained("f")
    answer = requests.get("http://127.0.0.1:%d/metrics" % tree.http_port,
                          timeout=5)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    names = set()
    for line in answer.text.splitlines():
        if line and not line.startswith("#"):
            assert METRIC.match(line), line
            names.add(re.match(r"[a-z0-9_]+", line).group())
    assert len(names) > 10, names
    assert any("connector" in name for name in names), names


def test_version():
    status, out, err = bulkhead.command("version")
    assert status == 0 and re.search(r"\d+\.\d+\.\d+", out)


def test_help():
    status, out, err = bulkhead.command("--help")
    assert status == 0
    for word in ("run", "check", "status", "connector", "dlq", "audit",
                 "stream", "client", "session", "pub", "sub", "reload",
                 "crash", "stop", "version"):
        assert word in out, word
