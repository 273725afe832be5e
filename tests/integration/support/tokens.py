"""JSON Web Tokens made by hand, good ones and bad ones."""

import base64
import hashlib
import hmac
import json
import subprocess
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


def make_key_pair(directory, algorithm):
    """Keys of an outside identity provider; returns (private, public) paths."""
    private, public = directory / f"{algorithm}.key", directory / f"{algorithm}.pub"
    kind = {"RS256": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "ES256": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]}
    subprocess.run(["openssl", "genpkey", "-algorithm", *kind[algorithm], "-out", str(private)], check=True,
                   capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", str(private), "-pubout", "-out", str(public)], check=True, capture_output=True)
    return private, public


def encode_signed(claims, private, algorithm, **header):
    """A token signed by RS256 or ES256; `header` may claim something else."""
    text = b64(json.dumps({"alg": algorithm, "typ": "JWT", **header}).encode()) + "." + b64(json.dumps(claims).encode())
    signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", str(private)], input=text.encode(), check=True,
                               capture_output=True).stdout
    if algorithm == "ES256":
        # OpenSSL gives a DER sequence of two integers; a JWT wants both with 32 bytes (RFC 7518 section 3.4).
        at, parts = 2, []
        for _ in range(2):
            length = signature[at + 1]
            parts.append(signature[at + 2:at + 2 + length].lstrip(b"\0").rjust(32, b"\0"))
            at += 2 + length
        signature = b"".join(parts)
    return f"{text}.{b64(signature)}"
