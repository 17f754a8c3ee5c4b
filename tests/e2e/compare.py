"""compare - what was sent, acknowledged and found, message by message.

Payloads are those of mqtt_raw.Publisher: {"p": publisher, "n": number}."""

import collections
import json


def numbers(payloads):
    """payloads -> publisher -> its numbers in the order they were found."""
    found = collections.defaultdict(list)
    for payload in payloads:
        if isinstance(payload, (bytes, bytearray, str)):
            payload = json.loads(payload)
        found[payload["p"]].append(payload["n"])
    return found


def faults(publisher, found, exactly_once):
    """What is wrong with the numbers found of one publisher: a list."""
    bad = []
    counts = collections.Counter(found)
    missing = sorted(publisher.acked - set(counts))
    if missing:
        bad.append("%d acknowledged are missing, as %s"
                   % (len(missing), missing[:10]))
    strange = [n for n in counts if n >= len(publisher.sends)]
    if strange:
        bad.append("never sent: %s" % strange[:10])
    twice = {n: c for n, c in counts.items()
             if n < len(publisher.sends)
             and c > (1 if exactly_once else publisher.sends[n])}
    if twice:
        bad.append("%d more than they were sent, as %s (sent %s)" % (
            len(twice), list(twice.items())[:10],
            [publisher.sends[n] for n in list(twice)[:10]]))
    first = list(dict.fromkeys(found))
    wrong = [(a, b) for a, b in zip(first, first[1:]) if b < a]
    if wrong:
        bad.append("out of order: %s" % wrong[:10])
    return ["%s: %s" % (publisher.client_id, text) for text in bad]


def check(publishers, payloads, where):
    """QoS 2 of a persistent session is exactly once; QoS 1 at most as often
    as the client sent it."""
    found = numbers(payloads)
    bad = []
    for p in publishers:
        bad += faults(p, found.pop(p.client_id, []),
                      p.qos == 2 and p.persistent)
    if found:
        bad.append("of strangers: %s" % list(found))
    assert not bad, "%s:\n%s" % (where, "\n".join(bad))


def check_subscriber(subscriber, publishers, qos):
    """What a persistent session got. A message may come twice only at QoS 1
    and then with DUP, on another connection."""
    by_publisher = {p.client_id: p for p in publishers}
    seen = {}
    bad = []
    order = collections.defaultdict(list)
    for m, connection in subscriber.got:
        body = json.loads(m.payload)
        key = (body["p"], body["n"])
        if key in seen:
            p = by_publisher[body["p"]]
            sent_again = p.sends[body["n"]] > 1 and not (
                p.qos == 2 and p.persistent)
            if m.qos == 2 and not sent_again:
                bad.append("%s twice at QoS 2" % (key,))
            elif m.qos == 1 and not sent_again and (
                    not m.dup or seen[key] == connection):
                bad.append("%s twice on connection %d (first %d), dup %s"
                           % (key, connection, seen[key], m.dup))
            continue
        seen[key] = connection
        order[body["p"]].append(body["n"])
    for p in publishers:
        got = order.pop(p.client_id, [])
        missing = sorted(p.acked - set(got))
        if missing:
            bad.append("%s: %d acknowledged never came, as %s"
                       % (p.client_id, len(missing), missing[:10]))
        wrong = [(a, b) for a, b in zip(got, got[1:]) if b < a]
        if wrong:
            bad.append("%s: out of order %s" % (p.client_id, wrong[:10]))
    assert not bad, "%s (QoS %d, %d connections):\n%s" % (
        subscriber.client_id, qos, subscriber.connects, "\n".join(bad[:20]))
    assert subscriber.sessions_lost == 0, (
        "%s lost its session %d times"
        % (subscriber.client_id, subscriber.sessions_lost))


def lines(path):
    """JSON records of a file connector's output."""
    with open(path) as f:
        return [json.loads(line) for line in f]
