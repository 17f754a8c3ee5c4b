"""Who may come in, and what they may do: users, access rules, bans; with
mosquitto's clients and paho."""

import os
import queue
import signal
import subprocess
import time
import urllib.request

import paho.mqtt.client as paho
import pytest

import bulkhead
from bulkhead import wait_for
from mqtt_raw import Conn, PUBACK, PUBREC, connect_packet, publish_packet

RULES = """\
# what the tests need
deny user mallory both #
allow user alice both alice/#
allow user bob publish shared/%u/up
allow all subscribe shared/+/down
allow client c1 both byclient/%c
allow user alice subscribe $SYS/#
"""


def mosquitto_hash(folder, name, password):
    path = os.path.join(str(folder), "passwd.tmp")
    subprocess.run(["mosquitto_passwd", "-b", "-c", path, name, password],
                   check=True, capture_output=True)
    with open(path) as f:
        return f.read().strip()


class Client:
    """paho, with what came as queues."""

    def __init__(self, tree, client_id="", user=None, password=None,
                 version=paho.MQTTv5, will=None, clean=True):
        kw = {} if version == paho.MQTTv5 else {"clean_session": clean}
        self.c = paho.Client(client_id, protocol=version, **kw)
        if user is not None:
            self.c.username_pw_set(user, password)
        if will is not None:
            self.c.will_set(will, "w")
        self.connects, self.messages = queue.Queue(), queue.Queue()
        self.acks, self.subacks = queue.Queue(), queue.Queue()
        self.ends = queue.Queue()
        v5 = version == paho.MQTTv5
        self.c.on_connect = lambda c, u, f, rc, *p: self.connects.put(
            rc.value if v5 else rc)
        self.c.on_message = lambda c, u, m: self.messages.put(m)
        self.c.on_publish = lambda c, u, mid: self.acks.put(mid)
        self.c.on_subscribe = lambda c, u, mid, codes, *p: self.subacks.put(
            [x.value if v5 else x for x in codes])
        self.c.on_disconnect = lambda c, u, rc, *p: self.ends.put(rc)
        self.c.connect("127.0.0.1", tree.mqtt_port, 30)
        self.c.loop_start()

    def reason(self, timeout=10):
        return self.connects.get(timeout=timeout * bulkhead.SLOW)

    def subscribe(self, *filters):
        self.c.subscribe([(f, 1) for f in filters])
        return self.subacks.get(timeout=10 * bulkhead.SLOW)

    def publish(self, topic, payload="x", **kw):
        self.c.publish(topic, payload, qos=1, **kw)
        self.acks.get(timeout=10 * bulkhead.SLOW)

    def close(self):
        self.c.disconnect()
        self.c.loop_stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def reason_of(tree, *args, **kw):
    with Client(tree, *args, **kw) as c:
        return c.reason()


def receives(client, timeout=0.7):
    try:
        return client.messages.get(timeout=timeout).topic
    except queue.Empty:
        return None


def write_files(folder, users, rules):
    with open(os.path.join(str(folder), "users"), "w") as f:
        f.write("\n".join(users) + "\n")
    with open(os.path.join(str(folder), "acl"), "w") as f:
        f.write(rules)


def make_tree(folder, **auth):
    users = [mosquitto_hash(folder, n, n + "-pw")
             for n in ("alice", "bob", "mallory")]
    write_files(folder, users, RULES)
    return bulkhead.Tree(folder, {"auth": {
        "users_file": os.path.join(str(folder), "users"),
        "acl_file": os.path.join(str(folder), "acl"), **auth}})


def cli(tree, *args, stdin=None, fails=False):
    status, out, err = bulkhead.command(
        "--socket", tree.socket, *args, stdin=stdin)
    assert (status != 0) == fails, (status, out, err)
    return out + err


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    tree = make_tree(tmp_path_factory.mktemp("auth"))
    try:
        tree.start()
        yield tree
        assert not tree.crashes()
        log = tree.log()
        assert "-pw" not in log and "$7$" not in log
        assert tree.stop() == 0
    finally:
        tree.kill_all()


