"""mqtt_raw - a small MQTT client for fault tests: it counts exactly.

Packets are written and read here without a library, so that a test decides
when an acknowledgement is sent, sees each DUP flag, and may send what no
library would. Versions 4 (3.1.1) and 5. Conn is one connection; Publisher
and Subscriber are threads that come back after every break and keep what a
session has to keep.
"""

import collections
import itertools
import select
import socket
import struct
import threading
import time

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(1, 8)
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK = range(8, 12)
PINGREQ, PINGRESP, DISCONNECT, AUTH = range(12, 16)

Packet = collections.namedtuple("Packet", "type flags body")
Message = collections.namedtuple(
    "Message", "topic payload qos dup retain mid props")


class Closed(Exception):
    """The connection ended; reason: the DISCONNECT's code, if one came."""

    def __init__(self, text, reason=None):
        super().__init__(text)
        self.reason = reason


def varint(n):
    out = bytearray()
    while True:
        out.append((n & 127) | (128 if n > 127 else 0))
        n >>= 7
        if not n:
            return bytes(out)


def text(s):
    data = s.encode() if isinstance(s, str) else s
    return struct.pack(">H", len(data)) + data


def packet(kind, flags, body):
    return bytes([kind << 4 | flags]) + varint(len(body)) + body


def properties(version, pairs=b""):
    if version < 5:
        return b""
    return varint(len(pairs)) + pairs


def user_property(name, value):
    return b"\x26" + text(name) + text(value)


def connect_packet(client_id, version=4, clean=True, keepalive=0, props=b"",
                   will=None, username=None, password=None):
    """will: (topic, payload, qos, retain[, properties])."""
    flags = 2 if clean else 0
    body = text(client_id)
    if will:
        topic, payload, qos, retain = will[:4]
        flags |= 4 | qos << 3 | (32 if retain else 0)
        body += properties(version, will[4] if len(will) > 4 else b"")
        body += text(topic) + text(payload)
    if username is not None:
        flags |= 128
        body += text(username)
    if password is not None:
        flags |= 64
        body += text(password)
    return packet(CONNECT, 0, text("MQTT") + bytes([version, flags])
                  + struct.pack(">H", keepalive)
                  + properties(version, props) + body)


def publish_packet(topic, payload, qos=0, mid=0, dup=False, retain=False,
                   version=4, props=b""):
    body = text(topic)
    if qos:
        body += struct.pack(">H", mid)
    body += properties(version, props)
    body += payload.encode() if isinstance(payload, str) else payload
    return packet(PUBLISH, (8 if dup else 0) | qos << 1 | retain, body)


def ack_packet(kind, mid):
    return packet(kind, 2 if kind == PUBREL else 0, struct.pack(">H", mid))


def subscribe_packet(mid, filters, version=4, props=b""):
    """filters: pairs of filter and QoS (or options)."""
    return packet(SUBSCRIBE, 2, struct.pack(">H", mid)
                  + properties(version, props)
                  + b"".join(text(f) + bytes([q]) for f, q in filters))


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def parse_publish(p, version):
    length, = struct.unpack_from(">H", p.body)
    topic = p.body[2:2 + length].decode()
    at = 2 + length
    qos = p.flags >> 1 & 3
    mid = 0
    if qos:
        mid, = struct.unpack_from(">H", p.body, at)
        at += 2
    props = b""
    if version >= 5:
        size, at = read_varint(p.body, at)
        props = p.body[at:at + size]
        at += size
    return Message(topic, p.body[at:], qos, bool(p.flags & 8),
                   bool(p.flags & 1), mid, props)


def ack_mid(p):
    return struct.unpack_from(">H", p.body)[0]


def ack_reason(p):
    return p.body[2] if len(p.body) > 2 else 0


