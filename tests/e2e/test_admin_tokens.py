"""The HTTP API beyond loopback: bearer tokens and their roles."""

import json
import urllib.error
import urllib.request

import pytest

import bulkhead

TOKENS = {name: {"role": name, "token": name + "-0123456789abcdef012345"}
          for name in ("viewer", "operator", "admin")}


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    tree = bulkhead.Tree(tmp_path_factory.mktemp("tokens"))
    tree.write_config(admin={"http": "0.0.0.0:%d" % tree.http_port,
                             "tokens": TOKENS})
    try:
        tree.start()
        yield tree
        assert "0123456789abcdef" not in tree.log()
        assert "by the token admin" in tree.log()
        assert tree.stop() == 0
    finally:
        tree.kill_all()


def ask(tree, method, path, token=None, body=None):
    request = urllib.request.Request(
        "http://127.0.0.1:%d%s" % (tree.http_port, path), method=method,
        data=None if body is None else json.dumps(body).encode())
    if token is not None:
        request.add_header("Authorization", "Bearer " + token)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_roles(broker):
    message = {"topic": "t", "payload": "x"}
    rule = {"rule": "allow all both a"}
    expected = {  # status, publish, rule
        None: (401, 401, 401), "wrong": (401, 401, 401),
        "viewer": (200, 403, 403), "operator": (200, 200, 403),
        "admin": (200, 200, 201)}
    for role, codes in expected.items():
        token = TOKENS[role]["token"] if role in TOKENS else role
        assert ask(broker, "GET", "/health/live", token) == 200
        assert ask(broker, "GET", "/api/v1/status", token) == codes[0], role
        assert ask(broker, "GET", "/metrics", token) == codes[0], role
        assert ask(broker, "POST", "/api/v1/publish", token,
                   message) == codes[1], role
        assert ask(broker, "POST", "/api/v1/acl", token, rule) == codes[2]


def test_admin_socket_needs_none(broker):
    assert broker.status()["state"] == "healthy"


def test_masked(broker, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps({"admin": {"http": "0.0.0.0:1", "tokens": {
        "x": {"role": "viewer", "token": "short"}}}}))
    status, out, err = bulkhead.command("check", path)
    assert status == 2 and "admin.tokens.x.token" in out + err
