"""bulkhead - the process tree under test: start it, ask it, kill parts of it.

BULKHEAD_BUILD names the build folder (default: build beside tests). Every
tree has ports and folders of its own and is ended by process id.
"""

import contextlib
import ctypes
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("BULKHEAD_BUILD",
                                       os.path.join(ROOT, "build")))
BULKHEAD = os.path.join(BUILD, "bin", "bulkhead")
SANITIZED = "sanitize" in os.path.basename(BUILD)
FULL = bool(os.environ.get("BULKHEAD_FULL"))
# Sanitized programs start and work several times slower.
SLOW = 5 if SANITIZED else 1

PROGRAMS = {"router": "router", "acceptor": "acceptor-mqtt",
            "admin": "admin-server", "worker": "connector-"}

_libc = ctypes.CDLL(None)


def _dies_with_us():
    """In the child: SIGTERM when the test process ends."""
    _libc.prctl(1, signal.SIGTERM)


_ports = []


def free_port():
    """Below the range that the kernel hands to outgoing connections, and
    ours alone among all test processes: an abstract socket of its name is
    kept until we end."""
    while True:
        port = random.randint(12000, 31999)
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind("\0bulkhead-test-port-%d" % port)
            with contextlib.closing(socket.socket()) as s:
                s.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        _ports.append(claim)
        return port


def wait_for(condition, timeout=15, what="condition", step=0.05):
    """The first true value of condition(); an AssertionError in it counts
    as not yet true and is shown when the time is over."""
    end = time.monotonic() + timeout * SLOW
    why = ""
    while True:
        try:
            value = condition()
            if value:
                return value
            why = repr(value)
        except AssertionError as error:
            why = str(error)
        if time.monotonic() > end:
            raise AssertionError("timed out waiting for %s: %s" % (what, why))
        time.sleep(step)


class Failed(Exception):
    """The command ended with another status than 0."""

    def __init__(self, status, out, err):
        super().__init__("status %d: %s%s" % (status, out, err))
        self.status = status
        self.out = out
        self.err = err


def command(*args, timeout=60, stdin=None, env=None):
    """Runs build/bin/bulkhead; (status, stdout, stderr)."""
    done = subprocess.run([BULKHEAD, *map(str, args)], timeout=timeout,
                          input=stdin, capture_output=True, text=True,
                          env=env, preexec_fn=_dies_with_us)
    return done.returncode, done.stdout, done.stderr


