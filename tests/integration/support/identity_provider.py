"""An outside identity provider: who makes tokens, and shows at a URL the keys that they are signed with.

Its keys are made by the program openssl, so that nothing here shares a mistake with the server.
"""

import json
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from . import tokens

ISSUER, AUDIENCE = "https://id.example", "chat"


def _openssl(*arguments):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True).stdout


class Key:
    """One pair of keys with its name."""

    def __init__(self, directory, kid, algorithm):
        directory = directory / f"key-{kid}"
        directory.mkdir()
        self.kid = kid
        self.algorithm = algorithm
        self.private, self.public = tokens.make_key_pair(directory, algorithm)

    def jwk(self, **more):
        named = {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        if self.algorithm == "RS256":
            modulus = _openssl("rsa", "-pubin", "-in", self.public, "-noout", "-modulus").decode().strip().split("=")[1]
            return {**named, "kty": "RSA", "n": tokens.b64(bytes.fromhex(modulus)), "e": "AQAB", **more}
        # What DER ends with is the point: both coordinates, 32 bytes each.
        point = _openssl("pkey", "-pubin", "-in", self.public, "-outform", "DER")[-64:]
        return {**named, "kty": "EC", "crv": "P-256", "x": tokens.b64(point[:32]), "y": tokens.b64(point[32:]), **more}

    def token(self, claims, **header):
        return tokens.encode_signed(claims, self.private, self.algorithm, **{"kid": self.kid, **header})


def claims(user, lifetime_s=3600, **more):
    return tokens.claims(user, lifetime_s, **{"iss": ISSUER, "aud": AUDIENCE, **more})


class Provider:
    """Shows `keys` from its start on, at `url`; over HTTPS where there is a `certificate` (two paths)."""

    def __init__(self, *keys, certificate=None):
        self.asked = 0
        self.show(*keys)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked += 1
                status, body = outer.answer
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*map(str, certificate))
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"{'https' if certificate else 'http'}://localhost:{self.server.server_address[1]}/keys"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def show(self, *keys):
        self.show_raw(json.dumps({"keys": [k if isinstance(k, dict) else k.jwk() for k in keys]}).encode())

    def show_raw(self, body, status=200):
        self.answer = (status, body)

    def end(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
