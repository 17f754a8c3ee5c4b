"""kafka_mock - a Kafka cluster for tests: librdkafka's own mock, which speaks
the real protocol, in a process of its own so that it can be stopped.

Run as a program: prints its bootstrap servers, then does what lines on its
standard input say. consume() reads a topic with librdkafka itself.
"""

import ctypes
import ctypes.util
import os
import sys
import time

NAME = ctypes.util.find_library("rdkafka")
PRODUCER, CONSUMER = 0, 1


def library():
    lib = ctypes.CDLL(NAME)
    p, s, i = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, args in [
            ("rd_kafka_conf_new", p, []),
            ("rd_kafka_conf_set", i, [p, s, s, s, ctypes.c_size_t]),
            ("rd_kafka_new", p, [i, p, s, ctypes.c_size_t]),
            ("rd_kafka_mock_cluster_new", p, [p, i]),
            ("rd_kafka_mock_cluster_bootstraps", s, [p]),
            ("rd_kafka_mock_broker_set_down", i, [p, ctypes.c_int32]),
            ("rd_kafka_mock_broker_set_up", i, [p, ctypes.c_int32]),
            ("rd_kafka_mock_topic_create", i, [p, s, i, i]),
            ("rd_kafka_mock_topic_set_error", None, [p, s, i]),
            ("rd_kafka_mock_push_request_errors_array", None,
             [p, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(i)]),
            ("rd_kafka_topic_new", p, [p, s, p]),
            ("rd_kafka_consume_start", i, [p, ctypes.c_int32,
                                           ctypes.c_int64]),
            ("rd_kafka_consume", p, [p, ctypes.c_int32, i]),
            ("rd_kafka_consume_stop", i, [p, ctypes.c_int32]),
            ("rd_kafka_message_destroy", None, [p]),
            ("rd_kafka_message_headers", i, [p, ctypes.POINTER(p)]),
            ("rd_kafka_message_timestamp", ctypes.c_int64, [p, p]),
            ("rd_kafka_header_get_all", i, [
                p, ctypes.c_size_t, ctypes.POINTER(s), ctypes.POINTER(p),
                ctypes.POINTER(ctypes.c_size_t)]),
            ("rd_kafka_topic_destroy", None, [p]),
            ("rd_kafka_destroy", None, [p])]:
        function = getattr(lib, name)
        function.restype = result
        function.argtypes = args
    return lib


class Message(ctypes.Structure):
    _fields_ = [("err", ctypes.c_int), ("rkt", ctypes.c_void_p),
                ("partition", ctypes.c_int32), ("payload", ctypes.c_void_p),
                ("len", ctypes.c_size_t), ("key", ctypes.c_void_p),
                ("key_len", ctypes.c_size_t), ("offset", ctypes.c_int64),
                ("private", ctypes.c_void_p)]


def client(lib, kind, properties):
    conf = lib.rd_kafka_conf_new()
    text = ctypes.create_string_buffer(512)
    for name, value in {"log_level": "2", **properties}.items():
        assert lib.rd_kafka_conf_set(conf, name.encode(), value.encode(),
                                     text, 512) == 0, text.value
    made = lib.rd_kafka_new(kind, conf, text, 512)
    assert made, text.value
    return made


def consume(bootstrap, topic, partitions=1, idle=2.0):
    """(key, value, headers, timestamp) of all there is, by partition."""
    lib = library()
    rk = client(lib, CONSUMER, {"bootstrap.servers": bootstrap,
                                "group.id": "test"})
    rkt = lib.rd_kafka_topic_new(rk, topic.encode(), None)
    found = []
    for partition in range(partitions):
        lib.rd_kafka_consume_start(rkt, partition, 0)
        last = time.monotonic()
        while time.monotonic() - last < idle:
            at = lib.rd_kafka_consume(rkt, partition, 100)
            if not at:
                continue
            m = Message.from_address(at)
            if m.err == 0:
                last = time.monotonic()
                found.append(take(lib, at, m))
            lib.rd_kafka_message_destroy(at)
        lib.rd_kafka_consume_stop(rkt, partition)
    lib.rd_kafka_topic_destroy(rkt)
    lib.rd_kafka_destroy(rk)
    return found


def take(lib, at, m):
    headers, head = [], ctypes.c_void_p()
    if lib.rd_kafka_message_headers(at, ctypes.byref(head)) == 0:
        name, value, size = (ctypes.c_char_p(), ctypes.c_void_p(),
                             ctypes.c_size_t())
        n = 0
        while lib.rd_kafka_header_get_all(
                head, n, ctypes.byref(name), ctypes.byref(value),
                ctypes.byref(size)) == 0:
            headers.append((name.value.decode(),
                            ctypes.string_at(value, size.value)))
            n += 1
    return (ctypes.string_at(m.key, m.key_len) if m.key else None,
            ctypes.string_at(m.payload, m.len) if m.payload else None,
            headers, lib.rd_kafka_message_timestamp(at, None))


def main():
    lib = library()
    rk = client(lib, PRODUCER, {})
    cluster = lib.rd_kafka_mock_cluster_new(rk, 3)
    for topic in sys.argv[1:]:
        lib.rd_kafka_mock_topic_create(cluster, topic.encode(), 1, 3)
    print(lib.rd_kafka_mock_cluster_bootstraps(cluster).decode(), flush=True)
    for line in sys.stdin:
        words = line.split()
        if words[0] == "down":
            for broker in (1, 2, 3):
                lib.rd_kafka_mock_broker_set_down(cluster, broker)
        elif words[0] == "up":
            for broker in (1, 2, 3):
                lib.rd_kafka_mock_broker_set_up(cluster, broker)
        elif words[0] == "topic":
            lib.rd_kafka_mock_topic_set_error(cluster, words[1].encode(),
                                              int(words[2]))
        elif words[0] == "errors":
            codes = [int(w) for w in words[2:]]
            lib.rd_kafka_mock_push_request_errors_array(
                cluster, int(words[1]), len(codes),
                (ctypes.c_int * len(codes))(*codes))
        print("ok", flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
