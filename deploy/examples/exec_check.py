#!/usr/bin/python3
"""exec_check - does a command keep to exec/1 (docs/en/exec.md)?

    exec_check.py [--set NAME=VALUE]... [--timeout SECONDS] COMMAND [ARG]...

Starts the command as `type: exec` does, with --set as its settings, sends it
records of every shape (it does deliver them: use a target for tests), and
tells each rule that it breaks. Exit 0: none. Needs python3-msgpack.
"""

import argparse
import os
import socket
import struct
import subprocess
import sys
import time

import msgpack

FRAME_MAX = 1 << 20
REASON_MAX = 4096
OUTCOMES = {"delivered", "retryable", "refused", "unavailable", "unsure",
            "held"}


class Broken(Exception):
    """A rule of exec/1 that the command does not keep."""


def expect(is_kept, rule):
    if not is_kept:
        raise Broken(rule)


class Command:
    def __init__(self, args):
        ours, theirs = socket.socketpair()
        self.socket = ours
        self.socket.settimeout(args.timeout)
        number = theirs.fileno()

        def child():
            if number == 3:
                os.set_inheritable(3, True)
            else:
                os.dup2(number, 3)
            os.closerange(4, 1024)

        self.process = subprocess.Popen(
            args.command, stdin=subprocess.DEVNULL, stdout=sys.stderr,
            close_fds=False, preexec_fn=child, cwd="/",
            start_new_session=True)
        theirs.close()

    def send(self, *frame, pause=None):
        body = msgpack.packb(frame, use_bin_type=True)
        data = struct.pack(">I", len(body)) + body
        step = len(data) if pause is None else 1
        for at in range(0, len(data), step):
            self.socket.sendall(data[at:at + step])
            time.sleep(pause or 0)

    def take(self, count):
        data = b""
        while len(data) < count:
            try:
                part = self.socket.recv(count - len(data))
            except socket.timeout:
                raise Broken("it answers in time") from None
            expect(part, "it stays until it is closed")
            data += part
        return data

    def read(self, name, count):
        length = struct.unpack(">I", self.take(4))[0]
        expect(0 < length <= FRAME_MAX, "a frame has 1 to %d bytes, not %d"
               % (FRAME_MAX, length))
        try:
            frame = msgpack.unpackb(self.take(length), raw=False)
        except ValueError as error:
            raise Broken("a frame is one msgpack value: %s" % error) from None
        expect(isinstance(frame, list) and len(frame) == count
               and frame[0] == name, "%s with %d elements is due here, not %r"
               % (name, count, frame))
        return frame[1:]

    def end(self):
        self.socket.close()
        if self.process.poll() is None:
            os.killpg(self.process.pid, 9)
        self.process.wait()


def is_reason(reason):
    return reason is None or (isinstance(reason, str)
                              and len(reason.encode()) <= REASON_MAX)


def record(offset, **changes):
    return {"id": "check.1-0-%d" % offset, "stream": "check", "partition": 0,
            "offset": offset, "topic": "check/a", "key": b"check/a",
            "payload": b'{"n": %d}' % offset, "qos": 1, "retain": False,
            "timestamp_ms": 1700000000000 + offset, "client_id": "check",
            "username": None, "protocol": "mqtt", "content_type": None,
            "response_topic": None, "correlation_data": None, "headers": [],
            "order": 1, **changes}


def odd_records():
    return [record(0), record(1, payload=b""), record(2, payload=b"\xff\0"),
            record(3, key=None, client_id=None, protocol=None, order=0),
            record(4, headers=[["a", "1"], ["a", "2"], [b"\xff", b"\xfe"]]),
            record(5, topic=b"check/\xff", payload=b"x" * 100000),
            record(6, username="\u540d", content_type="text/plain",
                   response_topic="r", correlation_data=b"\0\1",
                   retain=True, qos=2, partition=65535)]


def answers_read(command, waiting):
    """Frames of answers until those to all batches are there; the batches
    may be answered in any order and in parts."""
    while waiting:
        number, answers = command.read("answers", 3)
        expect(number in waiting, "batch %r is under way" % (number,))
        expect(isinstance(answers, list), "answers are an array")
        for answer in answers:
            expect(isinstance(answer, list) and len(answer) == 3,
                   "an answer is [index, outcome, reason], not %r" % (answer,))
            index, outcome, reason = answer
            expect(index in waiting[number],
                   "record %r waits for an answer" % (index,))
            expect(outcome in OUTCOMES, "%r is an outcome" % (outcome,))
            expect(is_reason(reason), "a reason is nil or a text of at most "
                   "%d bytes" % REASON_MAX)
            waiting[number].remove(index)
        if not waiting[number]:
            del waiting[number]


def check(command, settings):
    command.send("hello", 1, "check", "check")
    command.send("open", settings, False)
    version, name = command.read("hello", 3)
    expect(version == 1, "its version is 1, not %r" % (version,))
    expect(isinstance(name, str) and len(name.encode()) <= 255,
           "its name is a text of at most 255 bytes")
    reason = command.read("opened", 2)[0]
    expect(reason is None, "it opens (with these settings): %r" % (reason,))
    command.send("probe", 7)
    number, reason = command.read("probed", 3)
    expect(number == 7 and is_reason(reason), "a probed has the probe's "
           "number and nil or a reason")
    odd = odd_records()
    command.send("batch", 8, odd)
    answers_read(command, {8: set(range(len(odd)))})
    for number in (9, 10, 11):
        command.send("batch", number, [record(20 * number + n)
                                       for n in range(20)])
    answers_read(command, {n: set(range(20)) for n in (9, 10, 11)})
    command.send("batch", 12, [record(300)], pause=0.001)
    answers_read(command, {12: {0}})
    command.send("close")
    try:
        command.process.wait(2)
    except subprocess.TimeoutExpired:
        raise Broken("it ends after close") from None


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--timeout", type=float, default=10)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    if not args.command:
        parser.error("no command")
    command = Command(args)
    try:
        check(command, dict(s.split("=", 1) for s in args.set))
    except (Broken, OSError) as error:
        print("exec/1 is not kept: %s" % error)
        return 1
    finally:
        command.end()
    print("exec/1 is kept")
    return 0


if __name__ == "__main__":
    sys.exit(main())
