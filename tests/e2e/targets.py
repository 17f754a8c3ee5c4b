"""targets - servers of other projects, each on a private port and folder:
started, hung (SIGSTOP), killed and started again by a test."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

import bulkhead


def needs(*programs):
    """Skips the module where a server is not installed."""
    for name in programs:
        if not find(name):
            pytest.skip(name + " is not installed", allow_module_level=True)


def find(name):
    return shutil.which(name, path=os.environ["PATH"]
                        + ":/usr/sbin:/usr/local/sbin:/usr/lib/rabbitmq/bin")


class Program:
    """A server that is one process group. Subclasses give command()."""

    env = {}

    def __init__(self, port=None):
        self.folder = tempfile.mkdtemp(prefix="bht")
        os.chmod(self.folder, 0o755)
        self.port = port or bulkhead.free_port()
        self.process = None

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)
        return self.path(name)

    def start(self, timeout=20):
        with open(self.path("log"), "ab") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=self.folder, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, **self.env},
                preexec_fn=bulkhead._dies_with_us)
        self.wait_up(timeout)
        return self

    def wait_up(self, timeout):
        def up():
            assert self.process.poll() is None, self.log()[-1000:]
            return self.is_up()
        bulkhead.wait_for(up, timeout, type(self).__name__)

    def is_up(self):
        with contextlib.closing(socket.socket()) as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def log(self):
        with open(self.path("log"), errors="replace") as f:
            return f.read()

    def pause(self):
        os.killpg(self.process.pid, signal.SIGSTOP)

    def resume(self):
        os.killpg(self.process.pid, signal.SIGCONT)

    def kill(self):
        """kill -9"""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def restart(self):
        self.kill()
        self.start()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Authority:
    """A certificate authority of our own and a server's certificate for
    127.0.0.1 and localhost; and one for a client."""

    def __init__(self, folder):
        self.folder = str(folder)
        self.ca = self._path("ca.crt")
        self.cert, self.key = self._path("s.crt"), self._path("s.key")
        self._run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days",
                  "2", "-subj", "/CN=test authority", "-keyout",
                  self._path("ca.key"), "-out", self.ca)
        self.make("s")
        self.make("client")

    def make(self, name):
        with open(self._path("ext"), "w") as f:
            f.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        self._run("req", "-newkey", "rsa:2048", "-nodes", "-subj",
                  "/CN=" + name, "-keyout", self._path(name + ".key"),
                  "-out", self._path(name + ".csr"))
        self._run("x509", "-req", "-in", self._path(name + ".csr"), "-CA",
                  self.ca, "-CAkey", self._path("ca.key"), "-CAcreateserial",
                  "-days", "2", "-extfile", self._path("ext"), "-out",
                  self._path(name + ".crt"))
        for end in (".key", ".crt"):
            os.chmod(self._path(name + end), 0o644)

    def _path(self, name):
        return os.path.join(self.folder, name)

    def _run(self, *args):
        subprocess.run(["openssl", *args], check=True, capture_output=True)


@pytest.fixture(scope="session")
def authority():
    folder = tempfile.mkdtemp(prefix="bhca")
    os.chmod(folder, 0o755)
    yield Authority(folder)
    shutil.rmtree(folder)


# ---- Redis ---------------------------------------------------------------


class RespError(Exception):
    pass


class Resp:
    """A connection to Redis for the test itself."""

    def __init__(self, port, password=None):
        self.sock = socket.create_connection(("127.0.0.1", port), 5)
        self.file = self.sock.makefile("rb")
        if password:
            self("AUTH", password)

    def __call__(self, *args):
        out = b"*%d\r\n" % len(args)
        for arg in args:
            arg = arg if isinstance(arg, bytes) else str(arg).encode()
            out += b"$%d\r\n%s\r\n" % (len(arg), arg)
        self.sock.sendall(out)
        return self.reply()

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise OSError("the connection ended")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RespError(rest.decode())
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if int(rest) < 0:
                return None
            return self.file.read(int(rest) + 2)[:-2]
        return [self.reply() for _ in range(int(rest))]

    def close(self):
        self.file.close()
        self.sock.close()


class Redis(Program):
    def __init__(self, *args, port=None, password=None):
        super().__init__(port)
        self.args = args
        self.password = password

    def command(self):
        return [find("redis-server"), "--port", str(self.port), "--bind",
                "127.0.0.1", "--dir", self.folder, "--save", "",
                "--appendonly", "yes", "--appendfsync", "always",
                *self.args]

    def client(self):
        return Resp(self.port, self.password)

    def do(self, *args):
        with contextlib.closing(self.client()) as client:
            return client(*args)

    def is_up(self):
        try:
            return self.do("PING") == "PONG"
        except (OSError, RespError) as error:
            raise AssertionError(str(error)) from None


class Sentinel(Redis):
    """Watches the master `m` at the port; one vote is enough."""

    def __init__(self, master_port, port=None):
        super().__init__(port=port)
        self.write("s.conf", "port %d\nbind 127.0.0.1\ndir %s\n"
                   "sentinel monitor m 127.0.0.1 %d 1\n"
                   "sentinel down-after-milliseconds m 700\n"
                   "sentinel failover-timeout m 3000\n"
                   % (self.port, self.folder, master_port))

    def command(self):
        return [find("redis-server"), self.path("s.conf"), "--sentinel"]


class RedisCluster:
    """Three masters, each with a replica."""

    def __init__(self):
        self.nodes = [Redis("--cluster-enabled", "yes",
                            "--cluster-node-timeout", "1000",
                            "--cluster-config-file", "nodes.conf",
                            "--cluster-port", str(bulkhead.free_port()),
                            "--repl-diskless-sync-delay", "0")
                      for _ in range(6)]

    def start(self):
        for node in self.nodes:
            node.start()
        subprocess.run(
            ["redis-cli", "--cluster", "create",
             *["127.0.0.1:%d" % n.port for n in self.nodes],
             "--cluster-replicas", "1", "--cluster-yes"],
            check=True, capture_output=True, timeout=60)
        bulkhead.wait_for(self.is_whole, 30, "the cluster")
        return self

    def is_whole(self):
        info = [n.do("CLUSTER", "INFO") for n in self.nodes if self.alive(n)]
        return all(b"cluster_state:ok" in i for i in info)

    @staticmethod
    def alive(node):
        return node.process.poll() is None

    def masters(self):
        return [n for n in self.nodes
                if self.alive(n) and n.do("ROLE")[0] == b"master"]

    def keys(self):
        return {k: n for n in self.masters() for k in n.do("KEYS", "*")}

    def stop(self):
        for node in self.nodes:
            node.stop()


# ---- RabbitMQ ------------------------------------------------------------


class Epmd(Program):
    """Erlang's port mapper, our own: a node would leave one behind."""

    def command(self):
        return [find("epmd"), "-port", str(self.port), "-address",
                "127.0.0.1"]


