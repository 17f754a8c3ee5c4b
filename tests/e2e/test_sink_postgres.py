"""The postgres type against a real server: what each option does, what each
fault of a row, the table or the server means."""

import json
import threading
import time

import pytest

import bulkhead
from mqtt_raw import Conn

STREAMS = {"t": {"topics": ["t/#"]}}
QUICK = {"strategy": "dead_message_queue", "retry_total_times": 2,
         "wait_time_ms": 50, "max_wait_ms": 300}
ONE_BATCH = {"max_records": 500, "linger_ms": 400}


@pytest.fixture
def table(postgres, request):
    """The name of a table that does not exist yet."""
    name = "t%d" % (abs(hash(request.node.nodeid)) % 10**8)
    postgres.execute('DROP TABLE IF EXISTS "%s" CASCADE' % name)
    yield name
    postgres.execute('DROP TABLE IF EXISTS "%s" CASCADE' % name)


def definition(postgres, table, common=None, **config):
    return {"type": "postgres", "stream": "t", "start": "earliest",
            "failure_strategy": QUICK, **(common or {}),
            "config": postgres.config(**{"table": table, **config})}


def keyed(postgres, table, common=None, **config):
    return definition(postgres, table, common, **{
        "key_columns": ["id"],
        "columns": {"id": "${id}", "n": "${payload.n:number}"}, **config})


def start(new_tree, definition):
    return new_tree({"streams": STREAMS,
                     "connectors": {"p": definition}}).start()


def publish(tree, messages):
    conn = Conn(tree.mqtt_port, "pub")
    for topic, payload in messages:
        assert conn.publish(topic, payload, qos=1) in (0, 16)
    conn.disconnect()


def numbers(count, first=0, topic="t/a"):
    return [(topic, json.dumps({"n": n})) for n in range(first, first + count)]


def drained(tree, count, dlq=0):
    row = tree.wait_drained("p", 40)
    assert row["unaccounted"] == 0 and row["matched"] == count, str(row)
    assert row["dlq"] == dlq and row["delivered"] == count - dlq, str(row)


def dead(tree):
    found = tree.json("dlq", "ls", "p")
    return found if isinstance(found, list) else found["items"]


def reason(tree, word):
    """The worker says what it waits for."""
    def told():
        shown = tree.show("p")
        assert shown["reason"] and word in shown["reason"], str(shown)
        return shown
    return bulkhead.wait_for(told, 20, word)


# ---- values ------------------------------------------------------------------


@pytest.mark.parametrize("copy", [False, True], ids=["arrays", "copy"])
def test_types(new_tree, postgres, table, copy):
    postgres.execute("""CREATE TABLE "%s" (id text PRIMARY KEY, topic text,
        raw bytea, doc jsonb, at timestamptz, day date, n bigint,
        x double precision, ok boolean, tags int[], short varchar(4),
        note text)""" % table)
    tree = start(new_tree, keyed(postgres, table, use_copy=copy, columns={
        "id": "${id}", "topic": "${topic}", "raw": "${payload}",
        "doc": "${payload}", "at": "${timestamp_ms}",
        "day": "${timestamp:%Y-%m-%d}", "n": "${payload.n}",
        "x": "${payload.x:number|1.5}", "ok": "${payload.ok}",
        "tags": "${payload.tags}", "short": "${payload.short}",
        "note": "it's ${topic[1]}\\ \t${payload.no}"}))
    payload = {"n": 2**53 + 1, "ok": True, "tags": "{1,2}", "short": "abcd"}
    publish(tree, [("t/\u00e9", json.dumps(payload)), ("t/b", "{}")])
    drained(tree, 2)
    rows = postgres.execute('SELECT * FROM "%s" ORDER BY n' % table)
    assert rows[0][1] == "t/\u00e9" and rows[0][6] == 2**53 + 1
    assert bytes(rows[0][2]) == json.dumps(payload).encode()
    assert rows[0][3] == payload
    assert abs(rows[0][4].timestamp() - time.time()) < 60
    assert rows[0][5] == rows[0][4].astimezone(
        tz=__import__("datetime").timezone.utc).date()
    assert rows[0][7:11] == (1.5, True, [1, 2], "abcd")
    assert rows[0][11] == "it's \u00e9\\ \t"
    assert rows[1][6] is None and rows[1][8] is None and rows[1][3] == {}


