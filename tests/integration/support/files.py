"""Attachments through REST, for tests: uploaded at once or part by part, over a connection that may break in the middle, on
whichever node."""

import hashlib
import json
import random
import socket
from urllib.parse import quote

from .waiting import until


def some_bytes(count, seed=1):
    return random.Random(seed).randbytes(count)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def path_to(room, file="", rest=""):
    return f"/api/v1/rooms/{quote(room, safe='')}/attachments{'/' if file else ''}{file}{rest}"


def begin(server, token, room, content, name="cat.png", status=201, **fields):
    """What the server says of an upload that is begun: its id, for one."""
    body = {"name": name, "type": "image/png", "size": len(content), "sha256": sha256(content), **fields}
    answer = server.rest("POST", path_to(room), body, token)
    assert answer.status == status, answer
    return answer.json


def store(server, token, room, file, content, offset, status=200):
    answer = server.rest("PATCH", path_to(room, file), content[offset:], token, {"Upload-Offset": offset})
    assert answer.status == status, answer
    return answer


def offset_of(server, token, room, file):
    answer = server.rest("HEAD", path_to(room, file), token=token)
    assert answer.status == 204, answer
    return int(answer.headers["upload-offset"])


def upload(server, token, room, content, **fields):
    """Returns its id."""
    file = begin(server, token, room, content, **fields)["id"]
    done = store(server, token, room, file, content, 0).json
    assert done["complete"] and done["offset"] == len(content) and done["sha256"] == sha256(content)
    return file


def go_on(servers, token, room, file, content, chance, limit_s=60):
    """Until the upload is complete, on one server after the other, whatever happens to them. A part that broke may have been
    stored all the same: the next one is asked where it stands."""
    def is_complete():
        server = chance.choice(servers)
        try:
            told = server.rest("GET", path_to(room, file, "/info"), token=token, limit_s=10)
            if told.status != 200 or told.json["complete"]:
                return told.status == 200
            at = told.json["offset"]
            part = server.rest("PATCH", path_to(room, file), content[at:], token, {"Upload-Offset": at}, limit_s=20)
            return part.status == 200 and part.json["complete"]
        except (OSError, ValueError, EOFError) as e:
            if isinstance(e, AssertionError):
                raise
            return False
        except Exception as e:  # http.client's own: the server has gone in the middle of an answer
            if type(e).__module__ != "http.client":
                raise
            return False

    until(is_complete, f"{file} is uploaded", limit_s)


class Broken:
    """A PATCH whose body stops in the middle: the connection stays until cut(). `is_wanted`: it waits until the server asks for
    the body, and so holds a place among the transfers."""

    def __init__(self, server, token, room, file, offset, promised, sent, is_wanted=False):
        self.socket = socket.create_connection((server.host, server.port), timeout=30)
        head = (f"PATCH {path_to(room, file)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
                f"Upload-Offset: {offset}\r\nContent-Length: {promised}\r\n")
        if is_wanted:
            self.socket.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
            assert self.socket.recv(100).startswith(b"HTTP/1.1 100 ")
            self.socket.sendall(sent)
        else:
            self.socket.sendall(f"{head}\r\n".encode() + sent)

    def cut(self):
        self.socket.close()


def download(server, token, room, file):
    answer = server.rest("GET", path_to(room, file), token=token)
    assert answer.status == 200, answer
    return answer.body


def described(content, file, name="cat.png", kind="image/png"):
    """As a message says it."""
    return {"id": file, "name": name, "type": kind, "size": len(content), "sha256": sha256(content)}


def json_of(answer):
    return json.loads(answer.body)
