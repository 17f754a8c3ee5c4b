"""The other ways of showing who one is: tokens, a service that is asked,
SCRAM; and sessions whose rights change."""

import base64
import hashlib
import hmac
import http.server
import json
import os
import struct
import subprocess
import threading
import time

import pytest

import bulkhead
from bulkhead import wait_for
from mqtt_raw import (AUTH, CONNACK, Closed, Conn, DISCONNECT, connect_packet,
                      packet, properties, text)
from test_auth import Client, cli, process_of, reason_of, receives

SECRET = "0123456789abcdef0123456789abcdef-e2e"


def b64(data):
    if isinstance(data, dict):
        data = json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(claims, key=SECRET, alg="HS256", exp=600, sign=None):
    claims = {"exp": int(time.time()) + exp, **claims}
    head = b64({"alg": alg, "typ": "JWT"}) + "." + b64(claims)
    if sign is None:
        mac = hmac.new(key.encode(), head.encode(), hashlib.sha256).digest()
    else:
        mac = sign(head.encode())
    return head + "." + b64(mac)


class Service(http.server.BaseHTTPRequestHandler):
    """Knows pat; eve is banned; anybody else is somebody else's."""
    asked = []

    def do_POST(self):
        q = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Service.asked.append((q, self.headers.get("Authorization")))
        name = q.get("username")
        if name == "pat" and q.get("password") == "pat-pw":
            body = {"result": "allow", "username": "patricia",
                    "acl": ["allow all both pat/#"]}
        elif name == "broken":
            body = {"result": "perhaps"}
        else:
            body = {"result": "deny" if name in ("pat", "eve") else "ignore"}
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def service():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()


@pytest.fixture(scope="module")
def broker(tmp_path_factory, service):
    tree = bulkhead.Tree(tmp_path_factory.mktemp("methods"), {"auth": {
        "jwt": {"algorithm": "HS256", "secret": SECRET,
                "client_id_claim": "cid"},
        "http": {"url": "http://127.0.0.1:%d/auth" % service,
                 "token": "bearer-e2e", "timeout": "3s"},
        "methods": ["jwt", "http", "users"]}})
    try:
        tree.start()
        cli(tree, "user", "add", "sam", stdin="sam-pw\n")
        cli(tree, "acl", "add", "allow", "user", "sam", "both", "sam/#")
        yield tree
        assert not tree.crashes()
        log = tree.log()
        for secret in (SECRET, "-pw", "bearer-e2e", "eyJ"):
            assert secret not in log
        assert tree.stop() == 0
    finally:
        tree.kill_all()


def test_tokens(broker):
    def login(password, client="dev1", user=None):
        return reason_of(broker, client, user or "", password) \
            if user is None else reason_of(broker, client, user, password)
    good = {"sub": "jo", "cid": "dev1"}
    assert login(token(good), user="jo") == 0
    assert login(token(good), user="ann") == 0x86
    assert login(token(good), client="dev2", user="jo") == 0x86
    assert login(token(good, exp=-5), user="jo") == 0x86
    assert login(token(good, key="x" * 40), user="jo") == 0x86
    assert login(token(good, alg="none"), user="jo") == 0x86
    assert login(token({"cid": "dev1"}), user="jo") == 0x86
    assert login(token({**good, "acl": "all"}), user="jo") == 0x86
    claims = {**good, "acl": {"publish": ["jo/up"], "subscribe": ["jo/#"]}}
    with Client(broker, "dev1", "jo", token(claims)) as jo:
        assert jo.reason() == 0
        assert jo.subscribe("jo/#", "sam/#", "#") == [1, 0x87, 0x87]
        jo.publish("jo/up")
        assert receives(jo, 5) == "jo/up"
        jo.publish("jo/down")
        assert receives(jo) is None


