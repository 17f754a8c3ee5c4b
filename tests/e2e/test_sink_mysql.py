"""The mysql type against Debian's MariaDB."""

import json
import os
import subprocess
import threading
import time

import pytest

import batch_sinks as sinks
import bulkhead
import data_servers
import servers
from batch_sinks import drained, publish, start


@pytest.fixture(scope="module")
def mysql():
    server = data_servers.Mariadb()
    # For the tests of TLS: a certificate for the name that they use.
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
         "-keyout", server.folder + "/key.pem", "-out",
         server.folder + "/cert.pem", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost"], check=True,
        capture_output=True)
    server.more = ["--ssl-cert=" + server.folder + "/cert.pem",
                   "--ssl-key=" + server.folder + "/key.pem"]
    os.chmod(server.folder, 0o711)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def table(mysql, request):
    name = "t%d" % (abs(hash(request.node.nodeid)) % 10**8)
    yield name
    mysql.run("DROP TABLE IF EXISTS `%s`" % name, "test")


def definition(mysql, name, common=None, **config):
    config = {"table": name, "key_columns": ["id"], "columns": {
        "id": "${id}", "n": "${payload.n}"}, **config}
    config = {k: v for k, v in config.items() if v is not None}
    return sinks.definition("mysql", mysql.config(**config), common)


def make(mysql, table, more="", n="int"):
    mysql.run("CREATE TABLE `%s` (id varchar(200) CHARACTER SET ascii "
              "PRIMARY KEY, n %s%s) ENGINE=InnoDB" % (table, n, more), "test")


def got(mysql, table):
    return [int(r[0]) for r in mysql.rows("SELECT n FROM `%s` ORDER BY n"
                                          % table)]


def test_types(new_tree, mysql, table):
    make(mysql, table, ", topic text, raw blob, doc json, at datetime(3), "
         "x double, ok bool, `a``b` text, none int", n="bigint")
    tree = start(new_tree, definition(mysql, table, columns={
        "id": "${id}", "n": "${payload.n}", "topic": "${topic}",
        "raw": "${headers.no|\x01}", "doc": "${payload}",
        "at": "${timestamp_ms}", "x": "${payload.x}", "ok": "${payload.ok}",
        "a`b": "it's ${payload.t}\\", "none": "${payload.none}"}))
    payload = {"n": 2**53 + 1, "x": 1.5, "ok": True, "t": "'\"\\\u00e9\U0001f600"}
    publish(tree, [("t/\u00e9", json.dumps(payload))])
    drained(tree, 1)
    row, = mysql.rows("SELECT n, topic, hex(raw), doc, unix_timestamp(at), x,"
                      " ok, hex(`a``b`), none FROM `%s`" % table)
    assert int(row[0]) == 2**53 + 1 and row[1] == "t/\u00e9"
    assert row[2] == "01" and json.loads(row[3]) == payload
    assert abs(float(row[4]) - time.time()) < 60
    assert row[5:7] == ("1.5", "1") and row[8] == "NULL"
    assert bytes.fromhex(row[7]).decode() == "it's " + payload["t"] + "\\"


EVIL = ["'); DROP TABLE x; -- ", "\\", "\\'", "'", '"', "`", "?", "$1",
        "\x00", "%s", "\n", "/*", "#"]


@pytest.mark.parametrize("way", ["table", "sql"])
def test_a_payload_never_changes_a_command(new_tree, mysql, table, way):
    mysql.run("CREATE TABLE `%s` (id varchar(200) PRIMARY KEY, v blob)"
              % table, "test")
    columns = {"id": "${id}", "v": "${payload}"}
    if way == "table":
        tree = start(new_tree, definition(mysql, table, columns=columns))
    else:
        tree = start(new_tree, definition(
            mysql, None, columns=None, key_columns=None,
            sql="INSERT IGNORE INTO `%s` VALUES (${id}, ${payload})"
            % table))
    messages = [m.encode() for m in EVIL] + [bytes(range(256)), b"\xff'"]
    publish(tree, [("t/a", m) for m in messages])
    drained(tree, len(messages))
    rows = mysql.rows("SELECT hex(v) FROM `%s`" % table)
    assert sorted(bytes.fromhex(r[0]) for r in rows) == sorted(messages)


