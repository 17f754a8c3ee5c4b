"""Many records through a network and a target that fail at random, with the
worker killed now and then: no record lost, none twice where that is promised,
order kept, nothing dead, the books closed, memory bounded."""

import collections
import json
import os
import random
import selectors
import socket
import threading
import time

import pytest

import bulkhead
from mqtt_raw import Publisher

COUNT = 100000 if bulkhead.FULL else 8000
PUBLISHERS = 5
PATIENT = {"strategy": "dead_message_queue", "retry_total_times": 50,
           "wait_time_ms": 20, "max_wait_ms": 200}


class Storm(threading.Thread):
    """A TCP proxy that cuts, stalls, refuses and babbles until calm()."""

    FAULTS = ["cut", "stall", "refuse", "babble", "cut_answer"]

    def __init__(self, target_port, seed=None):
        super().__init__(daemon=True)
        self.target_port = target_port
        self.port = bulkhead.free_port()
        self.random = random.Random(seed)
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server(("127.0.0.1", self.port),
                                             backlog=128)
        self.listener.setblocking(False)
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.peer = {}         # socket -> the other end
        self.from_target = set()
        self.pending = {}      # socket -> bytes to write
        self.fault = None
        self.until = 0
        self.next = time.monotonic() + 0.3
        self.is_calm = self.is_over = False
        self.faults = collections.Counter()

    def calm(self):
        self.is_calm = True

    def close(self):
        self.is_over = True
        self.join(10)
        for s in list(self.peer):
            s.close()
        self.listener.close()

    def run(self):
        while not self.is_over:
            self.change()
            for key, events in self.selector.select(0.02):
                if key.fileobj is self.listener:
                    self.accept()
                elif key.fileobj in self.peer:
                    self.move(key.fileobj, events)

    def change(self):
        now = time.monotonic()
        if self.fault and (now > self.until or self.is_calm):
            self.fault = None
            self.next = now + self.random.uniform(0.1, 0.6)
            for s in self.peer:
                self.watch(s)
        elif not self.fault and not self.is_calm and now > self.next:
            self.fault = self.random.choice(self.FAULTS)
            self.faults[self.fault] += 1
            self.until = now + self.random.uniform(0.05, 1.2)
            if self.fault in ("cut", "refuse"):
                for s in list(self.peer):
                    self.drop(s)
            elif self.fault == "stall":
                for s in self.peer:
                    self.selector.unregister(s)

    def accept(self):
        try:
            client, _ = self.listener.accept()
        except OSError:
            return
        if self.fault == "refuse":
            client.close()
            return
        try:
            target = socket.create_connection(("127.0.0.1",
                                               self.target_port), 2)
        except OSError:
            client.close()
            return
        for a, b in ((client, target), (target, client)):
            a.setblocking(False)
            self.peer[a] = b
            self.pending[a] = bytearray()
            if self.fault != "stall":
                self.selector.register(a, selectors.EVENT_READ)
        self.from_target.add(target)

    def watch(self, s):
        events = selectors.EVENT_READ
        if self.pending[s]:
            events |= selectors.EVENT_WRITE
        try:
            self.selector.modify(s, events)
        except KeyError:
            self.selector.register(s, events)

    def drop(self, s):
        other = self.peer.pop(s, None)
        if other is None:
            return
        del self.peer[other]
        for end in (s, other):
            try:
                self.selector.unregister(end)
            except KeyError:
                pass
            end.close()
            self.from_target.discard(end)
            del self.pending[end]

    def move(self, s, events):
        try:
            if events & selectors.EVENT_WRITE:
                del self.pending[s][:s.send(self.pending[s])]
                self.watch(s)
            if not events & selectors.EVENT_READ:
                return
            data = s.recv(65536)
        except OSError:
            data = b""
        other = self.peer[s]
        if not data:
            self.drop(s)
            return
        if s in self.from_target and self.fault == "babble":
            data = os.urandom(self.random.randint(1, 200))
        if s in self.from_target and self.fault == "cut_answer":
            self.pending[other] += data[:self.random.randint(0, len(data))]
            try:
                other.send(self.pending[other])
            except OSError:
                pass
            self.drop(s)
            return
        self.pending[other] += data
        self.watch(other)