def test_service(broker):
    with Client(broker, "h1", "pat", "pat-pw") as pat:
        assert pat.reason() == 0
        assert pat.subscribe("pat/#", "sam/#") == [1, 0x87]
        names = [c["username"] for c in json.loads(
            cli(broker, "client", "ls", "--json")) if c["client_id"] == "h1"]
        assert names == ["patricia"]
    question, authorization = Service.asked[-1]
    assert authorization == "Bearer bearer-e2e"
    assert question["client_id"] == "h1"
    assert question["address"].startswith("127.0.0.1:")
    assert reason_of(broker, user="pat", password="no") == 0x86
    assert reason_of(broker, user="eve", password="x") == 0x86
    assert reason_of(broker, user="broken", password="x") == 0x88
    # Not the service's: the next method knows him.
    assert reason_of(broker, user="sam", password="sam-pw") == 0
    assert reason_of(broker, user="sam", password="no") == 0x86


def prop(number, value):
    return bytes([number]) + text(value)


def scram(broker, name, password, method="SCRAM-SHA-256", client="s1",
          tamper=None):
    """The connection, after a whole exchange."""
    conn = Conn(broker.mqtt_port, version=5, connect=False)
    bare = "n=%s,r=clientnonce0123456789" % name
    conn.send(connect_packet(client, 5, props=prop(0x15, method) +
                             prop(0x16, "n,," + bare)))
    first = conn.read()
    if first.type == CONNACK:
        raise Closed("refused", first.body[1])
    assert first.type == AUTH and first.body[0] == 0x18
    data = auth_data(first.body[1:])
    conn.send(packet(AUTH, 0, b"\x18" + properties(5, prop(0x15, method) +
              prop(0x16, final(bare, data, password, tamper)))))
    answer = conn.read()
    assert answer.type == CONNACK
    if answer.body[1]:
        raise Closed("refused", answer.body[1])
    assert b"v=" in answer.body
    return conn


def auth_data(body):
    """The authentication data of an AUTH packet's properties."""
    at = 1
    while at < len(body):
        n = struct.unpack(">H", body[at + 1:at + 3])[0]
        if body[at] == 0x16:
            return body[at + 3:at + 3 + n].decode()
        at += 3 + n
    raise AssertionError("no data")


def final(bare, server_first, password, tamper):
    fields = dict(f.split("=", 1) for f in server_first.split(","))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(),
                                 base64.b64decode(fields["s"]),
                                 int(fields["i"]))
    key = hmac.new(salted, b"Client Key", hashlib.sha256).digest()
    without = "c=biws,r=" + (tamper or fields["r"])
    signature = hmac.new(hashlib.sha256(key).digest(), ",".join(
        [bare, server_first, without]).encode(), hashlib.sha256).digest()
    proof = bytes(a ^ b for a, b in zip(key, signature))
    return without + ",p=" + base64.b64encode(proof).decode()


def test_scram(broker):
    conn = scram(broker, "sam", "sam-pw")
    # Known by name: the rules are sam's.
    assert conn.subscribe("sam/#")
    # Once more while on (4.12.1), then with a wrong name.
    bare = "n=sam,r=again0123456789again"
    conn.send(packet(AUTH, 0, b"\x19" + properties(
        5, prop(0x15, "SCRAM-SHA-256") + prop(0x16, "n,," + bare))))
    p = conn.expect(AUTH)
    assert p.body[0] == 0x18
    conn.send(packet(AUTH, 0, b"\x18" + properties(
        5, prop(0x15, "SCRAM-SHA-256") + prop(0x16, final(
            bare, auth_data(p.body[1:]), "sam-pw", None)))))
    assert conn.expect(AUTH).body[0] == 0
    conn.send(packet(AUTH, 0, b"\x19" + properties(
        5, prop(0x15, "OTHER") + prop(0x16, "n,," + bare))))
    with pytest.raises(Closed):
        conn.expect(AUTH)
    for name, password, tamper in (("sam", "no", None),
                                   ("nobody", "sam-pw", None),
                                   ("sam", "sam-pw", "othernonce")):
        with pytest.raises(Closed) as e:
            scram(broker, name, password, tamper=tamper)
        assert e.value.reason == 0x87
    with pytest.raises(Closed) as e:
        scram(broker, "sam", "sam-pw", method="SCRAM-MD5")
    assert e.value.reason == 0x8c