def test_columns_by_name(new_tree, postgres, table):
    """Without `columns`: those that are called like a record's fields."""
    postgres.execute('CREATE TABLE "%s" (id text PRIMARY KEY, topic text, '
                     'payload text, timestamp_ms bigint, qos int, '
                     'other text DEFAULT \'d\')' % table)
    tree = start(new_tree, definition(postgres, table, key_columns=["id"]))
    publish(tree, [("t/a", "hello")])
    drained(tree, 1)
    row = postgres.execute('SELECT * FROM "%s"' % table)[0]
    assert row[0].startswith("t.") and row[1:3] == ("t/a", "hello")
    assert abs(row[3] - time.time() * 1000) < 60000
    assert row[4:] == (1, "d")


def test_names(new_tree, postgres):
    """Upper case, spaces and quotes in names; a schema."""
    postgres.execute('CREATE SCHEMA IF NOT EXISTS "My s"')
    postgres.execute('DROP TABLE IF EXISTS "My s"."T"')
    postgres.execute('CREATE TABLE "My s"."T" ("I d" text UNIQUE, '
                     '"select" text, "q""" text)')
    tree = start(new_tree, definition(
        postgres, "My s.T", key_columns=["I d"],
        columns={"I d": "${id}", "select": "${topic}", 'q"': "x"}))
    publish(tree, numbers(3))
    drained(tree, 3)
    assert postgres.execute('SELECT count(*) FROM "My s"."T"') == [(3,)]
    postgres.execute('DROP TABLE "My s"."T"')


EVIL = ["'); DROP TABLE x; --", "$1", "${topic}", "\\", "\x00", "'", '"',
        "E'\\x'", "\t\n\\N\\.", "\U0001f600", "{NULL}", "a,b"]


@pytest.mark.parametrize("way", ["arrays", "copy", "sql"])
def test_a_payload_never_changes_a_command(new_tree, postgres, table, way):
    postgres.execute('CREATE TABLE "%s" (id text PRIMARY KEY, v text)' % table)
    if way == "sql":
        config = postgres.config(
            sql='INSERT INTO "%s" VALUES (${id}, ${payload.v}) '
                "ON CONFLICT DO NOTHING" % table)
        tree = start(new_tree, {"type": "postgres", "stream": "t",
                                "start": "earliest", "config": config})
    else:
        tree = start(new_tree, keyed(
            postgres, table, use_copy=way == "copy",
            columns={"id": "${id}", "v": "${payload.v}"}))
    publish(tree, [("t/a", json.dumps({"v": v})) for v in EVIL])
    # PostgreSQL's text cannot hold a NUL: that one is refused.
    drained(tree, len(EVIL), dlq=1)
    got = [r[0] for r in postgres.execute('SELECT v FROM "%s"' % table)]
    assert sorted(got) == sorted(v for v in EVIL if v != "\x00")


# ---- rows that are refused ------------------------------------------------------


@pytest.mark.parametrize("way", ["arrays", "copy", "sql"])
def test_bad_rows(new_tree, postgres, table, way):
    """Of one batch, each bad row and only it is dead, with its reason."""
    postgres.execute('CREATE TABLE "%s" (id text PRIMARY KEY, '
                     'n int CHECK (n <> 13), s varchar(3) NOT NULL)' % table)
    columns = {"id": "${id}", "n": "${payload.n}", "s": "${payload.s}"}
    if way == "sql":
        tree = start(new_tree, {
            "type": "postgres", "stream": "t", "start": "earliest",
            "batch": ONE_BATCH, "config": postgres.config(
                sql='INSERT INTO "%s" VALUES (${id}, ${payload.n}, '
                    "${payload.s})" % table)})
    else:
        tree = start(new_tree, keyed(postgres, table, {"batch": ONE_BATCH},
                                     use_copy=way == "copy",
                                     columns=columns))
    messages = [{"n": n, "s": "ok"} for n in range(100)]
    messages[13]["n"] = 13
    messages[40]["n"] = "forty"
    messages[41]["s"] = "too long"
    messages[99]["n"] = 2**40
    del messages[0]["s"]
    publish(tree, [("t/a", json.dumps(m)) for m in messages]
            + [("t/a", "no json")])
    drained(tree, 101, dlq=6)
    got = [r[0] for r in postgres.execute(
        'SELECT n FROM "%s" ORDER BY n' % table)]
    assert got == [n for n in range(1, 99) if n not in (13, 40, 41)]
    errors = " ".join(row["error"] for row in dead(tree))
    for state in ("23514", "22P02", "22001", "22003", "23502"):
        assert state in errors, errors


