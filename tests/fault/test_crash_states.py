"""Power cuts. The router's writes of a scripted run are recorded; the disk is
made as it may have been at every fsync: what was synced for certain, and
nothing, all or a random part of the rest. Recovery runs on each, and nothing
that was acknowledged by then is lost."""

import collections
import json
import os
import random
import shutil
import struct
import subprocess
import time

import pytest

import bulkhead
import klog
from mqtt_raw import Conn, Publisher

HEAD = struct.Struct("=QQIIQQ")
WRITE, TRUNCATE, ALLOCATE, SYNC, UNLINK, RENAME = range(1, 7)
Op = collections.namedtuple("Op", "started ended kind path offset data")

SHIM = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                    "record_shim.c")
CONFIG = {"streams": {"t": {"topics": ["t/#"]}}}


def recorded_build(folder):
    """A copy of the programs whose router runs under the shim."""
    build = os.path.join(folder, "build")
    for part in ("bin", "libexec"):
        shutil.copytree(os.path.join(bulkhead.BUILD, part),
                        os.path.join(build, part))
    shim = os.path.join(build, "record_shim.so")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", shim, SHIM,
                    "-ldl"], check=True)
    router = os.path.join(build, "libexec", "bulkhead", "router")
    os.rename(router, router + ".real")
    log = os.path.join(folder, "record.log")
    with open(router, "w") as f:
        f.write('#!/bin/sh\nRECORD_LOG="%s" LD_PRELOAD="%s" exec "$0.real" '
                '"$@"\n' % (log, shim))
    os.chmod(router, 0o755)
    return build, log


def operations(log):
    with open(log, "rb") as f:
        raw = f.read()
    at = 0
    found = []
    while at + HEAD.size <= len(raw):
        started, ended, kind, path_len, offset, length = HEAD.unpack_from(
            raw, at)
        at += HEAD.size
        path = raw[at:at + path_len].decode()
        at += path_len
        found.append(Op(started, ended, kind, path, offset,
                        raw[at:at + length]))
        at += length
    return found


def apply(files, op):
    """files: path -> bytearray. A cut-off file is made again empty."""
    if op.kind == UNLINK:
        files.pop(op.path, None)
        return
    if op.kind == RENAME:
        if op.path in files:
            files[op.data.decode()] = files.pop(op.path)
        return
    content = files.setdefault(op.path, bytearray())
    if op.kind == WRITE:
        end = op.offset + len(op.data)
        if len(content) < end:
            content.extend(bytes(end - len(content)))
        content[op.offset:end] = op.data
    elif op.kind == TRUNCATE:
        if len(content) > op.offset:
            del content[op.offset:]
        else:
            content.extend(bytes(op.offset - len(content)))
    elif op.kind == ALLOCATE and len(content) < op.offset:
        content.extend(bytes(op.offset - len(content)))


def states(ops, model, rnd):
    """(time, files) at the end of each sync. What is synced: the operations
    on a file that ended before its last sync began. UNLINK and RENAME count
    as done at once, as on a file system with ordered metadata."""
    for at, sync in enumerate(ops):
        if sync.kind != SYNC:
            continue
        last = {}
        for op in ops[:at + 1]:
            if op.kind == SYNC:
                last[op.path] = op.started
        files = {}
        loose = collections.defaultdict(list)
        for op in ops[:at + 1]:
            if op.kind == SYNC:
                continue
            if op.kind in (UNLINK, RENAME):
                apply(files, op)
                loose.pop(op.path, None)
            elif model == "all" or op.ended <= last.get(op.path, 0):
                apply(files, op)
            else:
                loose[op.path].append(op)
        if model == "torn":
            for path, rest in loose.items():
                if rnd.random() < 0.3:
                    continue
                for op in rest:
                    if rnd.random() < 0.6:
                        apply(files, torn(op, rnd))
        yield sync.ended, files