def rain(tree, storm, name):
    """Publishes COUNT records while the storm blows and kills the worker
    three times; returns the ledger after it."""
    publishers = [
        Publisher(tree.mqtt_port, "pub%d" % i, "t/%d" % i, window=100,
                  count=COUNT // PUBLISHERS, size=100,
                  rate=COUNT // PUBLISHERS // 8)
        for i in range(PUBLISHERS)]
    for p in publishers:
        p.start()
    for _ in range(3):
        time.sleep(3)
        tree.kill("worker")
    for p in publishers:
        p.join(120 * bulkhead.SLOW)
        assert not p.is_alive() and p.failure is None, p.failure
        assert len(p.acked) == COUNT // PUBLISHERS
    time.sleep(2)
    storm.calm()
    row = tree.wait_drained(name, 300)
    assert sum(storm.faults.values()) > 5, storm.faults
    assert row["matched"] == row["delivered"] == COUNT, (str(row),
                                                        storm.faults)
    assert row["dlq"] == 0 and row["unaccounted"] == 0, str(row)
    assert tree.rss("worker") < (32 << 20) * bulkhead.SLOW
    assert not tree.crashes()


@pytest.fixture
def storm_before():
    storms = []

    def make(port):
        storms.append(Storm(port))
        storms[0].start()
        return storms[0]

    yield make
    for storm in storms:
        storm.close()


def start(new_tree, name, definition):
    return new_tree({"streams": {"t": {"topics": ["t/#"]}}, "connectors": {
        name: {"stream": "t", "start": "earliest",
               "failure_strategy": PATIENT,
               "batch": {"max_records": 100, "linger_ms": 5},
               "in_flight": 3, **definition}}}).start()


@pytest.mark.parametrize("way", ["arrays", "copy", "sql"])
def test_postgres(new_tree, postgres, storm_before, way):
    postgres.execute("DROP TABLE IF EXISTS storm")
    postgres.execute("CREATE TABLE storm (id text PRIMARY KEY, topic text, "
                     "n int, seq bigserial)")
    storm = storm_before(postgres.port)
    config = {"port": storm.port, "pool": 3, "timeout_ms": 400}
    if way == "sql":
        config["sql"] = ("INSERT INTO storm (id, topic, n) VALUES (${id}, "
                         "${topic}, ${payload.n}) ON CONFLICT DO NOTHING")
    else:
        config.update(table="storm", key_columns=["id"],
                      use_copy=way == "copy",
                      columns={"id": "${id}", "topic": "${topic}",
                               "n": "${payload.n}"})
    tree = start(new_tree, "p", {"type": "postgres",
                                 "config": postgres.config(**config)})
    rain(tree, storm, "p")
    got = collections.defaultdict(list)
    for topic, n in postgres.execute(
            "SELECT topic, n FROM storm ORDER BY seq"):
        got[topic].append(n)
    # Each record once, those of a key in order.
    assert got == {"t/%d" % i: list(range(COUNT // PUBLISHERS))
                   for i in range(PUBLISHERS)}


@pytest.mark.parametrize("mode", ["single", "lines"])
def test_webhook(new_tree, http_target, storm_before, mode):
    storm = storm_before(http_target.port)
    lock = threading.Lock()
    dice = random.Random()
    got = collections.defaultdict(list)

    def answer(request):
        with lock:
            fate = 1 if storm.is_calm else dice.random()
            if fate < 0.01:
                return 503
            if fate < 0.02:
                return 500
            for line in request["body"].splitlines():
                record = json.loads(line)
                got[record["topic"]].append(record["payload"]["n"])
        return 200

    http_target.answer = answer
    tree = start(new_tree, "w", {"type": "webhook", "config": {
        "url": "http://127.0.0.1:%d/in" % storm.port, "timeout_ms": 400,
        "batch_mode": mode}})
    rain(tree, storm, "w")
    for i in range(PUBLISHERS):
        # At least once, and the first arrivals of a key in order.
        first = list(dict.fromkeys(got["t/%d" % i]))
        assert first == list(range(COUNT // PUBLISHERS))
