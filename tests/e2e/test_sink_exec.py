"""type: exec against the example command, and against commands that do
everything wrong that can be done on descriptor 3."""

import collections
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest

import bulkhead
import sinks
from mqtt_raw import Conn, user_property

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
EXAMPLES = os.path.join(ROOT, "deploy", "examples")
ONE_BATCH = {"max_records": 500, "linger_ms": 400}


class Place:
    """A folder that the command, who is another user where the tests run as
    root, reads and writes: not below pytest's own, which any other run of
    pytest closes to it."""

    def __init__(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="bulkhead-exec-"))
        os.chmod(folder, 0o777)
        self.folder = folder
        shutil.copy(os.path.join(EXAMPLES, "exec_sink.py"), folder)
        shutil.copy(os.path.join(ROOT, "tests", "e2e", "exec_command.py"),
                    folder)
        self.path = folder / "out.jsonl"
        self.once = folder / "once"

    def config(self, program="exec_sink.py", settings=None, **config):
        return {"command": [sys.executable, "-B", str(self.folder / program)],
                "settings": {"path": str(self.path), **(settings or {})},
                "timeout_ms": 10000 * bulkhead.SLOW, **config}

    def faulty(self, fault, **config):
        return self.config("exec_command.py", {"fault": fault}, **config)

    def lines(self):
        """What was written; the last line may be cut by a kill."""
        out = []
        for line in self.path.read_text().splitlines():
            try:
                out.append(json.loads(line))
            except ValueError:
                pass
        return out

    def check(self, count, leave_out=()):
        """Every record is there; those of a topic first came in order."""
        first = collections.defaultdict(list)
        seen = set()
        for line in self.lines():
            n = json.loads(line["payload"])["n"]
            if n not in seen:
                first[line["topic"]].append(n)
            seen.add(n)
        assert seen == set(range(count)) - set(leave_out)
        for topic, order in first.items():
            assert order == sorted(order), topic


@pytest.fixture
def place():
    made = Place()
    yield made
    shutil.rmtree(made.folder, ignore_errors=True)


def commands(tree):
    """Process ids of what the worker has started."""
    found = []
    for worker in tree.pids("worker"):
        for task in os.listdir("/proc/%d/task" % worker):
            with open("/proc/%d/task/%s/children" % (worker, task)) as f:
                found += [int(pid) for pid in f.read().split()]
    return found


