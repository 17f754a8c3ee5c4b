"""data_servers - real data bases for connectors, each where Debian's package
is installed: a test that needs one that is not skips, and says so."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request

import pytest

import bulkhead


def http(url, data=None, timeout=10, headers=None, method=None):
    """(status, body)."""
    request = urllib.request.Request(url, data=data, headers=headers or {},
                                     method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


class Server:
    """A program in a folder of its own. Subclasses: PROGRAM, PACKAGE,
    command(), is_ready()."""

    PROGRAM = PACKAGE = None

    def __init__(self):
        path = os.environ["PATH"] + ":/usr/sbin:/usr/bin"
        self.program = shutil.which(self.PROGRAM, path=path)
        if not self.program:
            pytest.skip("not shown: no %s (Debian's package %s)"
                        % (self.PROGRAM, self.PACKAGE))
        self.folder = tempfile.mkdtemp(prefix="bhds")
        self.process = None
        self.prepare()

    def prepare(self):
        pass

    def start(self, timeout=30):
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=self.folder, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, env={**os.environ, "HOME":
                                               self.folder},
                preexec_fn=bulkhead._dies_with_us)

        def ready():
            assert self.process.poll() is None, self.log()[-2000:]
            try:
                return self.is_ready()
            except Exception as error:
                raise AssertionError(str(error)) from None
        bulkhead.wait_for(ready, timeout, self.PROGRAM)
        return self

    def log(self):
        with open(os.path.join(self.folder, "log"), errors="replace") as f:
            return f.read()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.resume()
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Influx(Server):
    """InfluxDB 1.6 with its OpenTSDB listener; user u, password p w."""

    PROGRAM, PACKAGE = "influxd", "influxdb"

    def prepare(self):
        self.port = bulkhead.free_port()
        self.tsdb_port = bulkhead.free_port()
        self.rpc_port = bulkhead.free_port()
        with open(os.path.join(self.folder, "conf"), "w") as f:
            f.write("""reporting-disabled = true
bind-address = "127.0.0.1:%(rpc)d"
[meta]
  dir = "%(dir)s/meta"
[data]
  dir = "%(dir)s/data"
  wal-dir = "%(dir)s/wal"
  query-log-enabled = false
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:%(http)d"
  log-enabled = false
  auth-enabled = true
[[opentsdb]]
  enabled = true
  bind-address = "127.0.0.1:%(tsdb)d"
  database = "tsdb"
