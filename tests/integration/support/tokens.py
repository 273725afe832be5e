"""JSON Web Tokens made by hand, good ones and bad ones."""

import base64
import hashlib
import hmac
import json
import time


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def encode(claims, secret, algorithm="HS256", **header):
    """A token with these claims. `algorithm` is only what the header says: the signature is always HMAC-SHA256, or
    empty for "none"."""
    head = b64(json.dumps({"alg": algorithm, "typ": "JWT", **header}).encode())
    body = b64(json.dumps(claims).encode())
    if algorithm == "none":
        return f"{head}.{body}."
    return f"{head}.{body}." + b64(hmac.new(secret, f"{head}.{body}".encode(), hashlib.sha256).digest())


def claims(user, lifetime_s=3600, **more):
    now = int(time.time())
    return {"iss": "greenroom", "sub": user, "iat": now, "exp": now + lifetime_s, **more}
