"""Targets that refuse, hang, answer garbage, are down for a while or reject
one row: nothing is lost, and the DLQ stays empty where it is the target's
fault (connectors.md, section 3)."""

import json
import time

import pytest

import bulkhead
import servers
from mqtt_raw import Conn

pytestmark = pytest.mark.sanitize
STREAMS = {"t": {"topics": ["t/#"]}}
QUICK = {"strategy": "dead_message_queue", "retry_total_times": 2,
         "wait_time_ms": 50, "max_wait_ms": 300}


def webhook(url, **more):
    config = {"url": url, "timeout_ms": 700, **more.pop("config", {})}
    return {"type": "webhook", "stream": "t", "start": "earliest",
            "failure_strategy": QUICK, "config": config, **more}


def table_connector(postgres, table, **more):
    return {"type": "postgres", "stream": "t", "start": "earliest",
            "failure_strategy": QUICK, **more,
            "config": postgres.config(
                table=table, key_columns=["id"], on_conflict="ignore",
                columns={"id": "${id}", "n": "${payload.n:number}"})}


def publish(tree, numbers, topic="t/a"):
    conn = Conn(tree.mqtt_port, "pub")
    for n in numbers:
        assert conn.publish(topic, json.dumps({"n": n}), qos=1) in (0, 16)
    conn.disconnect()


def unavailable(tree, name):
    """The worker says so, with a reason and since when."""
    def said():
        shown = tree.show(name)
        assert shown["state"] != "running" or shown["reason"], str(shown)
        assert shown["reason"], str(shown)
        assert shown["since"]
        return shown
    return bulkhead.wait_for(said, 20, name + " to say what is wrong")


def check_whole(tree, name, count, dlq=0):
    row = tree.wait_drained(name, 30, count)
    assert row["unaccounted"] == 0, str(row)
    assert row["dlq"] == dlq and row["discarded"] == 0, str(row)
    assert row["delivered"] == count - dlq and row["matched"] == count
    return row


def test_webhook_down_for_a_while(new_tree):
    """Down at creation, up later: no retry is spent, nothing dead."""
    port = bulkhead.free_port()
    tree = new_tree({"streams": STREAMS, "connectors": {
        "w": webhook("http://127.0.0.1:%d/in" % port)}}).start()
    publish(tree, range(30))
    unavailable(tree, "w")
    assert tree.status()["state"] == "degraded"
    time.sleep(1.5)
    assert tree.audit("w")["w"]["dlq"] == 0
    target = servers.HttpTarget(port)
    try:
        check_whole(tree, "w", 30)
        assert [r["payload"]["n"] for r in target.records()] == list(range(30))
        bulkhead.wait_for(lambda: tree.status()["state"] == "healthy",
                          what="healthy again")
    finally:
        target.close()


@pytest.mark.parametrize("mode", ["hang", "garbage", "refuse"])
def test_webhook_bad_server(new_tree, mode):
    bad = servers.BadServer(mode)
    tree = new_tree({"streams": STREAMS, "connectors": {
        "w": webhook("http://127.0.0.1:%d/in" % bad.port)}}).start()
    publish(tree, range(10))
    unavailable(tree, "w")
    time.sleep(2)
    row = tree.audit("w")["w"]
    assert row["dlq"] == 0 and row["delivered"] == 0, str(row)
    assert bad.connections
    bad.close()
    target = servers.HttpTarget(bad.port)
    try:
        check_whole(tree, "w", 10)
    finally:
        target.close()
    assert not tree.crashes()


@pytest.mark.parametrize("status", [429, 503])
def test_webhook_says_later(new_tree, http_target, status):
    """429 and 503 are the target's fault: no retry spent, none dead."""
    http_target.answer = lambda request: status
    tree = new_tree({"streams": STREAMS, "connectors": {
        "w": webhook(http_target.url)}}).start()
    publish(tree, range(5))
    shown = unavailable(tree, "w")
    assert str(status) in shown["reason"], shown["reason"]
    time.sleep(2)
    assert tree.audit("w")["w"]["dlq"] == 0
    http_target.answer = lambda request: 200
    check_whole(tree, "w", 5)


def test_webhook_rejects_some(new_tree, http_target):
    """400 for one record: it alone is dead, at once, with the reason; 500 is
    tried again and succeeds."""
    tries = {}

    def answer(request):
        n = json.loads(request["body"])["payload"]["n"]
        tries[n] = tries.get(n, 0) + 1
        if n == 7:
            return 400, b"seven is not welcome"
        if n == 3 and tries[n] < 3:
            return 500
        return 200

    http_target.answer = answer
    tree = new_tree({"streams": STREAMS, "connectors": {
        "w": webhook(http_target.url)}}).start()
    publish(tree, range(20))
    check_whole(tree, "w", 20, dlq=1)
    assert tries[7] == 1, "a refused record is not tried again"
    assert tries[3] == 3
    dead = tree.json("dlq", "ls", "w")
    rows = dead if isinstance(dead, list) else dead["items"]
    assert len(rows) == 1
    assert "400" in rows[0]["error"]
    assert rows[0]["topic"] == "t/a"
    # Replay once the target takes it: it leaves the DLQ, the books balance.
    http_target.answer = lambda request: 200
    tree.cli("dlq", "replay", "w")

    def replayed():
        row = tree.audit("w")["w"]
        assert row["dlq"] == 0 and row["delivered"] == 20, str(row)
        assert row["unaccounted"] == 0, str(row)
        return True
    bulkhead.wait_for(replayed, what="the replay")
    assert sorted(r["payload"]["n"] for r in http_target.records()) == list(
        range(20))