""" % {"rpc": self.rpc_port, "http": self.port, "tsdb": self.tsdb_port,
       "dir": self.folder})

    def command(self):
        return [self.program, "-config", os.path.join(self.folder, "conf")]

    @property
    def url(self):
        return "http://127.0.0.1:%d" % self.port

    def is_ready(self):
        with urllib.request.urlopen(self.url + "/ping", timeout=2) as answer:
            assert answer.status == 204
        http(self.url + "/query", urllib.parse.urlencode({
            "q": "CREATE USER u WITH PASSWORD 'p w' WITH ALL PRIVILEGES"}
        ).encode())
        for name in ("test", "tsdb"):
            self.query("CREATE DATABASE " + name)
        return True

    def query(self, text, db="test", epoch="ns"):
        """The series of the answer."""
        login = urllib.parse.urlencode({"db": db, "epoch": epoch, "u": "u",
                                        "p": "p w"})
        status, body = http(self.url + "/query?" + login,
                            urllib.parse.urlencode({"q": text}).encode(),
                            timeout=30)
        result = json.loads(body)
        assert status == 200 and "error" not in result, body
        return [s for r in result["results"] for s in r.get("series", [])]

    def rows(self, text, db="test", epoch="ns"):
        return [dict(zip(s["columns"], v), **s.get("tags", {}))
                for s in self.query(text, db, epoch)
                for v in s.get("values", [])]


class Mariadb(Server):
    """User test, password se'cret, database test."""

    PROGRAM, PACKAGE = "mariadbd", "mariadb-server"

    def prepare(self):
        self.port = bulkhead.free_port()
        self.socket = os.path.join(self.folder, "s")
        self.more = []
        subprocess.run(
            ["mariadb-install-db", "--no-defaults",
             "--datadir=" + self.folder + "/data", "--skip-test-db",
             "--auth-root-authentication-method=normal"]
            + self.user(), check=True, capture_output=True)

    @staticmethod
    def user():
        return ["--user=root"] if os.getuid() == 0 else []

    def command(self):
        return [self.program, "--no-defaults", *self.user(),
                "--datadir=" + self.folder + "/data",
                "--socket=" + self.socket, "--bind-address=127.0.0.1",
                "--port=%d" % self.port, "--innodb-flush-log-at-trx-commit=2",
                "--innodb-buffer-pool-size=64M", "--max-connections=60",
                "--pid-file=" + self.folder + "/pid", *self.more]

    def run(self, sql, database=""):
        done = subprocess.run(
            ["mariadb", "--no-defaults", "--socket=" + self.socket, "-uroot",
             "--batch", "--skip-column-names", "--raw",
             "--default-character-set=utf8mb4", "-e", sql]
            + ([database] if database else []), capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode("utf-8", "surrogateescape")

    def is_ready(self):
        self.run("CREATE DATABASE IF NOT EXISTS test CHARACTER SET utf8mb4; "
                 "CREATE USER IF NOT EXISTS test@'%' "
                 "IDENTIFIED BY 'se\\'cret'; GRANT ALL ON test.* TO test")
        return True

    def rows(self, sql):
        return [tuple(line.split("\t"))
                for line in self.run(sql, "test").splitlines()]

    def config(self, **more):
        return {"host": "127.0.0.1", "port": self.port, "database": "test",
                "username": "test", "password": "se'cret", **more}


class Clickhouse(Server):
    """ClickHouse 18.16; user u, password p&w, database test."""

    PROGRAM, PACKAGE = "clickhouse-server", "clickhouse-server"

    def prepare(self):
        self.port = bulkhead.free_port()
        self.tcp_port = bulkhead.free_port()
        self.interserver_port = bulkhead.free_port()
        for name in ("data", "tmp"):
            os.mkdir(os.path.join(self.folder, name))
        self.write("config.xml", """<yandex>
<logger><level>warning</level><console>1</console></logger>
<http_port>%d</http_port><tcp_port>%d</tcp_port>
<interserver_http_port>%d</interserver_http_port>
<listen_host>127.0.0.1</listen_host>
<path>%s/data/</path><tmp_path>%s/tmp/</tmp_path>
<users_config>users.xml</users_config>
<default_profile>default</default_profile>
<default_database>default</default_database>
<mark_cache_size>5368709</mark_cache_size>
</yandex>""" % (self.port, self.tcp_port, self.interserver_port, self.folder,
                self.folder))
        self.write("users.xml", """<yandex><profiles><default/></profiles>
<users><u><password>p&amp;w</password><profile>default</profile>
<quota>default</quota><networks><ip>::/0</ip></networks></u>
<default><password/><profile>default</profile><quota>default</quota>
<networks><ip>127.0.0.1</ip></networks></default></users>
<quotas><default/></quotas></yandex>""")

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w") as f:
            f.write(text)

    def command(self):
        return [self.program, "--config-file=" + self.folder + "/config.xml"]

    @property
    def url(self):
        return "http://127.0.0.1:%d" % self.port

    def execute(self, sql):
        status, body = http(self.url + "/", sql.encode(), timeout=30)
        assert status == 200, body
        return body.decode()

    def rows(self, sql):
        return [json.loads(line) for line in self.execute(
            sql + " FORMAT JSONEachRow").splitlines()]

    def is_ready(self):
        self.execute("CREATE DATABASE IF NOT EXISTS test")
        return True