@pytest.mark.sanitize
def test_logins(broker):
    assert reason_of(broker, user="alice", password="alice-pw") == 0
    assert reason_of(broker, user="alice", password="wrong") == 0x86
    assert reason_of(broker, user="nobody", password="x") == 0x86
    assert reason_of(broker, user="alice") == 0x86
    assert reason_of(broker) == 0x87
    v3 = paho.MQTTv311
    assert reason_of(broker, user="alice", password="alice-pw", version=v3) == 0
    assert reason_of(broker, user="alice", password="no", version=v3) == 4
    assert reason_of(broker, version=v3) == 5


def test_mosquitto_clients(broker):
    def pub(*args):
        return subprocess.run(
            ["mosquitto_pub", "-p", str(broker.mqtt_port), "-t", "alice/x",
             "-m", "m", "-q", "1", *args], capture_output=True, text=True,
            timeout=20)
    assert pub("-u", "alice", "-P", "alice-pw").returncode == 0
    assert pub("-u", "alice", "-P", "alice").returncode != 0
    assert pub().returncode != 0


@pytest.mark.sanitize
def test_rules(broker):
    with Client(broker, "c1", "alice", "alice-pw") as alice, \
            Client(broker, "c2", "bob", "bob-pw") as bob:
        assert alice.reason() == 0 and bob.reason() == 0
        assert alice.subscribe("alice/#", "#", "+/x", "bob/x", "shared/+/down",
                               "byclient/c1", "byclient/c2", "alice/+/y") == [
            1, 0x87, 0x87, 0x87, 1, 1, 0x87, 1]
        bob.publish("alice/x")
        assert receives(alice) is None
        alice.publish("alice/x")
        assert receives(alice) == "alice/x"
        # Once more: the outcome is remembered.
        bob.publish("alice/x")
        assert receives(alice) is None
        # The placeholder is bob's own name.
        bob.publish("shared/bob/up")
        bob.publish("shared/alice/up")
        assert bob.subscribe("shared/+/down", "shared/bob/up") == [1, 0x87]
        # A shared one reaches no further than its filter may.
        assert alice.subscribe("$share/g/bob/#", "$share/g/alice/#",
                               "$queue/alice/#", "$queue/#") == [
            0x87, 1, 1, 0x87]
    with Client(broker, "c9", "mallory", "mallory-pw") as mallory:
        assert mallory.reason() == 0
        assert mallory.subscribe("shared/+/down", "#") == [0x87, 0x87]


def test_reason_codes(broker):
    """What paho does not show: PUBACK and PUBREC of a denied message."""
    conn = Conn(broker.mqtt_port, "raw", version=5, username="bob",
                password="bob-pw")
    conn.send(publish_packet("no/1", b"x", qos=1, mid=7, version=5))
    assert conn.expect(PUBACK).body[:3] == b"\0\x07\x87"
    for _ in range(2):  # the identifier is free again
        conn.send(publish_packet("no/2", b"x", qos=2, mid=8, version=5))
        assert conn.expect(PUBREC).body[:3] == b"\0\x08\x87"
    conn.close()
    conn = Conn(broker.mqtt_port, "raw", username="bob", password="bob-pw")
    conn.send(publish_packet("no/1", b"x", qos=2, mid=9))
    assert conn.expect(PUBREC).body == b"\0\x09"
    conn.close()


def test_will_and_retained(broker):
    assert reason_of(broker, user="bob", password="bob-pw",
                  will="alice/will") == 0x87
    assert reason_of(broker, user="alice", password="alice-pw",
                  will="alice/will") == 0
    with Client(broker, user="bob", password="bob-pw") as bob:
        assert bob.reason() == 0
        bob.publish("alice/kept", retain=True)
    with Client(broker, user="alice", password="alice-pw") as alice:
        assert alice.reason() == 0
        alice.subscribe("alice/kept")
        assert receives(alice) is None


def test_storm_costs_no_hashes(broker):
    """One login hashes; the rest of a storm is remembered."""
    def counts():
        text = metrics(broker)
        return {line.split("{")[0].split()[0]:
                float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                if line.startswith("bulkhead_auth_")}
    reason_of(broker, user="alice", password="alice-pw")
    before = counts()
    for _ in range(20):
        assert reason_of(broker, user="alice", password="alice-pw") == 0
    after = counts()
    assert after["bulkhead_auth_hashes_total"] == \
        before["bulkhead_auth_hashes_total"]
    assert after["bulkhead_auth_cached_total"] == \
        before["bulkhead_auth_cached_total"] + 20