def test_scram_out_of_turn(broker):
    """Between CONNECT and the end only AUTH and DISCONNECT may come."""
    conn = Conn(broker.mqtt_port, version=5, connect=False)
    conn.send(connect_packet("s2", 5, props=prop(0x15, "SCRAM-SHA-256") +
                             prop(0x16, "n,,n=sam,r=clientnonce0123456789")))
    assert conn.read().type == AUTH
    conn.send(packet(12, 0, b""))
    answer = conn.read()
    assert answer.type == CONNACK and answer.body[1] >= 0x80


def test_session_loses_rights(broker):
    """A persistent session's subscription ends with the right to it, while
    it is away and while it is on."""
    conn = Conn(broker.mqtt_port, "keep", username="sam", password="sam-pw",
                clean=False)
    conn.subscribe("sam/x", qos=1)
    rule = json.loads(cli(broker, "acl", "ls", "--json"))[0]["id"]
    with Client(broker, "o", "sam", "sam-pw") as other:
        assert other.reason() == 0
        other.publish("sam/x", "1")
        assert conn.message().payload == b"1"
        cli(broker, "acl", "add", "allow all publish sam/x")
        cli(broker, "acl", "delete", str(rule))
        wait_for(lambda: other.subscribe("sam/x") == [0x87],
                 what="the rule to be gone")
        other.publish("sam/x", "2")
        assert conn.message(timeout=1) is None
        conn.close()
        conn = Conn(broker.mqtt_port, "keep", username="sam",
                    password="sam-pw", clean=False)
        other.publish("sam/x", "3")
        assert conn.message(timeout=1) is None
        conn.close()
    wait_for(lambda: not [s for s in json.loads(cli(
        broker, "sub", "ls", "--json")) if s["client_id"] == "keep"],
        what="the subscription to be gone")
    cli(broker, "acl", "add", "allow user sam both sam/#")


def test_rs256_and_reload(tmp_path):
    key, pub = str(tmp_path / "k.pem"), str(tmp_path / "p.pem")

    def make():
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True,
                       capture_output=True)
        subprocess.run(["openssl", "rsa", "-in", key, "-pubout", "-out", pub],
                       check=True, capture_output=True)

    def sign(data):
        return subprocess.run(["openssl", "dgst", "-sha256", "-sign", key],
                              input=data, capture_output=True).stdout
    make()
    tree = bulkhead.Tree(tmp_path, {"auth": {
        "jwt": {"algorithm": "RS256", "key_file": pub}}})
    try:
        tree.start()
        claims = {"sub": "jo"}
        old = token(claims, alg="RS256", sign=sign)
        assert reason_of(tree, user="jo", password=old) == 0
        # The public key as a shared secret: the classic confusion.
        with open(pub) as f:
            forged = token(claims, key=f.read())
        assert reason_of(tree, user="jo", password=forged) == 0x86
        make()
        cli(tree, "reload")
        new = token(claims, alg="RS256", sign=sign)
        wait_for(lambda: reason_of(tree, user="jo", password=new) == 0,
                 what="the new key")
        assert reason_of(tree, user="jo", password=old) == 0x86
        # A service that is not there: refused, and said so.
        tree.write_config(auth={"http": {"url": "http://127.0.0.1:1/"}})
        cli(tree, "reload")
        wait_for(lambda: reason_of(tree, user="jo", password=new) == 0x88,
                 what="the service to be asked")
        assert process_of(tree, "auth")["restarts"] == 0
        assert tree.stop() == 0
    finally:
        tree.kill_all()


def test_config_faults(tmp_path):
    def check(auth):
        path = tmp_path / "c.yaml"
        path.write_text(json.dumps({"auth": auth}))
        return bulkhead.command("check", path)
    for auth, word in (
            ({"methods": ["users", "magic"]}, "magic"),
            ({"jwt": {"algorithm": "HS256"}}, "secret"),
            ({"jwt": {"algorithm": "RS256", "secret": SECRET}}, "key_file"),
            ({"jwt": {"algorithm": "none", "secret": SECRET}}, "none"),
            ({"jwt": {"secret": SECRET}}, "algorithm"),
            ({"jwt": {"algorithm": "HS256", "secret": "short"}}, "secret"),
            ({"http": {"url": "ftp://x/"}}, "http://")):
        status, out, err = check(auth)
        assert status == 2 and word in out + err
        assert SECRET not in out + err
    assert os.path.exists(bulkhead.BULKHEAD)
