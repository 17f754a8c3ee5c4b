"""MQTT over TLS, WebSocket, both, PROXY and unix sockets: with mosquitto's,
paho's and OpenSSL's clients, and raw bytes where none of them asks."""

import base64
import hashlib
import os
import socket
import ssl
import struct
import subprocess
import threading
import time

import paho.mqtt.client as paho
import pytest

import bulkhead
from bulkhead import wait_for

CONNECT = bytes.fromhex("100c00044d5154540402003c0000")
CONNACK = bytes.fromhex("20020000")
PINGREQ = bytes.fromhex("c000")
PINGRESP = bytes.fromhex("d000")


def openssl(folder, *args):
    subprocess.run(["openssl", *args], cwd=folder, check=True,
                   capture_output=True, timeout=60)


def certificate(folder, name, ca="ca", subject=None, san="DNS:localhost"):
    """NAME.pem and NAME.key, signed by ca."""
    with open(os.path.join(folder, name + ".ext"), "w") as f:
        f.write("subjectAltName=%s\n" % san)
    openssl(folder, "req", "-new", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key",
            "-out", name + ".csr", "-subj", "/CN=" + (subject or name))
    openssl(folder, "x509", "-req", "-in", name + ".csr", "-CA", ca + ".pem",
            "-CAkey", ca + ".key", "-CAcreateserial", "-days", "2",
            "-extfile", name + ".ext", "-out", name + ".pem")


def authority(folder, name="ca"):
    openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key",
            "-out", name + ".pem", "-days", "2", "-subj", "/CN=" + name)


NAMES = ("tls", "mutual", "optional", "psk", "ws", "wss", "proxy",
         "proxy_tls", "new13", "small")


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("transport"))
    authority(folder)
    authority(folder, "other")
    certificate(folder, "server")
    certificate(folder, "client", subject="meter-7",
                san="email:meter@example.org")
    certificate(folder, "stranger", ca="other")
    with open(os.path.join(folder, "psk"), "w") as f:
        f.write("# keys\nsensor:00112233445566778899aabbccddeeff\n")
    tree = bulkhead.Tree(folder)
    tree.port = {name: bulkhead.free_port() for name in NAMES}
    tree.unix = os.path.join(folder, "mqtt.sock")
    tls = {"cert_file": folder + "/server.pem",
           "key_file": folder + "/server.key"}
    verified = {**tls, "ca_file": folder + "/ca.pem"}

    def listener(name, transport="tcp", **more):
        return {"protocol": "mqtt", "transport": transport,
                "bind": "127.0.0.1:%d" % tree.port[name], **more}
    tree.write_config(listeners=[
        *tree.config["listeners"],
        listener("tls", "tls", tls=tls),
        listener("mutual", "tls", tls={**verified, "verify": "required",
                                       "identity": "cn"}),
        listener("optional", "tls", tls={**verified, "verify": "optional",
                                         "identity": "san"}),
        listener("psk", "tls", tls={"psk_file": folder + "/psk",
                                    "identity": "psk"}),
        listener("ws", "ws", path="/mqtt",
                 origins=["https://example.org"]),
        listener("wss", "wss", path="/secure", tls=tls),
        listener("proxy", proxy_protocol=True),
        listener("proxy_tls", "tls", proxy_protocol=True, tls=tls),
        listener("new13", "tls", tls={**tls, "min_version": "1.3"}),
        listener("small", "ws", max_message_size="1KiB"),
        {"protocol": "mqtt", "bind": "unix:" + tree.unix},
    ])
    try:
        tree.start()
        yield tree
        assert not tree.crashes()
        assert tree.stop() == 0
        assert not os.path.exists(tree.unix)
    finally:
        tree.kill_all()


def clients(broker):
    rows = broker.json("client", "ls")
    return rows if isinstance(rows, list) else next(
        v for v in rows.values() if isinstance(v, list))


def username(broker, client_id):
    def found():
        row = [c for c in clients(broker) if c["client_id"] == client_id]
        assert row, "no " + client_id
        return row[0]
    return wait_for(found, 10, "client " + client_id).get("username")


