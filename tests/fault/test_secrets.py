"""A secret is seen by its worker alone: not by ps, in no environment, log,
API answer, crash report or file that others may read."""

import json
import os
import re
import signal
import stat
import time

import bulkhead
from mqtt_raw import Conn

SECRET = "hunter2-xyzzy-%d" % os.getpid()


def everything_readable(tree):
    """(name, text) of all that must not hold the secret."""
    for pid in [tree.process.pid, *tree.children()]:
        for name in ("cmdline", "environ", "comm"):
            with open("/proc/%d/%s" % (pid, name), "rb") as f:
                yield "/proc/%d/%s" % (pid, name), f.read()
    yield "the log", tree.log().encode()
    for args in (("status", "--json"), ("connector", "ls", "--json"),
                 ("connector", "show", "w", "--json"),
                 ("connector", "show", "w"), ("crash", "ls", "--json"),
                 ("audit", "--json"), ("dlq", "ls", "w", "--json")):
        yield " ".join(args), tree.cli(*args, check=False).encode()
    for crash in tree.json("crash", "ls") or []:
        if isinstance(crash, dict):
            yield "crash", tree.cli("crash", "show", crash["id"],
                                    check=False).encode()
    for folder, _, names in os.walk(tree.data):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.isfile(path):
                continue
            mode = stat.S_IMODE(os.stat(path).st_mode)
            if path.endswith(".yaml"):
                assert mode == 0o600, "%s: %o" % (path, mode)
                continue
            with open(path, "rb") as f:
                yield path, f.read()


def check(tree):
    for name, data in everything_readable(tree):
        assert SECRET.encode() not in data, "the secret stands in " + name


def definition(http_target, token):
    return {"type": "webhook", "stream": "t", "start": "earliest",
            "config": {"url": http_target.url, "auth_type": "bearer",
                       "bearer_token": token}}


def test_secrets(new_tree, tmp_path, http_target):
    path = tmp_path / "token"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    tree = new_tree({
        "streams": {"t": {"topics": ["t/#"]}},
        "log": {"level": "debug"},
        "connectors": {
            "w": definition(http_target, "${file:%s}" % path),
            "e": definition(http_target, "${env:BH_TEST_TOKEN}")}},
        env={"BH_TEST_TOKEN": SECRET})
    tree.start()
    Conn(tree.mqtt_port, "c").publish("t/a", "1", qos=1)
    for name in ("w", "e"):
        tree.wait_drained(name)
    assert {r["headers"]["authorization"] for r in http_target.taken} == {
        "Bearer " + SECRET}
    # The tree's own environment held it to begin with: the children's not.
    for pid in tree.children():
        with open("/proc/%d/environ" % pid, "rb") as f:
            assert SECRET.encode() not in f.read(), tree.children()[pid]
    shown = tree.show("w")
    masked = json.dumps(shown["definition"])
    assert SECRET not in masked and "***" in masked


def test_secrets_in_crash_reports(new_tree, http_target):
    """Given to the API in clear, then the worker crashes of its own."""
    tree = new_tree({"streams": {"t": {"topics": ["t/#"]}},
                     "log": {"level": "debug"}}).start()
    tree.create_connector("w", **definition(http_target, SECRET))
    Conn(tree.mqtt_port, "c").publish("t/a", "1", qos=1)
    tree.wait_drained("w")
    assert http_target.taken[0]["headers"]["authorization"] == (
        "Bearer " + SECRET)
    before = tree.pids("connector.w")[0]
    os.kill(before, signal.SIGSEGV)
    bulkhead.wait_for(lambda: tree.pids("connector.w") not in ([], [before]),
                      what="a new worker")
    crashes = bulkhead.wait_for(tree.crashes, what="a crash report")
    assert len(crashes) == 1
    time.sleep(0.2)
    check(tree)
    shown = tree.cli("crash", "show", crashes[0]["id"])
    assert "signal: 11" in shown or "SIGSEGV" in shown
    # The definition survives a restart of everything, still masked.
    os.remove(os.path.join(tree.folder, "w.connector.yaml"))
    assert tree.stop() == 0
    tree.start()
    Conn(tree.mqtt_port, "c").publish("t/a", "2", qos=1)
    tree.wait_drained("w")
    assert len(http_target.taken) == 2
    check(tree)


def test_no_descriptor_is_inherited(new_tree):
    """A child has the standard ones, descriptor 3 and what came by links."""
    tree = new_tree({"streams": {"t": {"topics": ["t/#"]}}}).start()
    for pid, name in tree.children().items():
        targets = []
        for fd in os.listdir("/proc/%d/fd" % pid):
            try:
                targets.append(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
            except OSError:
                continue
        strange = [t for t in targets if tree.config_file in t
                   or re.search(r"pytest|\.pid$", t) and "data" not in t
                   and "bulkhead.log" not in t]
        assert not strange, "%s: %s" % (name, strange)


def test_privileges(new_tree):
    """no_new_privs everywhere; as root, one uid per kind and no capability
    but for what a file sink needs."""
    tree = new_tree({"streams": {"t": {"topics": ["t/#"]}}}).start()
    uids = {}
    for pid, name in tree.children().items():
        with open("/proc/%d/status" % pid) as f:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in f
                          if ":\t" in line)
        assert status["NoNewPrivs"] == "1", name
        if os.getuid() == 0:
            uid = status["Uid"].split()
            assert len(set(uid)) == 1 and uid[0] != "0", (name, uid)
            uids.setdefault(uid[0], set()).add(name)
            assert int(status["CapEff"], 16) & ~2 == 0, name
    assert all(len(names) == 1 for names in uids.values()), uids
