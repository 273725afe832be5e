"""A receiver of webhooks, and of the pre-send hook's questions: a real HTTP server that checks each signature by itself, notes
what came, and answers as the test says."""

import hashlib
import hmac
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .waiting import LIMIT_S, until

SECRET = "a-secret-that-only-this-test-knows"


def signature(secret, timestamp, body):
    return "v1=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


class Request:
    """One POST that was signed well."""

    def __init__(self, headers, body):
        self.headers = {k.lower(): v for k, v in headers.items()}
        self.raw = body
        self.body = json.loads(body)
        self.at = time.monotonic()

    @property
    def delivery(self):
        return self.headers["greenroom-delivery"]

    @property
    def attempt(self):
        return int(self.headers["greenroom-attempt"])

    @property
    def texts(self):
        return [e.get("text") for e in self.body["events"] if e["ev"] == "message"]


class Receiver:
    """Listens from its start on, at `url`. `answer(request)` says (status, body, headers); it may take its time."""

    def __init__(self, certificate=None, secrets=(SECRET,), port=0):
        self.secrets = list(secrets)
        self.requests = []  # all that came, whatever was answered
        self.accepted = []  # those that were answered with 2xx
        self.badly_signed = 0
        self.answer = lambda request: (200, b"", {})
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                timestamp = self.headers["Greenroom-Timestamp"]
                given = [s.strip() for s in self.headers["Greenroom-Signature"].split(",")]
                good = any(hmac.compare_digest(signature(s, timestamp, body), g) for s in outer.secrets for g in given)
                if not good or abs(time.time() - int(timestamp)) > 300:
                    with outer.lock:
                        outer.badly_signed += 1
                    self.reply(401, b"", {})
                    return
                request = Request(self.headers, body)
                with outer.lock:
                    outer.requests.append(request)
                status, answer, headers = outer.answer(request)
                if 200 <= status < 300:
                    with outer.lock:
                        outer.accepted.append(request)
                try:
                    self.reply(status, answer, headers)
                except OSError:
                    pass  # whoever asked has gone

            def reply(self, status, body, headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, *_):
                pass  # connections that end in the middle

        self.server = Quiet(("127.0.0.1", port), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*map(str, certificate))
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.url = f"{'https' if certificate else 'http'}://localhost:{self.port}/hook?x=1"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def says(self, action, **more):
        """Answers of the pre-send hook."""
        body = json.dumps({"action": action, **more}).encode()
        self.answer = lambda request: (200, body, {})

    def fails(self, status=500, **headers):
        self.answer = lambda request: (status, b"", headers)

    def works(self):
        self.answer = lambda request: (200, b"", {})

    def wait_requests(self, count, limit_s=LIMIT_S):
        until(lambda: len(self.requests) >= count, f"{count} requests", limit_s)

    def events(self, room):
        """What has been accepted of a room: seq -> event, and the seqs in the order in which they came first. Each delivery
        must begin where what was accepted before it ends, or before."""
        known, order, end = {}, [], None
        with self.lock:
            accepted = list(self.accepted)
        for r in accepted:
            if r.body["room"] != room:
                continue
            first, last = r.body["first"], r.body["last"]
            assert end is None or first <= end + 1 or "missed" in r.body, f"a hole between {end} and {first} in {room}"
            assert [e["seq"] for e in r.body["events"]] == sorted(e["seq"] for e in r.body["events"])
            for e in r.body["events"]:
                assert first <= e["seq"] <= last and e["room"] == room
                if e["seq"] not in known:
                    order.append(e["seq"])
                known[e["seq"]] = e
            end = last if end is None else max(end, last)
        assert order == sorted(order), f"{room} came out of order: {order}"
        return known

    def wait_texts(self, room, texts, limit_s=LIMIT_S):
        until(lambda: {e.get("text") for e in self.events(room).values()} >= set(texts), f"{len(texts)} texts of {room}", limit_s)


def secret_file(directory, *secrets, name="hook.secret"):
    path = directory / name
    path.write_text("".join(f"{s}\n" for s in secrets or (SECRET,)))
    return str(path)