class Raw:
    """A client of bytes over any socket."""

    def __init__(self, sock):
        self.sock = sock
        sock.settimeout(10 * bulkhead.SLOW)

    def send(self, data):
        self.sock.sendall(data)

    def expect(self, data):
        got = b""
        while len(got) < len(data):
            more = self.sock.recv(len(data) - len(got))
            assert more, "closed after %r" % got
            got += more
        assert got == data, got

    def expect_end(self):
        try:
            while self.sock.recv(4096):
                pass
        except (ConnectionResetError, ssl.SSLError):
            pass

    def close(self):
        self.sock.close()

    def hello(self):
        self.send(CONNECT)
        self.expect(CONNACK)


def dial(port):
    return socket.create_connection(("127.0.0.1", port), 10)


def context(broker, certificate=None, **options):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.load_verify_locations(broker.folder + "/ca.pem")
    if certificate:
        c.load_cert_chain("%s/%s.pem" % (broker.folder, certificate),
                          "%s/%s.key" % (broker.folder, certificate))
    for name, value in options.items():
        setattr(c, name, value)
    return c


def dial_tls(broker, name="tls", certificate=None, **options):
    c = context(broker, certificate, **options)
    return Raw(c.wrap_socket(dial(broker.port[name]),
                             server_hostname="localhost"))


# ---- TLS ------------------------------------------------------------------

@pytest.mark.sanitize
@pytest.mark.parametrize("version", ["tlsv1.2", "tlsv1.3"])
def test_mosquitto_over_tls(broker, version):
    """Large messages in both directions, at every QoS."""
    tls = ["-h", "localhost", "-p", str(broker.port["tls"]), "--cafile",
           broker.folder + "/ca.pem", "--tls-version", version]
    topic = "tls/" + version
    sub = subprocess.Popen(
        ["stdbuf", "-oL", "mosquitto_sub", *tls, "-t", topic, "-q", "2", "-C", "3", "-W",
         "20", "-F", "%q %l", "-d"], stdout=subprocess.PIPE, text=True,
        preexec_fn=bulkhead._dies_with_us)
    for line in sub.stdout:
        if line.startswith("Subscribed"):
            break
    for qos in range(3):
        subprocess.run(
            ["mosquitto_pub", *tls, "-t", topic, "-q", str(qos), "-s"],
            input=b"x" * (300000 + qos), check=True, timeout=30)
    out, _ = sub.communicate(timeout=30)
    got = [l for l in out.splitlines() if l[:1] in "012"]
    assert got == ["0 300000", "1 300001", "2 300002"]


def test_tls_versions(broker):
    with pytest.raises(ssl.SSLError):
        dial_tls(broker, "new13",
                 maximum_version=ssl.TLSVersion.TLSv1_2)
    conn = dial_tls(broker, "new13")
    assert conn.sock.version() == "TLSv1.3"
    conn.hello()
    conn.close()


def test_alpn(broker):
    c = context(broker)
    c.set_alpn_protocols(["h2", "mqtt"])
    conn = Raw(c.wrap_socket(dial(broker.port["tls"]),
                             server_hostname="localhost"))
    assert conn.sock.selected_alpn_protocol() == "mqtt"
    conn.hello()
    conn.close()
    c.set_alpn_protocols(["h2"])
    with pytest.raises(ssl.SSLError):
        c.wrap_socket(dial(broker.port["tls"]), server_hostname="localhost")


@pytest.mark.sanitize
def test_bytewise_tls(broker):
    """Records that come byte by byte, and several packets in one."""
    conn = dial_tls(broker)
    for byte in CONNECT:
        conn.send(bytes([byte]))
    conn.expect(CONNACK)
    conn.send(PINGREQ * 1000)
    conn.expect(PINGRESP * 1000)
    conn.close()


def connect_as(client_id):
    name = client_id.encode()
    body = b"\0\4MQTT\4\2\0\x3c" + struct.pack("!H", len(name)) + name
    return bytes([0x10, len(body)]) + body


def test_client_certificates(broker):
    conn = dial_tls(broker, "mutual", "client")
    conn.send(connect_as("with-cn"))
    conn.expect(CONNACK)
    assert username(broker, "with-cn") == "meter-7"
    conn.close()
    for who in (None, "stranger"):
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            conn = dial_tls(broker, "mutual", who)
            conn.hello()
    conn = dial_tls(broker, "optional", "client")
    conn.send(connect_as("with-san"))
    conn.expect(CONNACK)
    assert username(broker, "with-san") == "meter@example.org"
    conn.close()
    conn = dial_tls(broker, "optional")
    conn.send(connect_as("without"))
    conn.expect(CONNACK)
    assert not username(broker, "without")
    conn.close()
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
        dial_tls(broker, "optional", "stranger").hello()


