"""Fixtures of the end-to-end and fault tests."""

import os
import shutil
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "e2e"))

import bulkhead  # noqa: E402
import servers  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "sanitize: part of the run under ASan and UBSan")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call":
        item.failed_call = report.failed


@pytest.fixture
def new_tree(request, tmp_path):
    """A function that makes trees (not started); all are ended after."""
    trees = []

    def make(config=None, **options):
        folder = options.pop("folder", tmp_path / ("tree%d" % len(trees)))
        tree = bulkhead.Tree(folder, config, **options)
        trees.append(tree)
        return tree

    yield make
    failed = getattr(request.node, "failed_call", True)
    reports = []
    for tree in trees:
        if failed:
            show(tree)
        elif bulkhead.SANITIZED:
            # An ordered end: leaks are told at exit.
            if tree.process and tree.process.poll() is None:
                tree.stop()
            log = tree.log() if os.path.exists(tree.log_file) else ""
            reports += [line for line in log.splitlines()
                        if "ERROR: AddressSanitizer" in line
                        or "ERROR: LeakSanitizer" in line
                        or "runtime error:" in line]
        tree.kill_all()
    if not failed:
        shutil.rmtree(tmp_path, ignore_errors=True)
    assert not reports, "\n".join(reports)


def show(tree):
    """What a failure's report needs."""
    print("==== %s, mqtt %d, http %d" % (tree.folder, tree.mqtt_port,
                                         tree.http_port))
    try:
        print(tree.cli("status", check=False, timeout=5))
    except Exception as error:
        print("no status: %s" % error)
    if os.path.exists(tree.log_file):
        print("---- end of %s\n%s" % (tree.log_file, tree.log()[-6000:]))


@pytest.fixture
def tree(new_tree):
    """A running tree with one stream of everything under t/."""
    return new_tree({"streams": {"t": {"topics": ["t/#"]}}}).start()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    """A real PostgreSQL on a private port and folder."""
    server = servers.Postgres(str(tmp_path_factory.mktemp("pg")))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def http_target():
    """A real HTTP server whose answers a test chooses."""
    server = servers.HttpTarget()
    yield server
    server.close()