def test_deferred_constraint_and_trigger(new_tree, postgres, table):
    """A row that only the COMMIT or a trigger refuses."""
    postgres.execute('CREATE TABLE "%s" (id text PRIMARY KEY, n int, '
                     'UNIQUE (n) DEFERRABLE INITIALLY DEFERRED)' % table)
    postgres.execute("""CREATE OR REPLACE FUNCTION no_five() RETURNS trigger
        LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.n = 5 THEN RAISE EXCEPTION 'five is right out'; END IF;
        RETURN NEW; END $$""")
    postgres.execute('CREATE TRIGGER tr BEFORE INSERT ON "%s" FOR EACH ROW '
                     "EXECUTE FUNCTION no_five()" % table)
    tree = start(new_tree, keyed(postgres, table, {"batch": ONE_BATCH}))
    publish(tree, numbers(20) + numbers(1, 7))
    drained(tree, 21, dlq=2)
    got = [r[0] for r in postgres.execute(
        'SELECT n FROM "%s" ORDER BY n' % table)]
    assert got == [n for n in range(20) if n != 5]
    errors = " ".join(row["error"] for row in dead(tree))
    assert "five is right out" in errors and "23505" in errors


# ---- conflicts ---------------------------------------------------------------------


@pytest.mark.parametrize("copy", [False, True], ids=["arrays", "copy"])
def test_update(new_tree, postgres, table, copy):
    """on_conflict update: the last value of each key, many in a batch."""
    postgres.execute('CREATE TABLE "%s" (dev text PRIMARY KEY, n int)' % table)
    tree = start(new_tree, definition(
        postgres, table, {"batch": ONE_BATCH}, key_columns=["dev"],
        on_conflict="update", use_copy=copy,
        columns={"dev": "${topic[1]}", "n": "${payload.n}"}))
    publish(tree, [("t/%d" % (n % 3), json.dumps({"n": n}))
                   for n in range(100)])
    drained(tree, 100)
    assert postgres.execute('SELECT * FROM "%s" ORDER BY dev' % table) == [
        ("0", 99), ("1", 97), ("2", 98)]


def test_conflict_is_an_error(new_tree, postgres, table):
    postgres.execute('CREATE TABLE "%s" (n int PRIMARY KEY)' % table)
    tree = start(new_tree, definition(
        postgres, table, {"batch": ONE_BATCH}, on_conflict="error",
        columns={"n": "${payload.n}"}))
    publish(tree, numbers(10) + numbers(3))
    drained(tree, 13, dlq=3)
    assert postgres.execute('SELECT count(*) FROM "%s"' % table) == [(10,)]
    assert all("23505" in row["error"] for row in dead(tree))


@pytest.mark.parametrize("copy", [False, True], ids=["arrays", "copy"])
def test_effectively_once(new_tree, postgres, table, copy):
    """The worker killed again and again: every record once."""
    postgres.execute('CREATE TABLE "%s" (id text PRIMARY KEY, n int)' % table)
    tree = start(new_tree, keyed(postgres, table, {
        "batch": {"max_records": 50, "linger_ms": 5}, "in_flight": 3},
        pool=2, use_copy=copy))
    done = threading.Event()

    def feed():
        publish(tree, numbers(3000))
        done.set()

    thread = threading.Thread(target=feed)
    thread.start()
    kills = 0
    while not done.is_set() or kills < 6:
        time.sleep(0.3)
        kills += tree.kill("worker") is not None
    thread.join()
    drained(tree, 3000)
    got = [r[0] for r in postgres.execute(
        'SELECT n FROM "%s" ORDER BY n' % table)]
    assert got == list(range(3000))


# ---- the table and the server ----------------------------------------------------------


