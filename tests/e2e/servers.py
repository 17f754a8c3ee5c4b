"""servers - real targets for connectors: PostgreSQL, an HTTP server, and TCP
servers that misbehave."""

import contextlib
import http.server
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import bulkhead

PG_BIN = "/usr/lib/postgresql/15/bin"


class Postgres:
    """A server of its own, started by the tests; user and database test.
    As root it runs as the user postgres, as it will not run as root."""

    def __init__(self, folder):
        # A path that the user postgres may enter, and short: it also holds
        # the socket.
        self.folder = tempfile.mkdtemp(prefix="bhpg")
        self.port = bulkhead.free_port()
        self.data = os.path.join(self.folder, "data")
        self.process = None
        self.user = None
        if os.getuid() == 0:
            self.user = pwd.getpwnam("postgres")
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)

    def _become(self):
        bulkhead._dies_with_us()
        if self.user:
            os.setgid(self.user.pw_gid)
            os.setuid(self.user.pw_uid)
            bulkhead._dies_with_us()

    def _run(self, *args):
        subprocess.run(args, check=True, preexec_fn=self._become,
                       cwd=self.folder, stdout=subprocess.DEVNULL,
                       stderr=subprocess.PIPE)

    def start(self):
        if not os.path.exists(self.data):
            password = os.path.join(self.folder, "pw")
            with open(password, "w") as f:
                f.write("secret\n")
            os.chmod(password, 0o644)
            self._run(PG_BIN + "/initdb", "-D", self.data, "-U", "test",
                      "--auth=scram-sha-256", "--pwfile", password, "-N",
                      "-E", "UTF8", "--locale=C")
        self.log = open(os.path.join(self.folder, "log"), "ab")
        self.process = subprocess.Popen(
            [PG_BIN + "/postgres", "-D", self.data, "-p", str(self.port),
             "-k", self.folder, "-h", "127.0.0.1", "-c", "fsync=off",
             "-c", "max_connections=60"],
            preexec_fn=self._become, cwd=self.folder, stdout=self.log,
            stderr=self.log, start_new_session=True)

        def ready():
            try:
                self.connect("postgres").close()
                return True
            except Exception as error:
                raise AssertionError(str(error)) from None
        bulkhead.wait_for(ready, 30, "PostgreSQL")
        with contextlib.suppress(Exception):
            self.execute("CREATE DATABASE test", database="postgres")

    def connect(self, database="test"):
        import psycopg2
        conn = psycopg2.connect(host="127.0.0.1", port=self.port,
                                user="test", password="secret",
                                dbname=database, connect_timeout=5)
        conn.autocommit = True
        return conn

    def execute(self, sql, args=None, database="test"):
        with contextlib.closing(self.connect(database)) as conn, \
                conn.cursor() as cursor:
            cursor.execute(sql, args)
            return cursor.fetchall() if cursor.description else None

    def config(self, **more):
        """Options of a connector to this server."""
        return {"host": "127.0.0.1", "port": self.port, "database": "test",
                "username": "test", "password": "secret", **more}

    def pause(self):
        """SIGSTOP of all its processes: it hangs."""
        self._signal(signal.SIGSTOP)

    def resume(self):
        self._signal(signal.SIGCONT)

    def _signal(self, signo):
        os.killpg(self.process.pid, signo)
        # Backends have process groups of their own.
        for pid in self._descendants(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signo)

    @staticmethod
    def _descendants(pid):
        try:
            with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
                return [int(p) for p in f.read().split()]
        except OSError:
            return []

    def down(self):
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(30)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.resume()
            self.down()
        shutil.rmtree(self.folder, ignore_errors=True)


class HttpTarget:
    """Takes webhook requests. answer(request) -> status, or (status, body);
    request: dict of path, headers (lower case), body (bytes). Requests that
    were answered 2xx are in `taken`, all in `requests`."""

    def __init__(self, port=None):
        self.requests = []
        self.taken = []
        self.probes = 0
        self.more_headers = {}
        self.answer = lambda request: 200
        self.lock = threading.Lock()
        target = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                size = int(self.headers.get("content-length", 0))
                request = {"path": self.path, "method": self.command,
                           "headers": {k.lower(): v for k, v
                                       in self.headers.items()},
                           "body": self.rfile.read(size)}
                with target.lock:
                    target.requests.append(request)
                status = target.answer(request)
                body = b""
                if isinstance(status, tuple):
                    status, body = status
                if status is None:   # no answer at all
                    self.close_connection = True
                    return
                with target.lock:
                    if 200 <= status < 300:
                        target.taken.append(request)
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    for name, value in target.more_headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(body)

            do_PUT = do_PATCH = do_GET = do_HEAD = do_POST

            def do_OPTIONS(self):
                """The webhook's probe: no record, any answer will do."""
                target.probes += 1
                self.send_response(204)
                self.end_headers()

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

        self.port = port or bulkhead.free_port()
        self.server = Server(("127.0.0.1", self.port), Handler)
        self.thread = threading.Thread(
            target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    @property
    def url(self):
        return "http://127.0.0.1:%d/in" % self.port

    def records(self):
        """JSON bodies that were taken."""
        with self.lock:
            return [json.loads(r["body"]) for r in self.taken]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class BadServer:
    """A TCP server that misbehaves. mode: "hang" takes connections and says
    nothing, "garbage" answers noise, "refuse" closes at once."""

    def __init__(self, mode, port=None):
        self.mode = mode
        self.port = port or bulkhead.free_port()
        self.connections = 0
        self.open = []
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(("127.0.0.1", self.port))
        self.sock.listen(64)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            self.connections += 1
            if self.mode == "refuse":
                conn.close()
                continue
            self.open.append(conn)
            if self.mode == "garbage":
                threading.Thread(target=self._babble, args=(conn,),
                                 daemon=True).start()

    def _babble(self, conn):
        with contextlib.suppress(OSError):
            while conn.recv(65536):
                conn.sendall(os.urandom(512))
                time.sleep(0.01)

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        for conn in self.open:
            conn.close()