def metrics(tree):
    with urllib.request.urlopen("http://127.0.0.1:%d/metrics"
                                % tree.http_port) as answer:
        return answer.read().decode()


def process_of(tree, name):
    for p in tree.status()["processes"]:
        if p["name"] == name:
            return p
    return None


def test_death_of_the_auth_process(tmp_path):
    tree = make_tree(tmp_path)
    try:
        tree.start()
        with Client(tree, "old", "alice", "alice-pw") as alice:
            assert alice.reason() == 0
            alice.subscribe("alice/#")
            for i in range(3):
                os.kill(process_of(tree, "auth")["pid"], signal.SIGKILL)
                # Those who come meanwhile wait.
                with Client(tree, user="bob", password="bob-pw") as bob:
                    assert bob.reason() == 0
                alice.publish("alice/%d" % i)
                assert receives(alice, 5) == "alice/%d" % i
            assert alice.ends.empty()
        assert reason_of(tree, user="bob", password="no") == 0x86
        assert tree.stop() == 0
    finally:
        tree.kill_all()


def test_reload(tmp_path):
    tree = make_tree(tmp_path)
    try:
        tree.start()
        with Client(tree, "kept", "bob", "bob-pw") as bob:
            assert bob.reason() == 0
            assert bob.subscribe("shared/+/down", "new/#",
                                 "$share/g/shared/+/down") == [1, 0x87, 1]
            users = [mosquitto_hash(tmp_path, n, n + "-pw")
                     for n in ("bob", "carol")]
            write_files(tmp_path, users, "allow user bob both new/#\n"
                        "allow user carol publish #\n")
            cli(tree, "reload")
            wait_for(lambda: reason_of(tree, user="carol",
                                    password="carol-pw") == 0,
                     what="the new user")
            assert reason_of(tree, user="alice", password="alice-pw") == 0x86
            assert bob.ends.empty()
            assert bob.subscribe("new/#", "shared/+/down") == [1, 0x87]
            # What he had before and may no longer have is gone.
            with Client(tree, user="carol", password="carol-pw") as carol:
                assert carol.reason() == 0
                carol.publish("shared/x/down")
                assert receives(bob) is None
                carol.publish("new/1")
                assert receives(bob, 5) == "new/1"
            # A bad file changes nothing.
            write_files(tmp_path, ["bob:plain"], "allow bob everything\n")
            cli(tree, "reload")
            wait_for(lambda: tree.status()["state"] == "degraded",
                     what="the complaint")
            assert reason_of(tree, user="carol", password="carol-pw") == 0
            write_files(tmp_path, users, "allow all both #\n")
            cli(tree, "reload")
            wait_for(lambda: tree.status()["state"] == "healthy",
                     what="health")
        assert tree.stop() == 0
    finally:
        tree.kill_all()