def test_webhook_retries_used_up(new_tree, http_target):
    """A retryable error for ever: retry_total_times tries, then dead."""
    http_target.answer = lambda request: (
        500 if b'"n":1' in request["body"].replace(b" ", b"") else 200)
    tree = new_tree({"streams": STREAMS, "connectors": {
        "w": webhook(http_target.url)}}).start()
    publish(tree, range(3))
    check_whole(tree, "w", 3, dlq=1)
    tried = [r for r in http_target.requests
             if b'"n":1' in r["body"].replace(b" ", b"")]
    assert len(tried) == 3
    keys = {r["headers"]["idempotency-key"] for r in tried}
    assert len(keys) == 1, "the id is the same on every retry"


@pytest.mark.parametrize("strategy", ["discard", "discard_after_retry"])
def test_discard(new_tree, http_target, strategy):
    http_target.answer = lambda request: (
        500 if b'"n":1' in request["body"].replace(b" ", b"") else 200)
    definition = webhook(http_target.url)
    definition["failure_strategy"] = {**QUICK, "strategy": strategy}
    if strategy == "discard":
        del definition["failure_strategy"]["retry_total_times"]
        del definition["failure_strategy"]["wait_time_ms"]
        del definition["failure_strategy"]["max_wait_ms"]
    tree = new_tree({"streams": STREAMS,
                     "connectors": {"w": definition}}).start()
    publish(tree, range(3))
    row = tree.wait_drained("w", 30)
    assert row["discarded"] == 1 and row["delivered"] == 2, str(row)
    assert row["dlq"] == 0 and row["unaccounted"] == 0
    tried = [r for r in http_target.requests
             if b'"n":1' in r["body"].replace(b" ", b"")]
    assert len(tried) == (1 if strategy == "discard" else 3)


@pytest.fixture
def own_postgres(tmp_path):
    server = servers.Postgres(str(tmp_path))
    server.start()
    yield server
    server.stop()


def test_postgres_hangs(new_tree, own_postgres):
    """SIGSTOP of the server for longer than every time-out."""
    own_postgres.execute("CREATE TABLE h (id text PRIMARY KEY, n int)")
    tree = new_tree({"streams": STREAMS, "connectors": {
        "p": table_connector(own_postgres, "h")}}).start()
    publish(tree, range(10))
    check_whole(tree, "p", 10)
    own_postgres.pause()
    try:
        publish(tree, range(10, 40))
        time.sleep(8)
        workers = [p for p in tree.status()["processes"]
                   if p["name"] == "connector.p"]
        assert workers[0]["restarts"] == 0, "it hung with its target"
        assert tree.audit("p")["p"]["dlq"] == 0
    finally:
        own_postgres.resume()
    check_whole(tree, "p", 40)
    rows = own_postgres.execute("SELECT n FROM h ORDER BY n")
    assert [r[0] for r in rows] == list(range(40))


def test_postgres_down_for_a_while(new_tree, own_postgres):
    own_postgres.execute("CREATE TABLE d (id text PRIMARY KEY, n int)")
    tree = new_tree({"streams": STREAMS, "connectors": {
        "p": table_connector(own_postgres, "d")}}).start()
    publish(tree, range(10))
    check_whole(tree, "p", 10)
    own_postgres.down()
    publish(tree, range(10, 30))
    unavailable(tree, "p")
    time.sleep(1)
    assert tree.audit("p")["p"]["dlq"] == 0
    own_postgres.start()
    check_whole(tree, "p", 30)
    rows = own_postgres.execute("SELECT n FROM d ORDER BY n")
    assert [r[0] for r in rows] == list(range(30))


def test_postgres_rejects_one_row(new_tree, postgres):
    """One row of a batch breaks a constraint: it alone is dead."""
    postgres.execute("DROP TABLE IF EXISTS r")
    postgres.execute(
        "CREATE TABLE r (id text PRIMARY KEY, n int CHECK (n <> 13))")
    tree = new_tree({"streams": STREAMS, "connectors": {
        "p": table_connector(postgres, "r", batch={
            "max_records": 100, "linger_ms": 200})}}).start()
    publish(tree, range(50))
    check_whole(tree, "p", 50, dlq=1)
    rows = postgres.execute("SELECT n FROM r ORDER BY n")
    assert [r[0] for r in rows] == [n for n in range(50) if n != 13]
    dead = tree.json("dlq", "ls", "p")
    rows = dead if isinstance(dead, list) else dead["items"]
    assert len(rows) == 1 and "r_n_check" in rows[0]["error"]
    # The table changes its mind: a replay stores it.
    postgres.execute("ALTER TABLE r DROP CONSTRAINT r_n_check")
    tree.cli("dlq", "replay", "p")
    bulkhead.wait_for(
        lambda: postgres.execute("SELECT count(*) FROM r")[0][0] == 50,
        what="the replayed row")


def test_postgres_garbage(new_tree):
    bad = servers.BadServer("garbage")
    tree = new_tree({"streams": STREAMS, "connectors": {
        "p": {"type": "postgres", "stream": "t", "start": "earliest",
              "failure_strategy": QUICK,
              "config": {"host": "127.0.0.1", "port": bad.port,
                         "database": "test", "username": "test",
                         "password": "secret", "table": "x",
                         "key_columns": ["id"], "on_conflict": "ignore",
                         "columns": {"id": "${id}"}}}}}).start()
    publish(tree, range(5))
    unavailable(tree, "p")
    row = tree.audit("p")["p"]
    assert row["dlq"] == 0 and row["delivered"] == 0 and row["pending"] == 5
    assert not tree.crashes()
    bad.close()
