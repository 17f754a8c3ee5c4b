#!/usr/bin/python3
"""exec_sink - a command for `type: exec`: each record as a line of JSON.

    connectors:
      lines:
        type: exec
        stream: telemetry
        config:
          command: [/usr/bin/python3, /opt/sinks/exec_sink.py]
          settings: { path: /var/lib/lines/out.jsonl }

Needs python3-msgpack. Take it as the beginning of your own: write() and
probe() are what a target is about, the rest is exec/1 (docs/en/exec.md).
"""

import json
import os
import socket
import struct
import sys

import msgpack


class Refused(Exception):
    """This record never: it goes to the dead letters."""


class Lines:
    """The target. An OSError says that it is not available just now."""

    def __init__(self, settings):
        self.path = settings["path"]
        self.file = open(self.path, "ab", buffering=0)

    def write(self, record):
        topic = record["topic"]
        if isinstance(topic, bytes):
            raise Refused("the topic is not UTF-8")
        try:
            payload = (record["payload"] or b"").decode()
        except UnicodeDecodeError:
            raise Refused("the payload is not UTF-8") from None
        line = {"id": record["id"], "topic": topic,
                "timestamp_ms": record["timestamp_ms"], "payload": payload}
        self.file.write(json.dumps(line).encode() + b"\n")

    def flush(self):
        """What was written is not delivered before it is on disk."""
        os.fsync(self.file.fileno())

    def probe(self):
        os.stat(self.path)


class Channel:
    """Frames: u32 big-endian length, then a msgpack array."""

    def __init__(self):
        self.socket = socket.socket(fileno=3)
        self.input = self.socket.makefile("rb")

    def read(self):
        """The next frame; None when the worker is gone."""
        head = self.input.read(4)
        if len(head) < 4:
            return None
        body = self.input.read(struct.unpack(">I", head)[0])
        return msgpack.unpackb(body, raw=False)

    def write(self, *frame):
        body = msgpack.packb(frame, use_bin_type=True)
        self.socket.sendall(struct.pack(">I", len(body)) + body)


def answers(target, records):
    """[index, outcome, reason] of every record."""
    out = []
    down = None
    for index, record in enumerate(records):
        try:
            if down is None:
                target.write(record)
        except Refused as error:
            out.append([index, "refused", str(error)])
            continue
        except OSError as error:
            down = str(error)
        if down is not None:
            out.append([index, "unavailable", down])
        else:
            out.append([index, "delivered", None])
    try:
        target.flush()
    except OSError as error:
        out = [[index, "unavailable", str(error)] if outcome == "delivered"
               else [index, outcome, reason] for index, outcome, reason in out]
    return out


def main():
    channel = Channel()
    target = None
    while (frame := channel.read()) is not None:
        name, args = frame[0], frame[1:]
        if name == "hello":
            channel.write("hello", 1, "exec_sink.py")
        elif name == "open":
            try:
                target = Lines(args[0])
                channel.write("opened", None)
            except (OSError, KeyError) as error:
                channel.write("opened", repr(error)[:1000])
        elif name == "batch":
            channel.write("answers", args[0], answers(target, args[1]))
        elif name == "probe":
            try:
                target.probe()
                channel.write("probed", args[0], None)
            except OSError as error:
                channel.write("probed", args[0], str(error))
        elif name == "close":
            break
    return 0


if __name__ == "__main__":
    sys.exit(main())
