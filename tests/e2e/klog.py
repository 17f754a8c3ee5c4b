"""klog - reads a stream's segments from disk by the Kafka format v2 alone,
as an oracle beside Bulkhead's own reader."""

import collections
import glob
import os
import struct

Record = collections.namedtuple(
    "Record", "offset timestamp key value headers topic producer")

HEADER = struct.Struct(">qiibIhiqqqhii")   # 61 bytes


def _table():
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


_CRC = _table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def _zigzag(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return (value >> 1) ^ -(value & 1), at
        shift += 7


def _bytes(data, at):
    size, at = _zigzag(data, at)
    if size < 0:
        return None, at
    return data[at:at + size], at + size


def records(batch, base, first_timestamp, producer, count):
    at = HEADER.size
    for _ in range(count):
        size, at = _zigzag(batch, at)
        end = at + size
        at += 1
        delta_time, at = _zigzag(batch, at)
        delta, at = _zigzag(batch, at)
        key, at = _bytes(batch, at)
        value, at = _bytes(batch, at)
        n, at = _zigzag(batch, at)
        headers = []
        topic = key
        for _ in range(n):
            name, at = _bytes(batch, at)
            content, at = _bytes(batch, at)
            headers.append((name.decode(), content))
            if name == b"bulkhead-topic":
                topic = content
        assert at == end, "a record's length is wrong"
        yield Record(base + delta, first_timestamp + delta_time, key, value,
                     headers, topic.decode() if topic else None, producer)


def segments(data, stream, partition=0):
    return sorted(glob.glob(os.path.join(data, "streams", stream,
                                         str(partition), "*.log")))


def batches(path):
    """(position, size, header fields, bytes) of each batch of a segment, up
    to the zeroes that were allocated beyond the last one."""
    with open(path, "rb") as f:
        data = f.read()
    at = 0
    while at + HEADER.size <= len(data):
        fields = HEADER.unpack_from(data, at)
        size = fields[1] + 12
        if fields[1] <= 0 or at + size > len(data):
            return
        yield at, size, fields, data[at:at + size]
        at += size


def read(data, stream, partition=0, check_crc=False):
    """All records of a partition in order."""
    out = []
    last = -1
    for path in segments(data, stream, partition):
        for at, size, fields, batch in batches(path):
            (base, _, _, magic, crc, attributes, _, first_timestamp, _,
             producer, _, _, count) = fields
            assert magic == 2, "%s at %d: magic %d" % (path, at, magic)
            assert attributes & 7 == 0, "compressed: not by us"
            if check_crc:
                assert crc32c(batch[21:]) == crc, "%s at %d: CRC" % (path, at)
            for record in records(batch, base, first_timestamp, producer,
                                  count):
                assert record.offset > last, (
                    "%s: offset %d after %d" % (path, record.offset, last))
                last = record.offset
                out.append(record)
    return out
