"""A player for servers with faults in them that uploads attachments part by part, on whichever node, sends messages with them,
reads them back, and takes some of the messages back. What was acknowledged of an upload must stay; what was sent must be there,
whole, until it is revoked, and then gone. What it finds wrong is in record.broken."""

from http.client import HTTPException

from .files import described, path_to, sha256
from .kill import Player

PASSING = (429, 503, 504)


class Uploader(Player):
    """In a room of its own, where it is a member and nobody else speaks."""

    pause_s = 0.2
    chunk_bytes = 131_072

    def __init__(self, *args, room, **how):
        super().__init__(*args, **how)
        self.room = room
        self.uploads = self.revoked = 0
        self.kept = []  # (id, content)

    def play(self):
        while not self.finish.is_set() and not self.stops.is_set():
            self.finish.wait(self.pause_s)  # the pace of this uploader
            content = self.chance.randbytes(self.chance.randrange(1, 3 * self.chunk_bytes))
            file = self._upload(content)
            if file is None:
                continue
            sent = self._send(file)
            self._look(file, content, 200)
            self.uploads += 1
            if self.chance.random() < 0.5:
                self._ask("DELETE", f"/api/v1/rooms/{self.room}/messages/{sent}", headers={"Idempotency-Key": f"r-{file}"})
                self._look(file, content, 404)
                self.revoked += 1
            else:
                self.kept.append((file, content))
        for file, content in self.kept:
            self._look(file, content, 200)

    def _ask(self, method, path, body=None, headers=None, also=()):
        """The answer, as soon as there is one that holds, with a status below 300 or one of `also`."""
        while True:
            try:
                node = self.server.any_node() if hasattr(self.server, "any_node") else self.server
                answer = node.rest(method, path, body, self.token, headers, limit_s=self.patience_s or 20)
                if answer.status < 300 or answer.status in also:
                    return answer
                if answer.status not in PASSING:
                    raise AssertionError(f"{self.user}: {method} {path}: {answer}")
            except (OSError, HTTPException):
                pass
            if self.stops.is_set():
                raise ConnectionError("the test is over")
            self.stops.wait(0.1)  # between two attempts

    def _upload(self, content):
        """Its id; None: it was begun in vain, because a clock has jumped beyond its time."""
        body = {"name": "cat.png", "type": "image/png", "size": len(content), "sha256": sha256(content)}
        file = self._ask("POST", path_to(self.room), body).json["id"]
        stored = 0
        while True:
            told = self._ask("GET", path_to(self.room, file, "/info"), also=(404,))
            if told.status == 404:
                if not self.record.clocks_jump:
                    self.record.broken.append(f"{self.room}: the upload {file} is gone, {stored} bytes were acknowledged")
                return None
            if told.json["offset"] < stored:
                self.record.broken.append(f"{self.room}: of the upload {file} {stored} bytes were acknowledged, then {told}")
            stored = told.json["offset"]
            if told.json["complete"]:
                return file
            # Sometimes one chunk, sometimes all the rest; another attempt of ours may still be on its way (409).
            end = stored + self.chunk_bytes if self.chance.random() < 0.5 else len(content)
            part = self._ask("PATCH", path_to(self.room, file), content[stored:end], {"Upload-Offset": stored}, also=(404, 409))
            if part.status == 200:
                stored = part.json["offset"]

    def _send(self, file):
        return self._ask("POST", f"/api/v1/rooms/{self.room}/messages", {"attachments": [file]},
                         {"Idempotency-Key": f"s-{file}"}).json["seq"]

    def _look(self, file, content, status):
        answer = self._ask("GET", path_to(self.room, file), also=(404,))
        if answer.status != status or status == 200 and answer.body != content:
            self.record.broken.append(f"{self.room}: {described(content, file)} was to be answered {status}, came {answer.status} "
                                      f"with {len(answer.body)} bytes")