def test_waits_for_table_and_index(new_tree, postgres, table):
    """What is missing is named; when it is there the connector goes on."""
    tree = start(new_tree, keyed(postgres, table))
    publish(tree, numbers(5))
    reason(tree, table)
    postgres.execute('CREATE TABLE "%s" (id text, n int)' % table)
    reason(tree, "unique index")
    postgres.execute('CREATE UNIQUE INDEX ON "%s" (id) WHERE n > 0' % table)
    time.sleep(1)
    assert postgres.execute('SELECT count(*) FROM "%s"' % table) == [(0,)]
    postgres.execute('ALTER TABLE "%s" DROP COLUMN n' % table)
    reason(tree, "no column n")
    postgres.execute('ALTER TABLE "%s" ADD COLUMN n int' % table)
    postgres.execute('CREATE UNIQUE INDEX ON "%s" (id)' % table)
    drained(tree, 5)


def test_table_changes(new_tree, postgres, table):
    """A new type, a column gone and back, under a running connector."""
    postgres.execute('CREATE TABLE "%s" (id text PRIMARY KEY, n int)' % table)
    tree = start(new_tree, keyed(postgres, table))
    publish(tree, numbers(5))
    drained(tree, 5)
    postgres.execute('ALTER TABLE "%s" ALTER n TYPE text' % table)
    publish(tree, numbers(5, 5))
    drained(tree, 10)
    postgres.execute('ALTER TABLE "%s" RENAME n TO m' % table)
    publish(tree, numbers(5, 10))
    reason(tree, "n")
    postgres.execute('ALTER TABLE "%s" RENAME m TO n' % table)
    drained(tree, 15)


def test_refused_login(new_tree, postgres, table):
    postgres.execute('CREATE TABLE "%s" (id text PRIMARY KEY, n int)' % table)
    tree = start(new_tree, keyed(postgres, table, password="wrong-pw"))
    publish(tree, numbers(3))
    shown = reason(tree, "password")
    assert "wrong-pw" not in json.dumps(shown)
    assert "wrong-pw" not in tree.log()
    assert tree.audit("p")["p"]["dlq"] == 0


def test_unknown_host(new_tree, postgres, table):
    tree = start(new_tree, keyed(postgres, table, host="no.such.invalid"))
    publish(tree, numbers(1))
    reason(tree, "no.such.invalid")


def test_host_name(new_tree, postgres, table):
    postgres.execute('CREATE TABLE "%s" (id text PRIMARY KEY, n int)' % table)
    tree = start(new_tree, keyed(postgres, table, host="localhost"))
    publish(tree, numbers(3))
    drained(tree, 3)


def test_locked_table(new_tree, postgres, table):
    """A time-out while the probe's lock is not granted either is the
    target's: nothing is dead, and nothing is there twice after."""
    postgres.execute('CREATE TABLE "%s" (id text PRIMARY KEY, n int)' % table)
    tree = start(new_tree, keyed(postgres, table, timeout_ms=500))
    publish(tree, numbers(3))
    drained(tree, 3)
    conn = postgres.connect()
    conn.autocommit = False
    conn.cursor().execute('LOCK TABLE "%s"' % table)
    publish(tree, numbers(3, 3))
    reason(tree, "no answer")
    time.sleep(2.5)
    assert tree.audit("p")["p"]["dlq"] == 0
    conn.rollback()
    conn.close()
    drained(tree, 6)
    assert postgres.execute('SELECT count(*), count(DISTINCT n) FROM "%s"'
                            % table) == [(6, 6)]


def test_backends_terminated(new_tree, postgres, table):
    postgres.execute('CREATE TABLE "%s" (id text PRIMARY KEY, n int)' % table)
    tree = start(new_tree, keyed(postgres, table, {
        "batch": {"max_records": 20, "linger_ms": 1}}))
    stop = threading.Event()

    def terminate():
        while not stop.is_set():
            postgres.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'bulkhead/p'")
            time.sleep(0.05)

    thread = threading.Thread(target=terminate)
    thread.start()
    publish(tree, numbers(500))
    time.sleep(1)
    stop.set()
    thread.join()
    drained(tree, 500)
    assert postgres.execute('SELECT count(*), count(DISTINCT n) FROM "%s"'
                            % table) == [(500, 500)]