@pytest.mark.parametrize("version", ["tlsv1.2", "tlsv1.3"])
def test_psk(broker, version):
    def pub(key, name="sensor"):
        return subprocess.run(
            ["mosquitto_pub", "-h", "127.0.0.1", "-p",
             str(broker.port["psk"]), "--psk", key, "--psk-identity", name,
             "--tls-version", version, "-t", "psk", "-m", "x", "-q", "1"],
            capture_output=True, timeout=30).returncode
    assert pub("00112233445566778899aabbccddeeff") == 0
    assert pub("00112233445566778899aabbccddeefe") != 0
    assert pub("00112233445566778899aabbccddeeff", "nobody") != 0


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_resumption(broker, version):
    """With s_client; keys of tickets outlive a reload, and an acceptor."""
    session = broker.folder + "/session" + version

    def client(*more):
        process = subprocess.Popen(
            ["openssl", "s_client", "-connect",
             "127.0.0.1:%d" % broker.port["tls"], version, "-CAfile",
             broker.folder + "/ca.pem", "-quiet", "-no_ign_eof", *more],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, preexec_fn=bulkhead._dies_with_us)
        process.stdin.write(CONNECT)
        process.stdin.flush()
        assert process.stdout.read(4) == CONNACK
        process.stdin.close()
        process.wait(20)

    def is_reused():
        out = subprocess.run(
            ["openssl", "s_client", "-connect",
             "127.0.0.1:%d" % broker.port["tls"], version, "-sess_in",
             session], input=b"", capture_output=True, timeout=20).stdout
        return b"Reused, TLS" in out
    client("-sess_out", session)
    assert is_reused()
    broker.cli("reload")
    time.sleep(0.3)
    assert is_reused()
    broker.kill_and_wait("acceptor")
    broker.wait_ready()
    assert is_reused()


@pytest.mark.sanitize
def test_reload_of_certificates(broker):
    """New connections see the new certificate; old ones stay."""
    old = dial_tls(broker)
    old.hello()
    before = old.sock.getpeercert()["serialNumber"]
    certificate(broker.folder, "server", subject="renewed")
    broker.cli("reload")

    def serial():
        conn = dial_tls(broker)
        number = conn.sock.getpeercert()["serialNumber"]
        conn.hello()
        conn.close()
        return number
    wait_for(lambda: serial() != before, 10, "the new certificate")
    old.send(PINGREQ)
    old.expect(PINGRESP)
    # A key that does not fit changes nothing, and status says so.
    key = broker.folder + "/server.key"
    good = open(key).read()
    with open(key, "w") as f:
        f.write(open(broker.folder + "/client.key").read())
    broker.cli("reload")
    wait_for(lambda: broker.status()["state"] == "degraded", 10,
             "the complaint")
    assert "key" in str(broker.status()["reasons"])
    new = dial_tls(broker)
    new.hello()
    with open(key, "w") as f:
        f.write(good)
    broker.cli("reload")
    wait_for(lambda: broker.status()["state"] == "healthy", 10, "health")
    # A file that is missing refuses the reload.
    os.rename(key, key + ".away")
    with pytest.raises(bulkhead.Failed):
        broker.cli("reload")
    os.rename(key + ".away", key)
    for conn in (old, new):
        conn.send(PINGREQ)
        conn.expect(PINGRESP)
        conn.close()


def test_listeners_come_and_go(broker):
    """By a reload, while clients of the others stay."""
    stays = Raw(dial(broker.mqtt_port))
    stays.hello()
    port = bulkhead.free_port()
    before = broker.config["listeners"]
    broker.write_config(listeners=[*before, {
        "protocol": "mqtt", "bind": "127.0.0.1:%d" % port}])
    broker.cli("reload")
    conn = Raw(dial(port))
    conn.hello()
    broker.write_config(listeners=before)
    broker.cli("reload")

    def refused():
        try:
            dial(port).close()
            return False
        except ConnectionRefusedError:
            return True
    wait_for(refused, 10, "the port to close")
    for c in (stays, conn):
        c.send(PINGREQ)
        c.expect(PINGRESP)
        c.close()


def test_secrets_stay_inside(broker):
    text = broker.log() + broker.cli("crash", "ls")
    key = open(broker.folder + "/server.key").read().splitlines()[1]
    assert key not in text


# ---- WebSocket ------------------------------------------------------------

