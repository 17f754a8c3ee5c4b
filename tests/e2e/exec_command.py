"""exec_command - the example's command with faults, for test_sink_exec.py.

Settings: `path` as the example has it; `fault` names what is done wrong;
`once` a file that keeps it from being done twice.
"""

import os
import signal
import struct
import time

import exec_sink

POISON = b"poison"


def noise(channel, number):
    channel.socket.sendall(os.urandom(1) + b"\xff\xff\xff" + b"x" * 1000)
    time.sleep(60)


def empty(channel, number):
    channel.socket.sendall(struct.pack(">I", 0))
    time.sleep(60)


def half(channel, number):
    """Less than it announced, then gone."""
    channel.socket.sendall(struct.pack(">I", 1000) + b"\x93")
    os._exit(0)


def talk(channel, number):
    """The end of a frame never comes."""
    channel.socket.sendall(struct.pack(">I", 1 << 20) + b"x" * 1000)
    time.sleep(60)


FAULTS = {
    "noise": noise, "empty": empty, "half": half, "talk": talk,
    "no msgpack": lambda c, n: c.socket.sendall(b"\0\0\0\2\xc1\xc1"),
    "no array": lambda c, n: c.socket.sendall(b"\0\0\0\1\x01"),
    "name": lambda c, n: c.write("nonsense", 1),
    "batch": lambda c, n: c.write("answers", n + 1000, []),
    "index": lambda c, n: c.write("answers", n,
                                  [[1 << 20, "delivered", None]]),
    "twice": lambda c, n: c.write("answers", n, [[0, "delivered", None],
                                                 [0, "delivered", None]]),
    "outcome": lambda c, n: c.write("answers", n, [[0, "fine", None]]),
    "reason": lambda c, n: c.write("answers", n,
                                   [[0, "refused", "x" * 5000]]),
    "hello": lambda c, n: c.write("hello", 1, "again"),
    "probed": lambda c, n: c.write("probed", 1, None),
    "closed": lambda c, n: (c.socket.shutdown(2), time.sleep(60)),
}


class Channel(exec_sink.Channel):
    settings = {}

    def read(self):
        frame = super().read()
        if frame is not None and frame[0] == "open":
            Channel.settings = frame[1]
        if frame is not None and frame[0] == "batch":
            self.misbehave(frame[1], frame[2])
        return frame

    def misbehave(self, number, records):
        fault = self.settings.get("fault")
        once = self.settings.get("once")
        if fault is None or (once and os.path.exists(once)):
            return
        if once:
            open(once, "w").close()
            FAULTS[fault](self, number)
        elif any(r["payload"] == POISON for r in records):
            if fault == "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            time.sleep(60)


exec_sink.Channel = Channel
exec_sink.main()