def kill_command(tree):
    for pid in commands(tree):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def conformance(*command, settings=()):
    done = subprocess.run(
        [sys.executable, os.path.join(EXAMPLES, "exec_check.py"),
         "--timeout", str(3 * bulkhead.SLOW),
         *("--set=%s=%s" % pair for pair in settings), *command],
        capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout


def test_conformance(place):
    status, out = conformance(sys.executable,
                              str(place.folder / "exec_sink.py"),
                              settings=[("path", place.path)])
    assert status == 0, out
    assert len(place.lines()) > 60


@pytest.mark.parametrize("fault", ["noise", "batch", "twice", "outcome",
                                   "hello", "half"])
def test_conformance_of_a_wrong_one(place, fault):
    status, out = conformance(
        sys.executable, str(place.folder / "exec_command.py"),
        settings=[("path", place.path), ("fault", fault),
                  ("once", place.once)])
    assert status == 1 and "not kept" in out


def test_delivery(new_tree, place):
    """Everything arrives in order; the command has what it needs and no
    more; nothing of it is left at the end."""
    tree = sinks.start(new_tree, sinks.definition("exec", place.config(
        settings={"token": "s3cret-word"}, env={"COLOUR": "blue"})))
    sinks.publish(tree, sinks.numbers(500) + sinks.numbers(500, 500, "t/b"))
    sinks.drained(tree, 1000)
    place.check(1000)
    assert len(place.lines()) == 1000
    pid, = commands(tree)
    proc = "/proc/%d/" % pid
    open_files = {n: os.readlink(proc + "fd/" + n)
                  for n in os.listdir(proc + "fd")}
    assert open_files.pop("0") == "/dev/null"
    assert open_files.pop("1") == open_files.pop("2")
    assert open_files.pop("3").startswith("socket:")
    assert list(open_files.values()) == [str(place.path)]
    assert os.readlink(proc + "cwd") == "/"
    assert os.getpgid(pid) == pid
    with open(proc + "status") as f:
        assert "NoNewPrivs:\t1" in f.read()
    with open(proc + "environ") as f:
        environment = f.read().split("\0")
    assert "COLOUR=blue" in environment
    with open(proc + "cmdline") as f:
        assert "s3cret" not in f.read() + str(environment)
    assert "s3cret" not in json.dumps(tree.show("c"))
    assert tree.stop() == 0
    assert not os.path.exists(proc)
    assert "s3cret" not in tree.log()


def test_record(new_tree, place):
    """Properties, and a payload that the command refuses."""
    tree = sinks.start(new_tree, sinks.definition("exec", place.config()))
    conn = Conn(tree.mqtt_port, "dev", version=5)
    conn.publish("t/1", b'{"n": 0}', qos=1, props=user_property("a", "1"))
    conn.publish("t/1", b"\xff\x00", qos=1)
    conn.publish("t/1", b"", qos=1)
    conn.disconnect()
    sinks.drained(tree, 3, dlq=1)
    first, empty = place.lines()
    assert first["topic"] == "t/1" and first["id"].startswith("t.")
    assert first["id"].endswith("-0") and empty["payload"] == ""
    assert "not UTF-8" in sinks.dead(tree)[0]["error"]


@pytest.mark.parametrize("fault", [
    "noise", "empty", "half", "talk", "no msgpack", "no array", "name",
    "batch", "index", "twice", "outcome", "reason", "hello", "probed",
    "closed"])
def test_garbage(new_tree, place, fault):
    """It ends the command, not the worker, and costs no record."""
    tree = sinks.start(new_tree, sinks.definition("exec", place.config(
        "exec_command.py", {"fault": fault, "once": str(place.once)},
        timeout_ms=3000 * bulkhead.SLOW), batch=ONE_BATCH))
    worker = tree.pids("worker")
    sinks.publish(tree, sinks.numbers(50))
    sinks.drained(tree, 50)
    assert place.once.exists()
    seen = {json.loads(line["payload"])["n"] for line in place.lines()}
    # What it said to have is what it is held to.
    assert seen >= set(range(1, 50))
    assert tree.pids("worker") == worker and not tree.crashes()


@pytest.mark.parametrize("fault, word", [("crash", "signal 11"),
                                         ("hang", "timed out")])
def test_poison(new_tree, place, fault, word):
    """One record that ends the command: it alone is dead."""
    tree = sinks.start(new_tree, sinks.definition("exec", place.faulty(
        fault, timeout_ms=1500 * bulkhead.SLOW), batch=ONE_BATCH))
    messages = sinks.numbers(20)
    messages[7] = ("t/p", "poison")
    sinks.publish(tree, messages)
    sinks.drained(tree, 20, dlq=1, timeout=90)
    place.check(20, leave_out=[7])
    row, = sinks.dead(tree)
    assert row["topic"] == "t/p" and word in row["error"]


def test_no_program(new_tree, place):
    """It waits, says why, and goes on when the program is there."""
    program = place.folder / "later"
    tree = sinks.start(new_tree, sinks.definition("exec", place.config(
        command=[str(program)])))
    sinks.publish(tree, sinks.numbers(5))
    sinks.reason(tree, "No such file")
    program.write_text("#!/bin/sh\nexit 7\n")
    program.chmod(0o755)
    sinks.reason(tree, "status 7")
    fresh = place.folder / "fresh"
    fresh.write_text("#!/bin/sh\nexec %s -B %s/exec_sink.py\n"
                     % (sys.executable, place.folder))
    fresh.chmod(0o755)
    os.replace(fresh, program)
    sinks.drained(tree, 5)
    place.check(5)


def test_cannot_open(new_tree, place):
    """Its reason is ours."""
    tree = sinks.start(new_tree, sinks.definition("exec", place.config(
        settings={"path": str(place.folder / "none" / "x")})))
    sinks.publish(tree, sinks.numbers(5))
    sinks.reason(tree, "FileNotFoundError")
    assert tree.audit("c")["c"]["dlq"] == 0


def test_stopped(new_tree, place):
    """A command that does not move is killed; its records are not lost."""
    tree = sinks.start(new_tree, sinks.definition("exec", place.config(
        timeout_ms=1500 * bulkhead.SLOW)))
    sinks.publish(tree, sinks.numbers(50))
    sinks.drained(tree, 50)
    pid, = commands(tree)
    os.kill(pid, signal.SIGSTOP)
    sinks.publish(tree, sinks.numbers(50, 50))
    sinks.drained(tree, 100)
    place.check(100)
    assert pid not in commands(tree)


def test_killed_worker(new_tree, place):
    """The command does not outlive the worker."""
    tree = sinks.start(new_tree, sinks.definition("exec", place.config()))
    sinks.publish(tree, sinks.numbers(5))
    sinks.drained(tree, 5)
    pid, = commands(tree)
    tree.kill_and_wait("worker")
    bulkhead.wait_for(lambda: not os.path.exists("/proc/%d" % pid)
                      or bulkhead.is_zombie(pid), what="its end")


def test_kills(new_tree, place):
    """kill -9 of the command and of the worker under load: the audit is
    closed, nothing is dead, nothing is missing."""
    tree = sinks.start(new_tree, sinks.definition(
        "exec", place.config(), in_flight=4,
        batch={"max_records": 50, "linger_ms": 5}))
    sinks.under_kills(tree, 20000, [
        ("command", lambda: kill_command(tree)),
        ("command", lambda: kill_command(tree)),
        ("worker", lambda: tree.kill("worker"))])
    place.check(20000)


def test_definition(tmp_path):
    status, out = sinks.check(tmp_path, "exec", {})
    assert status != 0 and "command" in out
    status, out = sinks.check(tmp_path, "exec", {
        "command": [""], "env": {"A=B": "c"}, "timeout_ms": 5})
    assert status != 0
    for word in ("names no program", "A=B", "timeout_ms"):
        assert word in out, out


def test_connector_test(new_tree, place, tmp_path):
    """It starts, opens and probes; no record is sent."""
    tree = new_tree({"streams": sinks.STREAMS}).start()
    status, out = sinks.connector_test(tree, tmp_path, "exec", place.config())
    assert status == 0 and "exec_sink.py" in out, out
    assert not place.lines()
    status, out = sinks.connector_test(tree, tmp_path, "exec", place.config(
        command=["/no/such/program"]))
    assert status == 1 and "No such file" in out, out