KEY = base64.b64encode(b"0123456789abcdef").decode()


def upgrade(path="/mqtt", protocol="mqtt", version="13", origin=None,
            upgrade="websocket"):
    lines = ["GET %s HTTP/1.1" % path, "Host: localhost",
             "Upgrade: " + upgrade, "Connection: keep-alive, Upgrade",
             "Sec-WebSocket-Key: " + KEY, "Sec-WebSocket-Version: " + version]
    if protocol:
        lines.append("Sec-WebSocket-Protocol: " + protocol)
    if origin:
        lines.append("Origin: " + origin)
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def read_head(sock):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        more = sock.recv(1)
        assert more, head
        head += more
    return head.decode()


def frame(payload, opcode=2, final=True, mask=b"\1\2\3\4"):
    n = len(payload)
    head = bytes([opcode | (0x80 if final else 0)])
    if n < 126:
        head += bytes([0x80 | n])
    elif n < 65536:
        head += struct.pack("!BH", 0x80 | 126, n)
    else:
        head += struct.pack("!BQ", 0x80 | 127, n)
    return head + mask + bytes(b ^ mask[i % 4] for i, b in
                               enumerate(payload))


def dial_ws(broker, name="ws", **options):
    conn = Raw(dial(broker.port[name]))
    conn.send(upgrade(**options))
    head = read_head(conn.sock)
    assert head.startswith("HTTP/1.1 101"), head
    accept = base64.b64encode(hashlib.sha1(
        (KEY + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode())
        .digest()).decode()
    assert "Sec-WebSocket-Accept: %s\r\n" % accept in head
    assert "Sec-WebSocket-Protocol: mqtt\r\n" in head
    return conn


@pytest.mark.parametrize("options,status", [
    ({"path": "/other"}, 404), ({"protocol": None}, 400),
    ({"protocol": "chat"}, 400), ({"version": "8"}, 426),
    ({"upgrade": "h2c"}, 426), ({"origin": "https://evil.example"}, 403)])
def test_upgrade_refused(broker, options, status):
    conn = Raw(dial(broker.port["ws"]))
    conn.send(upgrade(**options))
    assert read_head(conn.sock).startswith("HTTP/1.1 %d " % status)
    conn.expect_end()
    conn.close()


def test_no_http_at_all(broker):
    conn = Raw(dial(broker.port["ws"]))
    conn.send(CONNECT + b"\r\n\r\n")
    assert read_head(conn.sock).startswith("HTTP/1.1 400")
    conn.expect_end()
    conn.close()


@pytest.mark.sanitize
def test_frames(broker):
    """What comes with the upgrade, fragments, pings between them, packets
    cut anywhere, many in one frame, text refused, close answered."""
    conn = Raw(dial(broker.port["ws"]))
    conn.send(upgrade(origin="https://example.org",
                      protocol="chat, mqtt") + frame(CONNECT))
    read_head(conn.sock)
    conn.expect(b"\x82\4" + CONNACK)
    conn.send(frame(PINGREQ[:1], final=False) + frame(b"hi", 9))
    conn.expect(b"\x8a\2hi")
    conn.send(frame(b"", 0, final=False) + frame(PINGREQ[1:], 0))
    conn.expect(b"\x82\2" + PINGRESP)
    conn.send(frame(PINGREQ * 50))
    conn.expect(b"\x82\x64" + PINGRESP * 50)
    for byte in frame(PINGREQ):
        conn.send(bytes([byte]))
        time.sleep(0.002)
    conn.expect(b"\x82\2" + PINGRESP)
    conn.send(frame(b"x" * 10, 10))   # a pong nobody asked for
    conn.send(frame(struct.pack("!H", 1000), 8))
    conn.expect(b"\x88\2" + struct.pack("!H", 1000))
    conn.expect_end()
    conn.close()


@pytest.mark.parametrize("bad,status", [
    (frame(CONNECT, 1), 1003),                      # text
    (b"\x82\2" + PINGREQ, 1002),                    # not masked
    (frame(b"x" * 126, 9), 1002),                   # a long ping
    (frame(b"x", 9, final=False), 1002),            # a ping in pieces
    (frame(b"x", 0), 1002),                         # nothing to continue
    (frame(b"x", 2, final=False) + frame(b"y"), 1002),
    (b"\xc2" + frame(PINGREQ)[1:], 1002),           # a reserved bit
    (frame(b"\3", 8), 1002),                        # half a status
])
def test_bad_frames(broker, bad, status):
    conn = dial_ws(broker)
    conn.send(frame(CONNECT))
    conn.expect(b"\x82\4" + CONNACK)
    conn.send(bad)
    conn.expect(b"\x88\2" + struct.pack("!H", status))
    conn.expect_end()
    conn.close()


def test_message_too_big(broker):
    conn = dial_ws(broker, "small")
    conn.send(frame(CONNECT))
    conn.expect(b"\x82\4" + CONNACK)
    conn.send(frame(PINGREQ * 512))
    conn.expect(b"\x82\x7e" + struct.pack("!H", 1024) + PINGRESP * 512)
    conn.send(frame(PINGREQ * 512, final=False) + frame(b"\xc0", 0))
    conn.expect(b"\x88\2" + struct.pack("!H", 1009))
    conn.expect_end()
    conn.close()


def test_protocol_error_closes_with_1002(broker):
    conn = dial_ws(broker)
    conn.send(frame(PINGREQ))
    conn.expect(b"\x88\2" + struct.pack("!H", 1002))
    conn.expect_end()
    conn.close()


@pytest.mark.sanitize
@pytest.mark.parametrize("name", ["ws", "wss"])
def test_paho_over_websocket(broker, name):
    """Large and small messages, several at once, at each QoS."""
    got, ready = [], threading.Event()
    c = paho.Client("paho-" + name, transport="websockets")
    c.ws_set_options(path="/mqtt" if name == "ws" else "/secure",
                     headers=lambda h: {k: v for k, v in h.items()
                                        if k != "Origin"})
    if name == "wss":
        c.tls_set(broker.folder + "/ca.pem")
    c.on_connect = lambda *a: c.subscribe("paho/" + name, 2)
    c.on_subscribe = lambda *a: ready.set()
    c.on_message = lambda _c, _u, m: got.append(m.payload)
    c.connect("localhost", broker.port[name])
    c.loop_start()
    assert ready.wait(20 * bulkhead.SLOW)
    sent = [bytes([65 + i]) * size for i, size in
            enumerate([1, 124, 125, 126, 127, 4000, 65535, 65536, 200000])]
    for i, payload in enumerate(sent):
        c.publish("paho/" + name, payload, qos=i % 3)
    wait_for(lambda: len(got) == len(sent), 20, "all messages")
    assert sorted(got) == sorted(sent)
    c.disconnect()
    c.loop_stop()


# ---- PROXY, unix ----------------------------------------------------------

def address(broker, client_id):
    def found():
        row = [c for c in clients(broker) if c["client_id"] == client_id]
        assert row, "no " + client_id
        return row[0]["address"]
    return wait_for(found, 10, "client " + client_id)


@pytest.mark.sanitize
def test_proxy(broker):
    v1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 1883\r\n"
    v2 = (b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24"
          + socket.inet_pton(socket.AF_INET6, "2001:db8::7")
          + socket.inet_pton(socket.AF_INET6, "2001:db8::1")
          + struct.pack("!HH", 4712, 1883))
    for head, name, want in ((v1, "by-v1", "192.0.2.7:4711"),
                             (v2, "by-v2", "[2001:db8::7]:4712")):
        conn = Raw(dial(broker.port["proxy"]))
        conn.send(head[:9])
        time.sleep(0.05)
        conn.send(head[9:] + connect_as(name))
        conn.expect(CONNACK)
        assert address(broker, name) == want
        conn.send(PINGREQ)
        conn.expect(PINGRESP)
        conn.close()
    conn = Raw(dial(broker.port["proxy"]))
    conn.send(CONNECT)
    conn.expect_end()
    conn.close()


def test_proxy_before_tls(broker):
    raw = dial(broker.port["proxy_tls"])
    raw.sendall(b"PROXY TCP4 192.0.2.8 192.0.2.1 4713 8883\r\n")
    conn = Raw(context(broker).wrap_socket(raw, server_hostname="localhost"))
    conn.send(connect_as("by-both"))
    conn.expect(CONNACK)
    assert address(broker, "by-both") == "192.0.2.8:4713"
    conn.close()


def test_unix_socket(broker):
    s = socket.socket(socket.AF_UNIX)
    s.connect(broker.unix)
    conn = Raw(s)
    conn.send(connect_as("by-unix"))
    conn.expect(CONNACK)
    assert address(broker, "by-unix") == "unix"
    conn.close()