def torn(op, rnd):
    """A write that reached the disk only up to some 512-byte sector."""
    if op.kind != WRITE or len(op.data) < 2 or rnd.random() < 0.5:
        return op
    sectors = rnd.randint(0, len(op.data) // 512)
    return op._replace(data=op.data[:sectors * 512])


def scripted_run(tree, rnd):
    """Streams, a persistent session, retained messages; returns what was
    acknowledged with the time: a list of (time, kind, value)."""
    acks = []
    Conn(tree.mqtt_port, "session", clean=False).subscribe(("t/#", 1))
    acks.append((time.monotonic(), "session", None))
    pub = Publisher(tree.mqtt_port, "pub", "t/a", qos=1, count=300, window=8,
                    rate=150, size=200)
    pub.start()
    keeper = Conn(tree.mqtt_port, "keeper")
    n = 0
    while pub.is_alive():
        n += 1
        assert keeper.publish("keep/a", str(n), qos=1, retain=True) in (0, 16)
        acks.append((time.monotonic(), "retained", n))
        time.sleep(rnd.uniform(0.05, 0.3))
    assert len(pub.acked) == 300
    # Acknowledgements come in order, so the i-th time is that of number i.
    acks += [(t, "stream", n) for n, t in enumerate(pub.ack_times)]
    return acks


@pytest.mark.parametrize("model", ["least", "all", "torn"])
def test_power_cut_at_every_fsync(new_tree, tmp_path, model):
    rnd = random.Random(model)
    build, log = recorded_build(str(tmp_path))
    tree = new_tree(CONFIG, build=build).start()
    acks = scripted_run(tree, rnd)
    # A power cut: nothing gets to say goodbye.
    tree.kill_all()
    ops = operations(log)
    cuts = list(states(ops, model, rnd))
    assert len(cuts) >= 30, "only %d syncs recorded" % len(cuts)
    if not bulkhead.FULL and len(cuts) > 60:
        cuts = sorted(rnd.sample(cuts, 60), key=lambda cut: cut[0])
    for number, (when, files) in enumerate(cuts):
        known = [a for a in acks if a[0] <= when / 1e9]
        folder = os.path.join(str(tmp_path), "cut%d" % number)
        lay_out(files, tree.data, os.path.join(folder, "data"))
        check_recovery(new_tree, folder, known,
                       "%s, cut %d of %d" % (model, number, len(cuts)))
        shutil.rmtree(folder)


def lay_out(files, old_root, root):
    """Files of the recording below another data folder, owned as there."""
    os.makedirs(root, mode=0o711)
    copy_owner(old_root, root)
    for path, content in files.items():
        relative = os.path.relpath(path, old_root)
        assert not relative.startswith(".."), path
        new = os.path.join(root, relative)
        missing = []
        folder = os.path.dirname(new)
        while not os.path.isdir(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        for folder in reversed(missing):
            os.mkdir(folder)
            copy_owner(os.path.join(old_root, os.path.relpath(folder, root)),
                       folder)
        with open(new, "wb") as f:
            f.write(content)
        copy_owner(path if os.path.exists(path) else old_root, new)


def copy_owner(old, new):
    if not os.path.exists(old):
        old = os.path.dirname(old)
    stat = os.stat(old)
    if os.getuid() == 0:
        os.chown(new, stat.st_uid, stat.st_gid)
    if os.path.isdir(new):
        os.chmod(new, 0o711)
    else:
        os.chmod(new, 0o600)


def check_recovery(new_tree, folder, known, where):
    tree = new_tree(CONFIG, folder=folder).start()
    try:
        stored = klog.read(tree.data, "t")
        numbers = [json.loads(r.value)["n"] for r in stored
                   if b'"pub"' in r.value]
        want = {n for _, kind, n in known if kind == "stream"}
        missing = want - set(numbers)
        assert not missing, "%s: lost %s" % (where, sorted(missing)[:10])
        assert len(numbers) == len(set(numbers)), where + ": stored twice"
        conn = Conn(tree.mqtt_port, "session", clean=False)
        if any(kind == "session" for _, kind, _ in known):
            assert conn.session_present, where + ": the session is gone"
            got = set()
            while not want <= got:
                m = conn.message(5)
                assert m, "%s: the queue lacks %s" % (
                    where, sorted(want - got)[:10])
                got.add(json.loads(m.payload)["n"])
        conn.close()
        kept = max([n for _, kind, n in known if kind == "retained"],
                   default=0)
        if kept:
            reader = Conn(tree.mqtt_port, "reader")
            reader.subscribe(("keep/a", 0))
            m = reader.message(5)
            assert m and int(m.payload) >= kept, (
                "%s: retained %s, acknowledged %d" % (where, m, kept))
            reader.close()
        last = stored[-1].offset if stored else -1
        assert Conn(tree.mqtt_port, "new").publish("t/a", "x", qos=1) == 0
        new = klog.read(tree.data, "t")[-1]
        assert new.value == b"x" and new.offset > last, where
    except Exception as error:
        raise AssertionError("%s: %r" % (where, error)) from error
    finally:
        tree.kill_all()