@pytest.mark.parametrize("way", ["table", "sql"])
def test_refused_rows(new_tree, mysql, table, way):
    """Each bad row alone is dead, with its reason; no value is cut."""
    make(mysql, table, ", s varchar(3) NOT NULL, CHECK (n <> 13)")
    columns = {"id": "${id}", "n": "${payload.n}", "s": "${payload.s}"}
    config = {"columns": columns} if way == "table" else {
        "table": None, "columns": None, "key_columns": None,
        "sql": "INSERT INTO `%s` (id, n, s) VALUES (${id}, ${payload.n}, "
               "${payload.s})" % table}
    tree = start(new_tree, definition(mysql, table, {
        "batch": sinks.ONE_BATCH}, **config))
    messages = [{"n": n, "s": "ok"} for n in range(100)]
    messages[13]["n"] = 13
    messages[40]["n"] = "forty"
    messages[41]["s"] = "too long"
    messages[99]["n"] = 2**40
    del messages[0]["s"]
    publish(tree, [("t/a", json.dumps(m)) for m in messages]
            + [("t/a", "no json")])
    drained(tree, 101, dlq=6)
    assert got(mysql, table) == [n for n in range(1, 99)
                                 if n not in (13, 40, 41)]
    errors = " ".join(row["error"] for row in sinks.dead(tree))
    for code in ("4025", "1366", "1406", "1264", "1048"):
        assert code in errors, errors


@pytest.mark.parametrize("conflict", ["error", "ignore", "update"])
def test_conflicts(new_tree, mysql, table, conflict):
    mysql.run("CREATE TABLE `%s` (k varchar(9), id varchar(200), n int, "
              "PRIMARY KEY (k))" % table, "test")
    columns = {"k": "${topic[1]}", "id": "${id}", "n": "${payload.n}"}
    keys = ["k"]
    if conflict == "ignore":
        mysql.run("ALTER TABLE `%s` DROP PRIMARY KEY, ADD UNIQUE (id, k)"
                  % table, "test")
        keys = ["k", "id"]
    tree = start(new_tree, definition(
        mysql, table, {"batch": sinks.ONE_BATCH}, columns=columns,
        key_columns=keys, on_conflict=conflict))
    publish(tree, [("t/%d" % (n % 3), json.dumps({"n": n}))
                   for n in range(30)])
    drained(tree, 30, dlq=27 if conflict == "error" else 0)
    rows = got(mysql, table)
    assert rows == {"error": [0, 1, 2], "update": [27, 28, 29],
                    "ignore": list(range(30))}[conflict]


def test_storm(new_tree, mysql, table):
    """Effectively once: worker and server killed, each row there once."""
    make(mysql, table)
    tree = start(new_tree, definition(mysql, table, {
        "batch": {"max_records": 1000, "linger_ms": 5}, "in_flight": 2},
        pool=2))

    def outage():
        mysql.kill()
        time.sleep(0.5)
        mysql.start()

    sinks.storm(tree, 20000, outage)
    assert got(mysql, table) == list(range(20000))


def test_connections_cut(new_tree, mysql, table):
    make(mysql, table)
    tree = start(new_tree, definition(mysql, table, {
        "batch": {"max_records": 20, "linger_ms": 1}}))
    stop = threading.Event()

    def cut():
        while not stop.is_set():
            mysql.run("SET @s = (SELECT group_concat('KILL ', id SEPARATOR "
                      "';') FROM information_schema.processlist WHERE user ="
                      " 'test' LIMIT 1); EXECUTE IMMEDIATE "
                      "if(@s IS NULL OR instr(@s, ';'), 'SELECT 1', @s)")
            time.sleep(0.1)

    thread = threading.Thread(target=cut)
    thread.start()
    publish(tree, sinks.numbers(500))
    time.sleep(1)
    stop.set()
    thread.join()
    drained(tree, 500)
    assert got(mysql, table) == list(range(500))