class RabbitMQ(Program):
    """User test, password s3cr3t; more is text for its configuration."""

    def __init__(self, more=""):
        super().__init__()
        self.epmd = Epmd()
        self.write("rabbitmq.conf",
                   "listeners.tcp.1 = 127.0.0.1:%d\n"
                   "default_user = test\ndefault_pass = s3cr3t\n"
                   "loopback_users = none\n"
                   "vm_memory_high_watermark.absolute = 4GB\n"
                   "disk_free_limit.absolute = 1MB\n%s" % (self.port, more))
        self.write("plugins", "[].\n")
        self.node = "bh%d@localhost" % self.port
        self.env = {
            "HOME": self.folder, "ERL_EPMD_PORT": str(self.epmd.port),
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_DIST_PORT": str(bulkhead.free_port()),
            "RABBITMQ_CONFIG_FILE": self.path("rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": self.path("none"),
            "RABBITMQ_MNESIA_BASE": self.path("mnesia"),
            "RABBITMQ_LOG_BASE": self.folder,
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.path("plugins"),
            "RABBITMQ_PID_FILE": self.path("pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }

    def command(self):
        return ["/usr/lib/rabbitmq/bin/rabbitmq-server"]

    def start(self, timeout=60):
        if self.epmd.process is None:
            self.epmd.start()
        return super().start(timeout)

    def is_up(self):
        if not super().is_up():
            return False
        try:
            self.connect().close()
            return True
        except Exception as error:
            raise AssertionError(repr(error)) from None

    def connect(self):
        import pika
        return pika.BlockingConnection(pika.ConnectionParameters(
            "127.0.0.1", self.port, "/",
            pika.PlainCredentials("test", "s3cr3t"), socket_timeout=5))

    @contextlib.contextmanager
    def channel(self):
        conn = self.connect()
        try:
            yield conn.channel()
        finally:
            with contextlib.suppress(Exception):
                conn.close()

    def queue(self, name, **arguments):
        with self.channel() as channel:
            channel.queue_declare(name, durable=True,
                                  arguments=arguments or None)

    def drain(self, name):
        """All messages of a queue: (method, properties, body)."""
        found = []
        with self.channel() as channel:
            for message in channel.consume(name, auto_ack=True,
                                           inactivity_timeout=0.5):
                if message[0] is None:
                    break
                found.append(message)
        return found

    def ctl(self, *args):
        return subprocess.run(
            ["/usr/lib/rabbitmq/bin/rabbitmqctl", "-n", self.node, *args],
            env={**os.environ, **self.env}, check=True, capture_output=True,
            text=True, timeout=60).stdout

    def stop(self):
        super().stop()
        self.epmd.stop()


# ---- NATS ----------------------------------------------------------------


class NatsClient:
    """A connection to NATS for the test itself."""

    def __init__(self, port, **login):
        self.sock = socket.create_connection(("127.0.0.1", port), 5)
        self.file = self.sock.makefile("rb")
        self.file.readline()
        self.send("CONNECT " + json.dumps(
            {"verbose": False, "headers": True, "no_responders": True,
             **login}))
        self.sync()

    def send(self, line, body=None):
        out = line.encode() + b"\r\n"
        if body is not None:
            out += body + b"\r\n"
        self.sock.sendall(out)

    def sync(self):
        self.send("PING")
        line = self.file.readline()
        assert line == b"PONG\r\n", line

    def message(self, timeout=1):
        """(subject, headers as bytes, payload), or None."""
        self.sock.settimeout(timeout)
        try:
            line = self.file.readline().split()
        except (TimeoutError, OSError):
            # A buffered file is of no use after a time-out.
            self.file = self.sock.makefile("rb")
            return None
        if line and line[0] == b"PING":
            self.send("PONG")
            return self.message(timeout)
        assert line and line[0] in (b"MSG", b"HMSG"), line
        total = int(line[-1])
        size = int(line[-2]) if line[0] == b"HMSG" else 0
        body = self.file.read(total + 2)[:-2]
        return line[1].decode(), body[:size], body[size:]

    def subscribe(self, subject):
        self.send("SUB %s 1" % subject)
        self.sync()

    def request(self, subject, **body):
        self.send("SUB _INBOX.r 2")
        self.send("UNSUB 2 1")
        data = json.dumps(body).encode()
        self.send("PUB %s _INBOX.r %d" % (subject, len(data)), data)
        answer = json.loads(self.message(5)[2])
        assert "error" not in answer, answer
        return answer

    def close(self):
        self.file.close()
        self.sock.close()


class Nats(Program):
    """With JetStream; more is text for its configuration."""

    def __init__(self, more="", **login):
        super().__init__()
        self.login = login
        self.write("n.conf", 'listen: "127.0.0.1:%d"\njetstream: '
                   '{store_dir: "%s", max_file: 500MB}\nmax_payload: 200000\n'
                   '%s' % (self.port, self.folder, more))

    def command(self):
        return [find("nats-server"), "-c", self.path("n.conf")]

    @contextlib.contextmanager
    def client(self):
        client = NatsClient(self.port, **self.login)
        try:
            yield client
        finally:
            client.close()

    def stream(self, name, *subjects, **more):
        with self.client() as client:
            client.request("$JS.API.STREAM.CREATE." + name, name=name,
                           subjects=subjects, storage="file", **more)

    def count(self, name):
        with self.client() as client:
            return client.request("$JS.API.STREAM.INFO." + name)["state"][
                "messages"]

    def drain(self, name):
        """All messages of a stream: (subject, headers, payload)."""
        count = self.count(name)
        with self.client() as client:
            client.subscribe("_INBOX.all")
            client.send("SUB _INBOX.r 2")
            body = json.dumps({"stream_name": name, "config": {
                "deliver_subject": "_INBOX.all", "deliver_policy": "all",
                "ack_policy": "none"}}).encode()
            client.send("PUB $JS.API.CONSUMER.CREATE.%s _INBOX.r %d"
                        % (name, len(body)), body)
            found = []
            while len(found) < count:
                message = client.message(5)
                assert message, "only %d of %d" % (len(found), count)
                if not message[0].startswith("_INBOX.r"):
                    found.append(message)
            return found


# ---- Mosquitto -----------------------------------------------------------


class Mosquitto(Program):
    """more is text for its configuration; sessions are kept over a kill."""

    def __init__(self, more="allow_anonymous true\n"):
        super().__init__()
        self.write("m.conf", "listener %d 127.0.0.1\nuser root\n"
                   "max_queued_messages 0\nmax_inflight_messages 1000\n%s"
                   % (self.port, more))

    def command(self):
        return [find("mosquitto"), "-c", self.path("m.conf")]