def test_order_of_a_key(new_tree, postgres, table):
    """Rows of a key are stored in log order, over several connections."""
    postgres.execute('CREATE TABLE "%s" (id text PRIMARY KEY, topic text, '
                     "n int, seq bigserial)" % table)
    tree = start(new_tree, keyed(postgres, table, {
        "batch": {"max_records": 7, "linger_ms": 1}, "in_flight": 4}, pool=4,
        columns={"id": "${id}", "topic": "${topic}", "n": "${payload.n}"}))
    publish(tree, [("t/%d" % (n % 3), json.dumps({"n": n}))
                   for n in range(600)])
    drained(tree, 600)
    for key in range(3):
        got = [r[0] for r in postgres.execute(
            'SELECT n FROM "%s" WHERE topic = %%s ORDER BY seq' % table,
            ("t/%d" % key,))]
        assert got == list(range(key, 600, 3))


def test_sslmode(new_tree, postgres, table):
    """The server speaks no TLS: require is not met, prefer is."""
    postgres.execute('CREATE TABLE "%s" (id text PRIMARY KEY, n int)' % table)
    tree = new_tree({"streams": STREAMS, "connectors": {
        "p": keyed(postgres, table, sslmode="prefer"),
        "q": keyed(postgres, table, tls={"enable": True, "verify": False}),
    }}).start()
    publish(tree, numbers(2))
    drained(tree, 2)

    def told():
        shown = tree.show("q")
        assert shown["reason"] and "SSL" in shown["reason"], str(shown)
        return True
    bulkhead.wait_for(told, what="q to miss TLS")


# ---- definitions -------------------------------------------------------------------


@pytest.mark.parametrize("change, words", [
    ({"on_conflict": "ignore", "key_columns": ["n"]}, ["on_conflict"]),
    ({"key_columns": None}, ["on_conflict"]),
    ({"key_columns": None, "on_conflict": "update"}, ["key_columns"]),
    ({"key_columns": ["id", "x"]}, ["key_columns", "x"]),
    ({"table": None}, ["table"]),
    ({"table": "a..b"}, ["table"]),
    ({"sql": "SELECT ${id}"}, ["table", "columns"]),
    ({"table": None, "columns": None, "key_columns": None,
      "sql": "SELECT '${id}'"}, ["sql", "quotes"]),
    ({"table": None, "columns": None, "key_columns": None,
      "sql": "SELECT ${nosuch}"}, ["sql", "nosuch"]),
    ({"pool": 33}, ["pool", "32"]),
    ({"tls": {"enable": True}, "sslmode": "prefer"}, ["sslmode"]),
    ({"tls": {"enable": True, "cert_file": "/x"}}, ["cert_file"]),
    ({"columns": {"id": "${id}", "n": "${payload."}}, ["columns.n"]),
])
def test_definitions(tmp_path, change, words):
    config = {"host": "h", "database": "d", "username": "u", "password": "p",
              "table": "t", "key_columns": ["id"],
              "columns": {"id": "${id}", "n": "${payload.n}"}, **change}
    config = {k: v for k, v in config.items() if v is not None}
    file = tmp_path / "b.json"
    file.write_text(json.dumps({"streams": STREAMS, "connectors": {"p": {
        "type": "postgres", "stream": "t", "config": config}}}))
    status, out, err = bulkhead.command("check", str(file))
    assert status == 2, out + err
    for word in words:
        assert word in out + err, out + err


def test_connector_test(new_tree, postgres, table, tmp_path):
    postgres.execute('CREATE TABLE "%s" (id text PRIMARY KEY, n int)' % table)
    tree = new_tree({"streams": STREAMS}).start()

    def run(name=table, **change):
        file = tmp_path / "p.json"
        file.write_text(json.dumps({"name": "p", **keyed(postgres, name,
                                                         **change)}))
        return bulkhead.command("--socket", tree.socket, "connector", "test",
                                str(file))
    status, out, err = run()
    assert status == 0, err
    assert "PostgreSQL 15" in out and "effectively once" in out, out
    status, out, err = run("nosuch")
    assert status == 1 and "nosuch" in out + err
    status, out, err = run(password="wrong")
    assert status == 1 and "password" in out + err
    assert postgres.execute('SELECT count(*) FROM "%s"' % table) == [(0,)]