class Conn:
    """One connection. Reads and writes in the caller's thread."""

    def __init__(self, port, client_id="", version=4, host="127.0.0.1",
                 timeout=10, connect=True, **options):
        self.version = version
        self.timeout = timeout
        self.sock = socket.create_connection((host, port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.input = bytearray()
        self.out = bytearray()
        self.later = collections.deque()   # read too early by expect
        self.session_present = False
        self.connack = None
        self.mids = itertools.count(1)
        if not connect:
            return
        try:
            self.send(connect_packet(client_id, version, **options))
            self.connack = self.expect(CONNACK)
            if self.connack.body[1]:
                raise Closed("CONNACK with code 0x%02x"
                             % self.connack.body[1], self.connack.body[1])
        except BaseException:
            self.sock.close()
            raise
        self.session_present = bool(self.connack.body[0] & 1)

    def fileno(self):
        return self.sock.fileno()

    def close(self):
        self.sock.close()

    def send(self, data):
        try:
            self.sock.settimeout(self.timeout)
            self.sock.sendall(data)
        except OSError as error:
            raise Closed("write: %s" % error) from None

    def next_packet(self):
        """A whole packet from what was read, or None."""
        data = self.input
        if len(data) < 2:
            return None
        size = shift = 0
        at = 1
        while True:
            if at >= len(data):
                return None
            byte = data[at]
            at += 1
            size |= (byte & 127) << shift
            if byte < 128:
                break
            shift += 7
        if len(data) < at + size:
            return None
        found = Packet(data[0] >> 4, data[0] & 15, bytes(data[at:at + size]))
        del data[:at + size]
        return found

    def fill(self, timeout):
        """Reads what is there; False if nothing came within timeout."""
        if not select.select([self.sock], [], [], timeout)[0]:
            return False
        try:
            data = self.sock.recv(1 << 18)
        except OSError as error:
            raise Closed("read: %s" % error) from None
        if not data:
            raise Closed("closed by the server")
        self.input += data
        return True

    def read(self, timeout=None):
        """The next packet; None if none came in time."""
        if self.later:
            return self.later.popleft()
        return self.read_now(timeout)

    def read_now(self, timeout=None):
        end = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            found = self.next_packet()
            if found:
                if found.type == DISCONNECT:
                    reason = found.body[0] if found.body else 0
                    raise Closed("DISCONNECT 0x%02x" % reason, reason)
                return found
            left = end - time.monotonic()
            if left < 0 or not self.fill(left):
                return None

    def expect(self, kind):
        """The next packet that is no PUBLISH: those wait for read."""
        while True:
            found = self.read_now()
            assert found, "no packet, expected type %d" % kind
            if found.type == kind:
                return found
            assert found.type == PUBLISH, "expected type %d, got %r" % (
                kind, found)
            self.later.append(found)

    def subscribe(self, *filters, qos=1):
        """Returns the return codes of the SUBACK. Messages that come in
        between wait for the next read."""
        self.send(subscribe_packet(
            next(self.mids),
            [f if isinstance(f, tuple) else (f, qos) for f in filters],
            self.version))
        found = self.expect(SUBACK)
        at = 2
        if self.version >= 5:
            size, at = read_varint(found.body, at)
            at += size
        return list(found.body[at:])

    def publish(self, topic, payload, qos=0, retain=False, props=b""):
        """Waits for the last acknowledgement; its reason code."""
        mid = next(self.mids) if qos else 0
        self.send(publish_packet(topic, payload, qos, mid, retain=retain,
                                 version=self.version, props=props))
        if qos == 0:
            return 0
        if qos == 1:
            return ack_reason(self.expect(PUBACK))
        found = self.expect(PUBREC)
        if ack_reason(found) >= 0x80:
            return ack_reason(found)
        self.send(ack_packet(PUBREL, mid))
        return ack_reason(self.expect(PUBCOMP))

    def message(self, timeout=None, answer=True):
        """The next PUBLISH, answered through all its steps, or None."""
        found = self.read(timeout)
        if found is None:
            return None
        assert found.type == PUBLISH, "expected PUBLISH, got %r" % (found,)
        m = parse_publish(found, self.version)
        if answer and m.qos == 1:
            self.send(ack_packet(PUBACK, m.mid))
        elif answer and m.qos == 2:
            self.send(ack_packet(PUBREC, m.mid))
            assert ack_mid(self.expect(PUBREL)) == m.mid
            self.send(ack_packet(PUBCOMP, m.mid))
        return m

    def disconnect(self):
        try:
            self.send(packet(DISCONNECT, 0, b""))
        except Closed:
            pass
        self.sock.close()


class Worker(threading.Thread):
    """What publishers and subscribers share: a thread that comes back."""

    def __init__(self, port, client_id, version=4, persistent=True,
                 host="127.0.0.1"):
        super().__init__(daemon=True, name=client_id)
        self.port = port
        self.host = host
        self.client_id = client_id
        self.version = version
        self.persistent = persistent
        self.stopping = threading.Event()
        self.failure = None
        self.conn = None
        self.connects = 0
        self.sessions_lost = 0

    def open(self):
        props = b""
        if self.version >= 5 and self.persistent:
            props = b"\x11" + struct.pack(">I", 3600)
        conn = Conn(self.port, self.client_id, self.version, self.host,
                    clean=not self.persistent, props=props)
        self.connects += 1
        if self.connects > 1 and self.persistent and not conn.session_present:
            self.sessions_lost += 1
        return conn

    def run(self):
        try:
            while not self.finished():
                try:
                    self.conn = self.open()
                    self.on_connected()
                    self.serve()
                except (Closed, OSError, AssertionError):
                    self.on_broken()
                    if not self.stopping.is_set():
                        time.sleep(0.05)
                finally:
                    if self.conn:
                        self.conn.close()
        except BaseException as error:  # shown by the test
            self.failure = error
            raise

    def on_broken(self):
        pass

    def stop(self):
        self.stopping.set()
        self.join(30)
        assert not self.is_alive(), "%s does not end" % self.name
        assert self.failure is None, "%s: %r" % (self.name, self.failure)


class Publisher(Worker):
    """Publishes numbered payloads until stopped, then waits for all
    acknowledgements. sends[n] counts how often number n went out, acked is
    the set of acknowledged numbers."""

    def __init__(self, port, client_id, topic, qos=1, window=50, rate=0,
                 size=64, count=None, **options):
        super().__init__(port, client_id, **options)
        self.topic = topic
        self.qos = qos
        self.window = window
        self.rate = rate
        self.size = size
        self.count = count
        self.sends = []
        self.acked = set()
        self.refused = {}
        self.by_mid = {}       # packet identifier -> number
        self.released = {}     # QoS 2: those with a PUBREC
        self.mid = 0
        self.deadline = None
        self.started = time.monotonic()
        self.ack_times = []

    def payload(self, n):
        head = b'{"p":"%s","n":%d' % (self.client_id.encode(), n)
        return head + b',"x":"' + b"x" * max(0, self.size - len(head) - 8) \
            + b'"}'

    def finished(self):
        if self.stopping.is_set() and self.deadline is None:
            self.deadline = time.monotonic() + 25
        if self.deadline and time.monotonic() > self.deadline:
            return True
        return self.exhausted() and not self.by_mid and not self.released

    def exhausted(self):
        return (self.stopping.is_set()
                or (self.count is not None and len(self.sends) >= self.count))

    def new_mid(self):
        while True:
            self.mid = self.mid % 65535 + 1
            if self.mid not in self.by_mid and self.mid not in self.released:
                return self.mid

    def on_connected(self):
        """Sends again what was not acknowledged, in order."""
        again = sorted(self.by_mid.items(), key=lambda item: item[1])
        kept = self.persistent and self.conn.session_present
        if not kept:
            # A new session: QoS 2 state is gone, what had a PUBREC is the
            # server's; the rest are new publishes.
            for mid, n in self.released.items():
                self.acked.add(n)
            self.released.clear()
        out = bytearray()
        for mid, n in again:
            self.sends[n] += 1
            out += publish_packet(self.topic, self.payload(n), self.qos, mid,
                                  dup=kept, version=self.version)
        for mid in self.released:
            out += ack_packet(PUBREL, mid)
        self.conn.out = out

    def gather(self):
        if self.exhausted() or len(self.conn.out) > 1 << 16:
            return
        room = self.window - len(self.by_mid) - len(self.released)
        if self.rate:
            due = int((time.monotonic() - self.started) * self.rate)
            room = min(room, due - len(self.sends))
        if self.count is not None:
            room = min(room, self.count - len(self.sends))
        for _ in range(room):
            n = len(self.sends)
            mid = self.new_mid() if self.qos else 0
            self.sends.append(1)
            if self.qos:
                self.by_mid[mid] = n
            self.conn.out += publish_packet(
                self.topic, self.payload(n), self.qos, mid,
                version=self.version)

    def on_packet(self, p):
        mid = ack_mid(p)
        if p.type == PUBACK:
            n = self.by_mid.pop(mid, None)
            if n is None:
                return
            self.settle(n, ack_reason(p))
        elif p.type == PUBREC:
            n = self.by_mid.pop(mid, None)
            if n is not None and ack_reason(p) >= 0x80:
                self.settle(n, ack_reason(p))
                return
            if n is not None:
                self.released[mid] = n
            self.conn.out += ack_packet(PUBREL, mid)
        elif p.type == PUBCOMP:
            n = self.released.pop(mid, None)
            if n is not None:
                self.settle(n, 0)

    def settle(self, n, reason):
        if reason >= 0x80:
            self.refused[n] = reason
            return
        self.acked.add(n)
        self.ack_times.append(time.monotonic())

    def serve(self):
        conn = self.conn
        conn.sock.setblocking(False)
        while not self.finished():
            self.gather()
            readable, writable, _ = select.select(
                [conn], [conn] if conn.out else [], [], 0.02)
            if writable:
                try:
                    sent = conn.sock.send(conn.out)
                except BlockingIOError:
                    sent = 0
                del conn.out[:sent]
            if readable:
                conn.fill(0)
                while True:
                    p = conn.next_packet()
                    if p is None:
                        break
                    if p.type == DISCONNECT:
                        raise Closed("DISCONNECT", p.body[:1])
                    self.on_packet(p)
        if not self.by_mid and not self.released:
            conn.sock.setblocking(True)
            conn.disconnect()

    def unacked(self):
        return len(self.by_mid) + len(self.released)


class Subscriber(Worker):
    """Takes messages of a persistent session over every break. got: a list
    of (message, number of the connection)."""

    def __init__(self, port, client_id, filters, qos=1, **options):
        super().__init__(port, client_id, **options)
        self.filters = [(f, qos) for f in filters]
        self.got = []
        self.open_mids = set()    # QoS 2: PUBREC sent, no PUBREL yet
        self.subscribed = threading.Event()
        self.codes = None

    def finished(self):
        return self.stopping.is_set()

    def on_connected(self):
        if not (self.persistent and self.conn.session_present):
            self.open_mids.clear()
        if not self.subscribed.is_set() or not self.conn.session_present:
            self.codes = self.conn.subscribe(*self.filters)
            self.subscribed.set()

    def ready(self, timeout=15):
        assert self.subscribed.wait(timeout), "%s: no SUBACK" % self.name

    def on_packet(self, p, out):
        if p.type == PUBLISH:
            m = parse_publish(p, self.version)
            if m.qos == 1:
                out += ack_packet(PUBACK, m.mid)
            elif m.qos == 2:
                out += ack_packet(PUBREC, m.mid)
                if m.mid in self.open_mids:
                    return
                self.open_mids.add(m.mid)
            self.got.append((m, self.connects))
        elif p.type == PUBREL:
            self.open_mids.discard(ack_mid(p))
            out += ack_packet(PUBCOMP, ack_mid(p))

    def serve(self):
        conn = self.conn
        while not self.finished():
            out = bytearray()
            while True:
                p = conn.next_packet()
                if p is None:
                    break
                if p.type == DISCONNECT:
                    raise Closed("DISCONNECT", p.body[:1])
                self.on_packet(p, out)
            if out:
                conn.send(out)
            conn.fill(0.1)
        conn.disconnect()
