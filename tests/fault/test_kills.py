"""kill -9 of each kind of process, 50 times at random moments, under QoS 1
and QoS 2 load into a stream, persistent sessions and connectors: every
acknowledged message is accounted for, none twice where that is promised."""

import json
import random
import threading
import time

import pytest

import bulkhead
import compare
import klog
from bulkhead import Killer
from mqtt_raw import Publisher, Subscriber

KILLS = 50
PAUSE = (0.2, 3.0)


class Load:
    """Two QoS 1 and two QoS 2 publishers, both versions; persistent
    subscribers of both; a QoS 1 publisher without a session."""

    def __init__(self, port, rate=100):
        self.publishers = [
            Publisher(port, "pub-q%d-v%d" % (qos, version),
                      "t/q%d/v%d" % (qos, version), qos=qos, version=version,
                      rate=rate)
            for qos in (1, 2) for version in (4, 5)]
        self.publishers.append(
            Publisher(port, "pub-clean", "t/clean", qos=1, persistent=False,
                      rate=rate))
        self.subscribers = [
            Subscriber(port, "sub-q%d-v%d" % (qos, version), ["t/#"],
                       qos=qos, version=version)
            for qos, version in ((1, 5), (2, 4))]

    def start(self):
        for s in self.subscribers:
            s.start()
            s.ready()
        for p in self.publishers:
            p.start()

    def stop(self):
        threads = [threading.Thread(target=p.stop) for p in self.publishers]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        late = [p.client_id for p in self.publishers if p.unacked()]
        assert not late, "no acknowledgement in 25 s for %s" % late
        refused = {p.client_id: p.refused for p in self.publishers
                   if p.refused}
        assert not refused, str(refused)

    def check_sessions(self):
        """Each subscriber must get what was acknowledged."""
        want = {(p.client_id, n) for p in self.publishers for n in p.acked}
        for s in self.subscribers:
            def whole(s=s):
                got = {(b["p"], b["n"]) for b in
                       (json.loads(m.payload) for m, _ in list(s.got))}
                missing = want - got
                assert not missing, "%d of %d missing, as %s" % (
                    len(missing), len(want), sorted(missing)[:5])
                return True
            try:
                bulkhead.wait_for(whole, 30, s.client_id, step=0.5)
            finally:
                s.stop()
            compare.check_subscriber(s, self.publishers, s.filters[0][1])
        lost = {p.client_id: p.sessions_lost for p in self.publishers
                if p.persistent and p.sessions_lost}
        assert not lost, "publishers' sessions lost: %s" % lost


def connectors(tmp_path, http_target, database):
    out = str(tmp_path / "out.jsonl")
    common = {"stream": "t", "start": "earliest"}
    return out, {
        "f": {"type": "file", "config": {"path": out, "format": "json"},
              **common},
        "w": {"type": "webhook", "config": {"url": http_target.url,
                                            "batch_mode": "lines"}, **common},
        "p": {"type": "postgres", **common,
              "config": database.config(
                  table="rows", key_columns=["id"], on_conflict="ignore",
                  columns={"id": "${id}", "p": "${payload.p}",
                           "n": "${payload.n:number}"})},
    }


def body_records(target):
    for request in target.taken:
        for line in request["body"].splitlines():
            if line:
                yield json.loads(line)


class Job:
    """The main job under load: a tree, its targets, and what must hold."""

    def __init__(self, new_tree, tmp_path, target, database, **config):
        database.execute("DROP TABLE IF EXISTS rows")
        database.execute(
            "CREATE TABLE rows (id text PRIMARY KEY, p text, n integer)")
        self.target = target
        self.database = database
        self.out, definitions = connectors(tmp_path, target, database)
        self.tree = new_tree({"streams": {"t": {"topics": ["t/#"]}},
                              "connectors": definitions, **config}).start()
        self.load = Load(self.tree.mqtt_port)
        self.load.start()

    def check(self):
        """Ends the load and compares everything, one by one."""
        tree, load = self.tree, self.load
        load.stop()
        stored = klog.read(tree.data, "t")
        compare.check(load.publishers, [r.value for r in stored], "stream")
        load.check_sessions()
        for name in ("f", "w", "p"):
            row = tree.wait_drained(name, 60, len(stored))
            assert row["unaccounted"] == 0 and row["dlq"] == 0, str(row)
            assert row["damaged"] == 0 and row["skipped"] == 0, str(row)
            assert row["matched"] == len(stored), (
                "%s: matched %d of %d records" % (name, row["matched"],
                                                  len(stored)))
            assert row["delivered"] == len(stored)
        # Effectively once: the file is the stream, record by record.
        rows = compare.lines(self.out)
        assert [(r["topic"], r["payload"]["n"]) for r in rows] == [
            (r.topic, json.loads(r.value)["n"]) for r in stored]
        ids = {r["id"] for r in rows}
        assert len(ids) == len(rows)
        in_table = self.database.execute("SELECT id, p, n FROM rows")
        assert {r[0]: (r[1], r[2]) for r in in_table} == {
            r["id"]: (r["payload"]["p"], r["payload"]["n"]) for r in rows}
        hooked = [r["id"] for r in body_records(self.target)]
        assert set(hooked) == ids, "webhook: at least once"
        assert not tree.crashes()
        bulkhead.wait_for(lambda: tree.status()["state"] == "healthy",
                          what=str(tree.status()["reasons"]))
        assert tree.stop() == 0
        return len(hooked) - len(rows)


@pytest.mark.parametrize("kinds,acceptors", [
    (["router"], 1), (["acceptor"], 1), (["worker"], 1), (["admin"], 1),
    (["router", "acceptor", "worker"], 1), (["acceptor", "router"], 2)],
    ids=["router", "acceptor", "worker", "admin", "all", "two-acceptors"])
def test_kills(new_tree, tmp_path, http_target, postgres, kinds, acceptors):
    job = Job(new_tree, tmp_path, http_target, postgres,
              acceptors={"mqtt": acceptors})
    killer = Killer(job.tree, kinds, KILLS, *PAUSE)
    killer.start()
    killer.finish()
    twice = job.check()
    if kinds in (["admin"], ["acceptor"]):
        assert twice == 0, "no worker was killed, and %d came twice" % twice


def test_kills_of_the_supervisor(new_tree, tmp_path, http_target, postgres):
    """Its death ends all, at once; a start is recovery."""
    job = Job(new_tree, tmp_path, http_target, postgres)
    tree = job.tree
    for _ in range(KILLS if bulkhead.FULL else 12):
        time.sleep(random.uniform(*PAUSE))
        children = list(tree.children())
        tree.process.kill()
        tree.process.wait()
        bulkhead.wait_for(lambda: not [p for p in children
                                       if tree.is_ours(p)], 5,
                          "the children to end")
        tree.start()
    job.check()
