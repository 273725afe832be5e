"""A WebSocket client (RFC 6455) over a plain or TLS socket that can also do everything wrong.

Owns one socket. Used from one thread. Reads are blocking with a deadline; nothing is read in the background, so a test
decides when its client reads, and a client that never reads is one that the test does not ask to.
"""

import base64
import hashlib
import os
import socket
import ssl
import struct
import time

from .waiting import LIMIT_S

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

contract = None  # the module contract.py where conftest.py has put it: then everything that is said is held against it


class Closed(Exception):
    """The connection has ended. `code` is that of the server's close frame, None where there was none."""

    def __init__(self, code, reason=""):
        super().__init__(f"closed {code} {reason}".strip())
        self.code = code
        self.reason = reason


class Refused(Exception):
    """The upgrade was answered with an ordinary HTTP answer."""

    def __init__(self, status, headers, body):
        super().__init__(f"HTTP {status}: {body[:200]!r}")
        self.status = status
        self.headers = headers
        self.body = body


def tls_context(authority):
    """A client's TLS settings that trust the certificate in the file `authority` only."""
    context = ssl.create_default_context(cafile=authority)
    context.check_hostname = False
    return context


def open_socket(port, tls=None, limit_s=LIMIT_S, receive_buffer=None, host="127.0.0.1"):
    """A connected socket; `tls` is an ssl.SSLContext. `receive_buffer` in bytes."""
    raw = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if receive_buffer:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw.settimeout(limit_s)
    try:
        raw.connect((host, port))
        return tls.wrap_socket(raw, server_hostname="localhost") if tls else raw
    except BaseException:
        raw.close()
        raise


