"""sigv4 - checks the AWS signature, version 4, of a request, from the
published description of it. Independent of what libcurl does."""

import hashlib
import hmac
import re
import urllib.parse


def _mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def fault(request, secret, region, service, key_id="AKID"):
    """What is wrong with the signature; None if it is right. request: dict
    of method, path, headers (lower case), body."""
    headers = request["headers"]
    found = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/"
        r"aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})",
        headers.get("authorization", ""))
    if not found:
        return "no signature: %r" % headers.get("authorization")
    key, day, place, what, names, signature = found.groups()
    if (key, place, what) != (key_id, region, service):
        return "signed for %s %s %s" % (key, place, what)
    names = names.split(";")
    for must in ("host", "x-amz-date"):
        if must not in names:
            return must + " is not signed"
    for name in headers:
        if name.startswith("x-amz-") and name not in names:
            return name + " is not signed"
    digest = hashlib.sha256(request["body"]).hexdigest()
    if service == "s3":
        if headers.get("x-amz-content-sha256") != digest:
            return "x-amz-content-sha256 is not the body's"
    path, _, query = request["path"].partition("?")
    if service != "s3":
        path = urllib.parse.quote(path, safe="/-_.~")
    pairs = sorted(tuple(p.partition("=")[::2]) for p in query.split("&")
                   if p)
    canonical = "\n".join(
        [request["method"], path, "&".join("%s=%s" % p for p in pairs)]
        + ["%s:%s" % (n, " ".join(headers.get(n, "").split()))
           for n in names] + ["", ";".join(names), digest])
    scope = "/".join((day, region, service, "aws4_request"))
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope,
                      hashlib.sha256(canonical.encode()).hexdigest()])
    sign = ("AWS4" + secret).encode()
    for part in (day, region, service, "aws4_request"):
        sign = _mac(sign, part)
    want = hmac.new(sign, text.encode(), hashlib.sha256).hexdigest()
    return None if want == signature else "another signature for:\n" + text