def test_server_hangs_for_a_while(new_tree, mysql, table):
    make(mysql, table)
    tree = start(new_tree, definition(mysql, table, timeout_ms=1000))
    publish(tree, sinks.numbers(5))
    drained(tree, 5)
    mysql.pause()
    try:
        publish(tree, sinks.numbers(5, 5))
        sinks.reason(tree)
        time.sleep(2)
        assert tree.audit("s")["s"]["dlq"] == 0
    finally:
        mysql.resume()
    drained(tree, 10)
    assert got(mysql, table) == list(range(10))


def test_hung_server(new_tree, mysql):
    server = servers.BadServer("hang")
    try:
        tree = start(new_tree, definition(mysql, "t", port=server.port,
                                          timeout_ms=500))
        publish(tree, sinks.numbers(5))
        sinks.reason(tree)
        begin = time.monotonic()
        assert tree.stop() == 0
        assert time.monotonic() - begin < 10 * bulkhead.SLOW
    finally:
        server.close()


def test_waits_for_table_and_index(new_tree, mysql, table):
    tree = start(new_tree, definition(mysql, table))
    publish(tree, sinks.numbers(3))
    sinks.reason(tree, table)
    mysql.run("CREATE TABLE `%s` (id varchar(200), n int)" % table, "test")
    sinks.reason(tree, "unique index")
    mysql.run("ALTER TABLE `%s` ADD UNIQUE (id)" % table, "test")
    drained(tree, 3)


def test_login_and_test(new_tree, mysql, table, tmp_path):
    make(mysql, table)
    tree = start(new_tree, definition(mysql, table, host="localhost",
                                      password="wrong-pw"))
    publish(tree, sinks.numbers(3))
    shown = sinks.reason(tree, "1045")
    assert "wrong-pw" not in json.dumps(shown) + tree.log()
    status, text = sinks.run_test(tree, tmp_path, definition(mysql, table))
    assert status == 0 and "MariaDB" in text, text
    assert "effectively once" in text
    status, text = sinks.run_test(tree, tmp_path, definition(
        mysql, "nosuch"))
    assert status == 1 and "nosuch" in text, text
    assert got(mysql, table) == []


def test_tls(new_tree, mysql, table, tmp_path):
    make(mysql, table)
    cert = mysql.folder + "/cert.pem"
    os.chmod(cert, 0o644)
    tree = start(new_tree, definition(
        mysql, table, host="localhost", tls={"enable": True,
                                             "ca_file": cert}))
    publish(tree, sinks.numbers(3))
    drained(tree, 3)
    status, text = sinks.run_test(tree, tmp_path, definition(
        mysql, table, tls={"enable": True, "verify": False}))
    assert status == 0 and ", encrypted" in text, text
    for change in ({"host": "127.0.0.1", "tls": {"enable": True,
                                                 "ca_file": cert}},
                   {"host": "localhost", "tls": {"enable": True}}):
        status, text = sinks.run_test(tree, tmp_path, definition(
            mysql, table, **change))
        assert status == 1, text


@pytest.mark.parametrize("change, words", [
    ({"table": None}, ["table", "required"]),
    ({"columns": None}, ["columns", "required"]),
    ({"key_columns": ["x"]}, ["key_columns", "x"]),
    ({"key_columns": None}, ["on_conflict"]),
    ({"key_columns": ["n"]}, ["on_conflict"]),
    ({"sql": "SELECT ${id}"}, ["table", "columns"]),
    ({"table": None, "columns": None, "key_columns": None,
      "sql": "SELECT '${id}'"}, ["sql", "quotes"]),
    ({"pool": 33}, ["pool", "32"]),
    ({"tls": {"ca_file": "/x"}}, ["ca_file"]),
])
def test_definitions(tmp_path, change, words):
    config = {"host": "h", "database": "d", "username": "u", "password": "p",
              "table": "t", "key_columns": ["id"],
              "columns": {"id": "${id}", "n": "${payload.n}"}, **change}
    config = {k: v for k, v in config.items() if v is not None}
    status, text = sinks.check(tmp_path, sinks.definition("mysql", config))
    assert status == 2, text
    for word in words:
        assert word in text, text