def is_zombie(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False


class Tree:
    """One running tree. config is merged over a minimal configuration; text
    replaces it whole ({mqtt}, {http} and {data} are filled in)."""

    def __init__(self, folder, config=None, text=None, data=None, args=(),
                 env=None, build=None):
        self.folder = str(folder)
        self.build = build or BUILD
        os.makedirs(self.folder, exist_ok=True)
        self.data = data or os.path.join(self.folder, "data")
        self.mqtt_port = free_port()
        self.http_port = free_port()
        self.config_file = os.path.join(self.folder, "bulkhead.yaml")
        self.log_file = os.path.join(self.folder, "bulkhead.log")
        self.socket = os.path.join(self.data, "admin.sock")
        self.args = list(args)
        self.env = env
        self.process = None
        self.seen = set()
        self.kills = 0
        self.expects_crashes = False
        if text is None:
            self.config = {
                "listeners": [{"protocol": "mqtt",
                               "bind": "127.0.0.1:%d" % self.mqtt_port}],
                "admin": {"http": "127.0.0.1:%d" % self.http_port},
                **(config or {})}
            self.write_config()
        else:
            self.config = None
            self.write_text(text.format(mqtt=self.mqtt_port,
                                        http=self.http_port, data=self.data))

    def write_config(self, **changes):
        """JSON is YAML. A change of None takes the section away."""
        self.config.update(changes)
        self.config = {k: v for k, v in self.config.items() if v is not None}
        self.write_text(json.dumps(self.config, indent=2))

    def write_text(self, text):
        with open(self.config_file, "w") as f:
            f.write(text)

    # ---- life ----------------------------------------------------------

    def launch(self):
        """Starts the tree without waiting for it."""
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                [os.path.join(self.build, "bin", "bulkhead"), "run", "-c",
                 self.config_file, "--data", self.data, *self.args],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **(self.env or {})},
                start_new_session=True, preexec_fn=_dies_with_us)
        return self

    def start(self, timeout=20):
        self.launch()
        self.wait_ready(timeout)
        return self

    def wait_ready(self, timeout=20):
        def ready():
            assert self.process.poll() is None, (
                "the tree ended with %s:\n%s"
                % (self.process.returncode, self.log()[-3000:]))
            try:
                status = self.status()
            except Failed as error:
                raise AssertionError(str(error)) from None
            names = {p["name"]: p["state"] for p in status["processes"]}
            waiting = [n for n, s in names.items()
                       if s in ("starting", "backoff")]
            assert "router" in names and not waiting, str(names)
            return True
        wait_for(ready, timeout, "the tree to be ready")

    def stop(self, timeout=30):
        """Ordered stop; the exit status. Nothing may be left."""
        if self.process is None:
            return None
        self.children()
        self.process.terminate()
        status = self.process.wait(timeout * SLOW)
        self.process = None
        left = [pid for pid in self.seen
                if os.path.exists("/proc/%d" % pid) and self.is_ours(pid)]
        assert not left, "left after the stop: %s" % left
        return status

    def kill_all(self):
        """End of a test: by id, whatever state it is in."""
        self.children()
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
            self.process = None
        for pid in self.seen:
            if self.is_ours(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def is_ours(self, pid):
        """Guards against a process id that was used again."""
        try:
            return (os.readlink("/proc/%d/exe" % pid).startswith(self.build)
                    and not is_zombie(pid))
        except OSError:
            return False

    def log(self):
        with open(self.log_file, errors="replace") as f:
            return f.read()

    # ---- questions -------------------------------------------------------

    def cli(self, *args, check=True, stdin=None, timeout=60):
        """Text of a command's stdout."""
        status, out, err = command("--socket", self.socket, *args,
                                   stdin=stdin, timeout=timeout)
        if check and status != 0:
            raise Failed(status, out, err)
        return out

    def json(self, *args, check=True, **options):
        out = self.cli(*args, "--json", check=check, **options)
        return json.loads(out)

    def status(self):
        return self.json("status")

    def show(self, connector):
        return self.json("connector", "show", connector)

    def audit(self, connector=None):
        """The ledgers by connector name, whatever the exit status."""
        out = self.json("audit", *([connector] if connector else []),
                        check=False)
        if isinstance(out, dict):
            out = out.get("connectors", [out])
        return {row["name"] if "name" in row else row["connector"]: row
                for row in out}

    def wait_drained(self, connector, timeout=60, count=0):
        """Until the worker has committed all that its stream holds, and at
        least count records: twice the same, as its watermark comes later
        than a publisher's acknowledgement. The row of the audit."""
        last = []

        def drained():
            try:
                row = self.audit(connector)[connector]
            except (Failed, ValueError, KeyError) as error:
                raise AssertionError(repr(error)) from None
            is_same = [row] == last
            last[:] = [row]
            assert row["pending"] == 0 and row["matched"] >= count, str(row)
            return row if is_same else None
        return wait_for(drained, timeout, connector + " to drain", step=0.25)

    def create_connector(self, name, type, config, **common):
        definition = {"name": name, "type": type, "config": config, **common}
        path = os.path.join(self.folder, name + ".connector.yaml")
        with open(path, "w") as f:
            json.dump(definition, f)
        return self.cli("connector", "create", path)

    # ---- processes -------------------------------------------------------

    def children(self):
        """Process ids of the living children -> program name. The program
        is taken from the exec, so a child between fork and exec is left."""
        found = {}
        if self.process is None:
            return found
        try:
            with open("/proc/%d/task/%d/children"
                      % (self.process.pid, self.process.pid)) as f:
                pids = [int(pid) for pid in f.read().split()]
        except OSError:
            return found
        for pid in pids:
            try:
                exe = os.readlink("/proc/%d/exe" % pid)
            except OSError:
                continue
            name = os.path.basename(exe)
            if name not in ("supervisor", "bulkhead") and not is_zombie(pid):
                found[pid] = name
                self.seen.add(pid)
        return found

    def pids(self, kind):
        """Of a kind ("router", "acceptor", "admin", "worker"), or of a
        process's name as status gives it."""
        if kind in PROGRAMS:
            return sorted(pid for pid, name in self.children().items()
                          if name.startswith(PROGRAMS[kind]))
        return [p["pid"] for p in self.status()["processes"]
                if p["name"] == kind and p["pid"]]

    def pid(self, kind):
        pids = self.pids(kind)
        assert len(pids) == 1, "%s: %s" % (kind, pids)
        return pids[0]

    def kill(self, kind, signo=signal.SIGKILL):
        """One process of a kind or name; None if none runs just now."""
        pids = self.pids(kind)
        if not pids:
            return None
        pid = random.choice(pids)
        try:
            os.kill(pid, signo)
        except ProcessLookupError:
            return None
        self.kills += 1
        return pid

    def kill_and_wait(self, kind, timeout=10):
        """kill -9, then until another process has taken its place."""
        before = set(self.pids(kind))
        pid = self.kill(kind)
        assert pid, "no " + kind
        wait_for(lambda: [p for p in self.pids(kind) if p not in before],
                 timeout, "a new " + kind)
        return pid

    def crashes(self):
        """Crash reports of the tree's own making (not our SIGKILLs)."""
        out = self.json("crash", "ls")
        if isinstance(out, dict):
            out = out.get("crashes", out.get("items", []))
        return [c for c in out if c.get("signal") not in (9, "SIGKILL")]

    def rss(self, kind):
        """Resident bytes of all processes of a kind."""
        total = 0
        for pid in self.pids(kind):
            with contextlib.suppress(OSError), \
                    open("/proc/%d/statm" % pid) as f:
                total += int(f.read().split()[1]) * 4096
        return total


class Killer(threading.Thread):
    """kill -9 of processes of the given kinds, count times, after pauses
    of low to high seconds; every kill waits until there is one to kill."""

    def __init__(self, tree, kinds, count, low=0.2, high=3.0, seed=None):
        super().__init__(daemon=True)
        self.tree = tree
        self.kinds = kinds
        self.count = count
        self.low = low
        self.high = high
        self.random = random.Random(seed)
        self.killed = []

    def run(self):
        while len(self.killed) < self.count and self.tree.process:
            time.sleep(self.random.uniform(self.low, self.high))
            kind = self.kinds[len(self.killed) % len(self.kinds)]
            end = time.monotonic() + 20
            while time.monotonic() < end:
                pid = self.tree.kill(kind)
                if pid:
                    self.killed.append((kind, pid))
                    break
                time.sleep(0.02)
            else:
                return

    def finish(self):
        self.join(self.count * (self.high + 20))
        assert len(self.killed) == self.count, (
            "only %d of %d kills: a process did not come back; last %s"
            % (len(self.killed), self.count, self.killed[-3:]))