@pytest.mark.sanitize
def test_commands(tmp_path):
    """From a broker that takes anybody to one that asks everybody."""
    tree = bulkhead.Tree(tmp_path)
    try:
        tree.start()
        assert process_of(tree, "auth") is None
        assert reason_of(tree) == 0
        cli(tree, "user", "add", "dora", stdin="dora-pw\n")
        wait_for(lambda: process_of(tree, "auth"), what="the auth process")
        assert "dora" in cli(tree, "user", "ls")
        assert "already" in cli(tree, "user", "add", "dora", stdin="x\n",
                                fails=True)
        wait_for(lambda: reason_of(tree) == 0x87, what="the door to be shut")
        assert reason_of(tree, user="dora", password="dora-pw") == 0
        with Client(tree, "d", "dora", "dora-pw") as dora:
            assert dora.reason() == 0
            assert dora.subscribe("d/#") == [0x87]
            cli(tree, "acl", "add", "allow", "user", "dora", "both", "d/#")
            wait_for(lambda: dora.subscribe("d/#") == [1], what="the rule")
            out = cli(tree, "acl", "explain", "dora", "d/1")
            assert "allow user dora both d/#" in out
            assert "no rule applies" in cli(tree, "acl", "explain", "dora",
                                            "e")
            cli(tree, "acl", "add", "allow", "dora", fails=True)
            # A ban ends the connection, and its end lets in again.
            cli(tree, "ban", "add", "client", "d", "--for", "1h", "--reason",
                "test")
            dora.ends.get(timeout=10)
            dora.c.loop_stop()
        assert reason_of(tree, "d", "dora", "dora-pw") == 0x8a
        assert reason_of(tree, "e", "dora", "dora-pw") == 0
        assert "test" in cli(tree, "ban", "ls")
        cli(tree, "ban", "delete", "client", "d")
        wait_for(lambda: reason_of(tree, "d", "dora", "dora-pw") == 0,
                 what="the end of the ban")
        cli(tree, "ban", "add", "address", "127.0.0.0/8", "--for", "2s")
        wait_for(lambda: reason_of(tree, "d", "dora", "dora-pw") == 0x8a)
        wait_for(lambda: reason_of(tree, "d", "dora", "dora-pw") == 0,
                 what="the ban to be over")
        # Another password: the old one is of no use, cache or not.
        cli(tree, "user", "passwd", "dora", stdin="other\n")
        assert reason_of(tree, user="dora", password="dora-pw") == 0x86
        assert reason_of(tree, user="dora", password="other") == 0
        # All of it outlives the tree.
        assert tree.stop() == 0
        tree.start()
        assert process_of(tree, "auth")["state"] == "running"
        assert reason_of(tree, user="dora", password="other") == 0
        assert reason_of(tree) == 0x87
        assert "allow user dora" in cli(tree, "acl", "ls")
        cli(tree, "user", "delete", "dora")
        assert reason_of(tree, user="dora", password="other") != 0x86
        assert "dora-pw" not in tree.log()
        assert tree.stop() == 0
    finally:
        tree.kill_all()


def test_public_listener(tmp_path):
    def check(auth):
        path = tmp_path / "c.yaml"
        path.write_text("listeners: [{protocol: mqtt, bind: '0.0.0.0:1883'}]"
                        "\n" + auth)
        return bulkhead.command("check", path)[0]
    assert check("") == 2
    assert check("auth: {required: true}\n") == 0
    assert check("auth: {users_file: /nowhere}\n") == 0
    assert check("auth: {allow_anonymous: true}\n") == 0


def test_rules_without_users(tmp_path):
    """Nobody logs in, and what no rule allows is denied all the same."""
    write_files(tmp_path, [], "allow client good both #\n"
                "allow all publish in/#\n")
    tree = bulkhead.Tree(tmp_path, {"auth": {
        "acl_file": os.path.join(str(tmp_path), "acl")}})
    try:
        tree.start()
        with Client(tree, "good") as good, Client(tree, "other") as other:
            assert good.reason() == 0 and other.reason() == 0
            assert good.subscribe("#") == [1]
            assert other.subscribe("in/#") == [0x87]
            other.publish("out/1")
            other.publish("in/1")
            assert receives(good, 5) == "in/1"
        assert tree.stop() == 0
    finally:
        tree.kill_all()


def test_flood_of_wrong_passwords(tmp_path):
    """Whoever is remembered, or on, does not wait behind guesses."""
    tree = make_tree(tmp_path)
    try:
        tree.start()
        # argon2, so that a guess costs something.
        cli(tree, "user", "add", "slow", stdin="slow-pw\n")
        cli(tree, "acl", "add", "allow", "user", "slow", "both", "slow/#")
        with Client(tree, "s", "slow", "slow-pw") as slow:
            assert slow.reason() == 0
            slow.subscribe("slow/#")
            guesses = [Conn(tree.mqtt_port, version=5, connect=False)
                       for _ in range(60)]
            for i, conn in enumerate(guesses):
                conn.send(connect_packet("g%d" % i, 5, username="slow",
                                         password="guess%d" % i))
            began = time.monotonic()
            assert reason_of(tree, "t", "slow", "slow-pw") == 0
            slow.publish("slow/1")
            assert receives(slow, 5) == "slow/1"
            assert time.monotonic() - began < 2 * bulkhead.SLOW
            for conn in guesses:
                conn.sock.close()
        assert tree.stop() == 0
    finally:
        tree.kill_all()
