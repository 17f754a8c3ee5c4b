"""cql_fake - a node of the CQL native protocol, version 4, for tests: tables
in memory, INSERTs by prepared statements, last write wins per cell, and
faults. Written from native_protocol_v4.spec; test_sink_cassandra.py checks it
with python3-cassandra. It is no Cassandra: it parses the one INSERT that the
sink makes, and the few reads that drivers begin with."""

import contextlib
import hashlib
import re
import socket
import struct
import threading
import uuid

import bulkhead

ERROR, READY, AUTHENTICATE, SUPPORTED, RESULT = 0, 2, 3, 6, 8
AUTH_SUCCESS = 16
TYPES = {"ascii": 1, "bigint": 2, "blob": 3, "boolean": 4, "double": 7,
         "float": 8, "int": 9, "timestamp": 11, "uuid": 12, "text": 13,
         "varint": 14, "timeuuid": 15, "inet": 16, "date": 17,
         "smallint": 19, "tinyint": 20}
SIZES = {"bigint": ">q", "int": ">i", "smallint": ">h", "tinyint": ">b",
         "double": ">d", "float": ">f", "timestamp": ">q", "date": ">I"}
# What follows the message of an error that has more to say.
DETAILS = {0x1000: struct.pack(">Hii", 6, 2, 1),
           0x1100: struct.pack(">HiiH", 6, 1, 2, 6) + b"SIMPLE",
           0x1200: struct.pack(">HiiB", 6, 1, 2, 0),
           0x1500: struct.pack(">HiiiH", 6, 1, 2, 1, 6) + b"SIMPLE"}
INSERT = re.compile(r'INSERT INTO "?(\w+)"?\."?(\w+)"? \((.*?)\) VALUES '
                    r'\(([?, ]+)\)( USING TIMESTAMP \?)?$')


def string(text):
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack(">H", len(raw)) + raw


def value(raw):
    return struct.pack(">i", -1) if raw is None \
        else struct.pack(">i", len(raw)) + raw


def decode(kind, raw):
    if raw is None:
        return None
    if kind in SIZES:
        return struct.unpack(SIZES[kind], raw)[0]
    if kind == "boolean":
        return raw != b"\0"
    if kind in ("uuid", "timeuuid"):
        return uuid.UUID(bytes=raw)
    return raw if kind == "blob" else raw.decode()


class Fault(Exception):
    def __init__(self, code, text, details=None):
        super().__init__(text)
        self.code = code
        self.text = text
        self.details = DETAILS.get(code, b"") if details is None else details