def frame(opcode, payload, fin=True, mask=True, rsv=0, length=None):
    """The bytes of one client frame. `length` overrides the announced payload length; `rsv` holds three bits."""
    head = bytes([(0x80 if fin else 0) | (rsv << 4) | opcode])
    announced = len(payload) if length is None else length
    bit = 0x80 if mask else 0
    if announced < 126:
        head += bytes([bit | announced])
    elif announced < 65536:
        head += bytes([bit | 126]) + struct.pack("!H", announced)
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", announced)
    if not mask:
        return head + payload
    key = os.urandom(4)
    pad = (key * (len(payload) // 4 + 1))[: len(payload)]
    body = (int.from_bytes(payload, "little") ^ int.from_bytes(pad, "little")).to_bytes(len(payload), "little")
    return head + key + body


class WebSocket:
    """After the constructor the upgrade has succeeded; it raises Refused where it was answered otherwise."""

    def __init__(self, port, path="/ws", headers=(), protocol="greenroom.v1", tls=None, limit_s=LIMIT_S,
                 receive_buffer=None, host="127.0.0.1"):
        self.limit_s = limit_s
        self.close_frame = None
        self.pings = 0
        self.answer_pings = True
        self._buffer = bytearray()  # cutting from its front is cheap
        self._watch = contract.Watch() if contract else None
        self.sock = open_socket(port, tls, limit_s, receive_buffer, host)
        try:
            self._upgrade(port, path, headers, protocol)
        except BaseException:
            self.sock.close()
            raise

    def _upgrade(self, port, path, headers, protocol):
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade",
                 f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        if protocol:
            lines.append(f"Sec-WebSocket-Protocol: {protocol}")
        lines += [f"{name}: {value}" for name, value in headers]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        deadline = time.monotonic() + self.limit_s
        while b"\r\n\r\n" not in self._buffer:
            self._fill(deadline)
        head = self._take(self._buffer.index(b"\r\n\r\n"))
        self._take(4)
        status, *rest = head.decode("latin-1").split("\r\n")
        self.headers = {n.strip().lower(): v.strip() for n, v in (line.split(":", 1) for line in rest)}
        code = int(status.split()[1])
        if code != 101:
            want = int(self.headers.get("content-length", "0"))
            while len(self._buffer) < want:
                self._fill(deadline)
            refused = Refused(code, self.headers, bytes(self._buffer[:want]))
            if contract:
                contract.REST.check("GET", path, dict(headers), None, refused)
            raise refused
        accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        if contract:
            contract.REST.check("GET", path, dict(headers), None, Refused(code, self.headers, b""))
        assert self.headers["sec-websocket-accept"] == accept
        assert self.headers.get("sec-websocket-protocol") == protocol
        self.protocol = self.headers.get("sec-websocket-protocol")

    # -- sending -------------------------------------------------------------------------------------------------------
    def send_bytes(self, data):
        """Any bytes at all. Raises Closed where the connection has ended."""
        if self._watch:
            self._watch.raw = True
        self._send(data)

    def _send(self, data):
        if self.sock.fileno() < 0:
            raise Closed(*(self.close_frame or (None, "")))
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            raise Closed(self._close_frame_left()) from None

    def send_text(self, text):
        if self._watch:
            self._watch.sent(text)
        self._send(frame(TEXT, text.encode() if isinstance(text, str) else text))

    def send_close(self, code=1000, reason=""):
        if self._watch:
            self._watch.said_goodbye = True
        self._send(frame(CLOSE, struct.pack("!H", code) + reason.encode()))

    def kill(self):
        """The client is gone without a word."""
        self.sock.close()

    def leave(self, code=1000):
        """The closing handshake; returns the server's close code."""
        self.send_close(code)
        return self.wait_closed().code

    # -- receiving -----------------------------------------------------------------------------------------------------
    def _fill(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("nothing came from the server in time")
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(262144)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError) as e:
            if isinstance(e, TimeoutError):
                raise
            data = b""
        finally:
            if self.sock.fileno() >= 0:
                self.sock.settimeout(self.limit_s)
        if not data:
            raise Closed(*(self.close_frame or (None, "")))
        self._buffer += data

    def _take(self, n):
        data = bytes(self._buffer[:n])
        del self._buffer[:n]
        return data

    def receive_frame(self, limit_s=None):
        """(fin, opcode, payload) of the next frame, whatever it is. Raises Closed at the end, TimeoutError."""
        if self.sock.fileno() < 0:
            raise Closed(*(self.close_frame or (None, "")))
        deadline = time.monotonic() + (self.limit_s if limit_s is None else limit_s)
        # Taken in one piece or not at all: after a TimeoutError the next call starts at a frame again.
        while True:
            need = self._frame_size()
            if need and len(self._buffer) >= need[0]:
                break
            self._fill(deadline)
        total, head = need
        fin, opcode = self._last
        return fin, opcode, self._take(total)[head:]

    def _frame_size(self):
        b = self._buffer
        if len(b) < 2:
            return None
        assert not b[1] & 0x80, "the server masked a frame"
        assert not b[0] & 0x70, "the server set a reserved bit"
        self._last = (bool(b[0] & 0x80), b[0] & 0x0F)
        n, head = b[1] & 0x7F, 2
        if n == 126:
            if len(b) < 4:
                return None
            n, head = struct.unpack("!H", b[2:4])[0], 4
        elif n == 127:
            if len(b) < 10:
                return None
            n, head = struct.unpack("!Q", b[2:10])[0], 10
        return head + n, head

    def receive_text(self, limit_s=None):
        """The next text message; pings are answered and counted. Raises Closed when the connection ends."""
        deadline = time.monotonic() + (self.limit_s if limit_s is None else limit_s)
        parts = None
        while True:
            fin, opcode, data = self.receive_frame(max(0.0, deadline - time.monotonic()))
            if opcode == PING:
                self.pings += 1
                if self.answer_pings:
                    self._send(frame(PONG, data))
            elif opcode == CLOSE:
                self._note_close(data)
                try:
                    self._send(frame(CLOSE, data[:2]))
                except (Closed, OSError):
                    pass
                self.sock.close()  # the server waits for this, or for its patience to end
                raise Closed(*self.close_frame)
            elif opcode in (TEXT, CONTINUATION):
                assert (opcode == TEXT) == (parts is None), "fragments out of order"
                parts = (parts or b"") + data
                if fin:
                    text = parts.decode("utf-8")
                    if self._watch:
                        self._watch.received(text)
                    return text
            else:
                assert opcode == PONG, f"opcode {opcode} from the server"

    def _note_close(self, data):
        code = struct.unpack("!H", data[:2])[0] if len(data) >= 2 else 1005
        self.close_frame = (code, data[2:].decode("utf-8"))
        if self._watch:
            self._watch.closed(code)

    def _close_frame_left(self):
        """After a failed write: the code of a close frame that arrived before, or None."""
        try:
            while True:
                self.receive_text(1)
        except Closed as e:
            return e.code
        except (OSError, TimeoutError):
            return None

    def wait_closed(self, limit_s=None):
        """Reads on until the connection ends; returns the Closed."""
        try:
            while True:
                self.receive_text(limit_s)
        except Closed as e:
            return e