class Reader:
    def __init__(self, raw):
        self.raw = raw
        self.at = 0

    def take(self, n):
        assert n >= 0 and self.at + n <= len(self.raw), "a frame too short"
        self.at += n
        return self.raw[self.at - n:self.at]

    def get(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def string(self):
        return self.take(self.get(">H"))

    def value(self):
        """bytes, None for null, Ellipsis for unset"""
        n = self.get(">i")
        return {-1: None, -2: ...}[n] if n < 0 else self.take(n)


class Table:
    """columns: name -> type; the first `partition` of `key` are the partition
    key. cells: key -> {column: (time, bytes)}"""

    def __init__(self, columns, key, partition=1):
        self.columns = columns
        self.key = key
        self.partition = partition
        self.cells = {}

    def write(self, row, micros):
        key = tuple(row.get(k) for k in self.key)
        for name, part in zip(self.key, key):
            if part in (None, ..., b""):
                raise Fault(0x2200, "Invalid null value in condition for "
                                    "column " + name)
        cells = self.cells.setdefault(key, {})
        for name, raw in row.items():
            old = cells.get(name)
            if raw is not ... and (old is None or old[0] <= micros):
                cells[name] = (micros, raw)

    def rows(self):
        return [{n: decode(self.columns[n], raw)
                 for n, (_, raw) in cells.items()}
                for cells in self.cells.values()]


class Node:
    """Faults, each to be set at any time:
    fault(row)   of each row: None or a Fault, which answers it
    is_reversed  what came together is done and answered backwards
    pause()      takes what comes and answers nothing, until resume()
    forget()     every prepared statement
    kill()       closes everything; start() begins again, tables kept"""

    def __init__(self, tables, users=None, tls=None, port=None):
        self.tables = tables
        self.users = users
        self.tls = tls
        self.port = port or bulkhead.free_port()
        self.prepared = {}
        self.fault = lambda row: None
        self.is_reversed = False
        self.running = threading.Event()
        self.running.set()
        self.lock = threading.RLock()
        self.open = set()
        self.listener = None
        self.counts = {"prepare": 0, "execute": 0, "batch": 0, "rows": 0,
                       "connections": 0}
        self.in_flight = 0
        self.consistency = set()

    # ---- life ------------------------------------------------------------

    def start(self):
        self.prepared = {}
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(64)
        threading.Thread(target=self._accept, args=(self.listener,),
                         daemon=True).start()
        return self

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            self.counts["connections"] += 1
            threading.Thread(target=self._serve, args=(sock,),
                             daemon=True).start()

    def pause(self):
        self.running.clear()

    def resume(self):
        self.running.set()

    def kill(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for sock in list(self.open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self.running.set()

    def restart(self):
        self.kill()
        self.start()

    stop = kill

    def forget(self):
        with self.lock:
            self.prepared = {}

    # ---- a connection ----------------------------------------------------

    def _serve(self, sock):
        try:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            self.open.add(sock)
            self._talk(sock, {"in": self.users is None})
        except (OSError, AssertionError, ConnectionError):
            pass
        finally:
            self.open.discard(sock)
            sock.close()

    def _talk(self, sock, login):
        data = b""
        while True:
            more = sock.recv(1 << 20)
            if not more:
                return
            data += more
            frames = []
            while len(data) >= 9:
                size = 9 + struct.unpack(">I", data[5:9])[0]
                if len(data) < size:
                    break
                frames.append(data[:size])
                data = data[size:]
            self.running.wait()
            self.in_flight = max(self.in_flight, len(frames))
            if self.is_reversed:
                frames.reverse()
            out = b"".join(self._frame(f, login) for f in frames)
            self.running.wait()
            sock.sendall(out)

    def _frame(self, frame, login):
        stream, opcode = frame[2:4], frame[4]
        try:
            if frame[0] != 4:
                raise Fault(0x0A, "Invalid or unsupported protocol version")
            with self.lock:
                kind, body = self._do(opcode, Reader(frame[9:]), login)
        except Fault as f:
            kind, body = ERROR, (struct.pack(">I", f.code) + string(f.text)
                                 + f.details)
        return b"\x84\x00" + stream + struct.pack(">BI", kind,
                                                  len(body)) + body

    def _do(self, opcode, r, login):
        if opcode == 5:
            return SUPPORTED, (struct.pack(">H", 2) + string("CQL_VERSION")
                               + struct.pack(">H", 1) + string("3.4.4")
                               + string("COMPRESSION") + b"\0\0")
        if opcode == 1:
            for _ in range(r.get(">H")):
                r.string(), r.string()
            if login["in"]:
                return READY, b""
            return AUTHENTICATE, string(
                "org.apache.cassandra.auth.PasswordAuthenticator")
        if opcode == 15:
            _, user, password = r.value().split(b"\0")
            if self.users.get(user.decode()) != password.decode():
                raise Fault(0x0100, "Provided username %s and/or password "
                                    "are incorrect" % user.decode())
            login["in"] = True
            return AUTH_SUCCESS, value(None)
        if not login["in"]:
            raise Fault(0x0A, "Unexpected message: not logged in")
        if opcode == 11:
            return READY, b""
        if opcode == 7:
            return RESULT, self._query(r.take(r.get(">I")).decode())
        if opcode == 9:
            return RESULT, self._prepare(r.take(r.get(">I")).decode())
        if opcode == 10:
            return RESULT, self._execute(r)
        if opcode == 13:
            return RESULT, self._batch(r)
        raise Fault(0x0A, "Unknown opcode %d" % opcode)

    # ---- statements ------------------------------------------------------

    def _query(self, text):
        ip = socket.inet_aton("127.0.0.1")
        one = uuid.UUID(int=1).bytes
        local = {"key": ("text", b"local"), "cluster_name": ("text", b"fake"),
                 "data_center": ("text", b"dc1"), "rack": ("text", b"r1"),
                 "release_version": ("text", b"3.11.0"),
                 "partitioner": ("text", b"org.apache.cassandra.dht."
                                         b"Murmur3Partitioner"),
                 "rpc_address": ("inet", ip), "host_id": ("uuid", one),
                 "broadcast_address": ("inet", ip),
                 "listen_address": ("inet", ip),
                 "schema_version": ("uuid", one)}
        found = re.match(r"SELECT (.*) FROM (system\.\w+)", text)
        if not found or found[2] not in ("system.local", "system.peers"):
            if text.upper().startswith("USE "):
                return struct.pack(">I", 3) + string(text[4:].strip('" '))
            raise Fault(0x2200, "unconfigured table in: " + text)
        names = list(local) if found[1] == "*" \
            else [n.strip() for n in found[1].split(",")]
        names = [n for n in names if n in local]
        rows = [[local[n][1] for n in names]] \
            if found[2] == "system.local" else []
        system, name = found[2].split(".")
        return (struct.pack(">III", 2, 1, len(names)) + string(system)
                + string(name)
                + b"".join(string(n) + struct.pack(">H", TYPES[local[n][0]])
                           for n in names)
                + struct.pack(">I", len(rows))
                + b"".join(value(v) for row in rows for v in row))

    def _prepare(self, text):
        self.counts["prepare"] += 1
        found = INSERT.match(text)
        if not found:
            raise Fault(0x2000, "line 1:0 no viable alternative at input")
        table = self.tables.get((found[1], found[2]))
        if table is None:
            raise Fault(0x2200, "unconfigured table " + found[2])
        names = [n.strip().strip('"') for n in found[3].split(",")]
        for name in names:
            if name not in table.columns:
                raise Fault(0x2200, "Undefined column name " + name)
        for name in table.key:
            if name not in names:
                raise Fault(0x2200, "Some partition key parts are missing: "
                                    + name)
        if len(names) != found[4].count("?"):
            raise Fault(0x2200, "Unmatched column names/values")
        id = hashlib.md5(text.encode()).digest()
        self.prepared[id] = (table, names, bool(found[5]))
        columns = [(n, TYPES[table.columns[n]]) for n in names]
        if found[5]:
            columns.append(("[timestamp]", TYPES["bigint"]))
        keys = [names.index(k) for k in table.key[:table.partition]]
        return (struct.pack(">I", 4) + string(id)
                + struct.pack(">III", 1, len(columns), len(keys))
                + b"".join(struct.pack(">H", k) for k in keys)
                + string(found[1]) + string(found[2])
                + b"".join(string(n) + struct.pack(">H", t)
                           for n, t in columns)
                + struct.pack(">II", 4, 0))

    def _row(self, id, values, micros):
        if id not in self.prepared:
            raise Fault(0x2500, "Prepared query with ID %s not found"
                        % id.hex(), string(id))
        table, names, is_timed = self.prepared[id]
        if len(values) != len(names) + is_timed:
            raise Fault(0x2200, "Invalid amount of bind variables")
        row = dict(zip(names, values))
        for name, raw in row.items():
            size = SIZES.get(table.columns[name])
            if raw not in (None, ...) and size \
                    and len(raw) != struct.calcsize(size):
                raise Fault(0x2200, "Expected %d bytes for %s"
                            % (struct.calcsize(size), name))
        if is_timed:
            micros = struct.unpack(">q", values[-1])[0]
        fault = self.fault({n: decode(table.columns[n], raw)
                            for n, raw in row.items() if raw is not ...})
        if fault:
            raise fault
        return table, row, micros

    def _execute(self, r):
        self.counts["execute"] += 1
        id = r.string()
        self.consistency.add(r.get(">H"))
        flags = r.get(">B")
        values = [r.value() for _ in range(r.get(">H"))] if flags & 1 else []
        if flags & 4:
            r.get(">i")
        if flags & 8:
            r.value()
        if flags & 16:
            r.get(">H")
        micros = r.get(">q") if flags & 32 else 0
        assert r.at == len(r.raw)
        table, row, micros = self._row(id, values, micros)
        table.write(row, micros)
        self.counts["rows"] += 1
        return struct.pack(">I", 1)

    def _batch(self, r):
        """All of it or nothing."""
        self.counts["batch"] += 1
        assert r.get(">B") == 1, "not unlogged"
        items = []
        for _ in range(r.get(">H")):
            assert r.get(">B") == 1, "not prepared"
            id = r.string()
            items.append((id, [r.value() for _ in range(r.get(">H"))]))
        self.consistency.add(r.get(">H"))
        micros = struct.unpack(">q", r.take(8))[0] if r.get(">B") & 32 else 0
        if len(r.raw) > 50 << 10:
            raise Fault(0x2200, "Batch too large")
        done = [self._row(id, values, micros) for id, values in items]
        assert len({tuple(row[k] for k in table.key[:table.partition])
                    for table, row, _ in done}) == 1, "several partitions"
        for table, row, micros in done:
            table.write(row, micros)
        self.counts["rows"] += len(done)
        return struct.pack(">I", 1)
