"""The players of the kill test: senders that never give up what they ask, and subscribers that come back with their
positions. Each runs in a thread of its own and notes what it knows in a checker.Record; judging is the checker's."""

import json
import random
import threading
import time

from .author import Author
from .checker import Ack, Kept, Page, Refusal, Thread
from .client import DURABLE, RequestError, TooLong
from .waiting import LIMIT_S, now_ms, until
from .websocket import Closed, Refused

THREADS_READ = 20  # of one room, at the end, by each reader from each node

# While the server is down, connecting fails in one of these ways. AssertionError is never among them.
DOWN = (Closed, Refused, OSError)


def is_passing(e):
    """What a cluster with faults in it may answer, or not answer."""
    return isinstance(e, TooLong) or isinstance(e, RequestError) and e.code == "unavailable"


class Player:
    """A thread that connects until it is told to end; what it can't explain is in `failure`."""

    # Set where a connection may be stuck (its node is stopped, or cut off): after so many seconds without an answer the
    # player comes again, and it gives up only when it is told to end.
    patience_s = None

    def __init__(self, server, record, user, seed, tls=False):
        self.server, self.record, self.user, self.use_tls = server, record, user, tls
        self.token = server.token(user, 7200, sid=f"session-of-{user}")
        self.chance = random.Random(f"{seed}/{user}")
        self.finish = threading.Event()  # to be set when everything was said
        self.stops = threading.Event()  # to be set when the test is over, however it went
        self.failure = None
        self.connections = 0
        self.thread = threading.Thread(target=self._run, name=user)

    def _run(self):
        try:
            self.play()
        except BaseException as e:
            if not self.stops.is_set():
                self.failure = e

    def connect(self, **hello):
        """A client that said hello, as soon as the server is there."""
        deadline = time.monotonic() + LIMIT_S * 2
        while True:
            client = None
            try:
                how = {"limit_s": self.patience_s} if self.patience_s else {}
                client = self.server.open(self.user, tls=self.use_tls, check_order=False, **how)
                client.hello = client.answer(client.post("hello", token=self.token, device="kill", **hello),
                                             self.patience_s or LIMIT_S)
                self.connections += 1
                return client
            except (*DOWN, TooLong, RequestError) as e:
                if client:
                    client.kill()
                if not (isinstance(e, DOWN) or self.patience_s and is_passing(e)):
                    raise
                if self.stops.is_set() or not self.patience_s and time.monotonic() > deadline:
                    raise
                time.sleep(0.2 if self.patience_s else 0.02)  # between attempts to connect; nothing is waited for by this

    def play(self):
        raise NotImplementedError


class Sender(Player):
    """Sends to its rooms in turn, and changes what was sent (author.py), `window` unanswered at most. After a crash it asks
    everything unanswered again, in the old order and under the old keys. `direct`: users to whom it sends, too."""

    pause_s = 0.0  # between two sends
    # Whether `unavailable` says that nothing was done. In a cluster it may also be the end of a wait for an answer.
    refusals_are_certain = True

    def __init__(self, *args, rooms, direct=(), window=16, **how):
        super().__init__(*args, **how)
        self.targets = [{"room": r} for r in rooms] + [{"to": u} for u in direct]
        self.window = window
        self.unanswered = []  # requests without id, oldest first
        self.answered = 0
        self.duplicates = 0
        self.refused = 0
        self.author = Author(self.user, self.record, self.chance)
        for t in self.targets:
            self.record.sent[(self.user, self.room_of(t))] = []

    def room_of(self, target):
        return target["room"] if "room" in target else "@" + "+".join(sorted([self.user, target["to"]]))

    def play(self):
        n = 0
        client = None
        flight = []
        while not (self.finish.is_set() and not self.unanswered):
            try:
                if self.stops.is_set():
                    raise Closed(None)
                if client is None:
                    client = self.connect(subscribe="none")
                    flight = [client.prepare(**u) for u in self.unanswered]
                    if flight:
                        client.post_all(flight)
                while len(flight) < self.window and not self.finish.is_set():
                    target = self.chance.choice(self.targets)
                    room = self.room_of(target)
                    n += 1
                    request = self.author.draw(room, target, n)
                    self.unanswered.append(request)
                    self.record.asked[(room, self.user, request["key"])] = request
                    self.record.sent[(self.user, room)].append(request["key"])
                    if "at" in request:
                        self.record.uncertain.add((self.user, room, request["key"]))
                    flight.append(client.prepare(**request))
                    client.ws.send_text(json.dumps(flight[-1]))
                    if self.pause_s:
                        time.sleep(self.pause_s)  # the pace of this sender, not a wait for something
                if flight:
                    self._settle(client, flight)
            except DOWN:
                if client:
                    self._note_early_answers(client, flight)
                    client.kill()
                    for request in flight:
                        self._doubt(request)  # some may be refused there, unheard, and some done
                client = None
                if self.stops.is_set():
                    return
        if client:
            client.kill()

    def _settle(self, client, flight):
        """Takes the answer to the oldest request."""
        deadline = time.monotonic() + (self.patience_s or LIMIT_S)
        while flight[0]["id"] not in client.answers:
            try:
                client._pump(deadline, f"{self.user}: an answer")
            except TooLong:
                if not self.patience_s:
                    raise
                raise Closed(None) from None
        self._note(client.answers.pop(flight[0]["id"]), flight.pop(0))

    def _note_early_answers(self, client, flight):
        """What was answered before the crash counts, also when an older request was not."""
        for request in list(flight):
            answer = client.answers.pop(request["id"], None)
            if answer:
                flight.remove(request)
                try:
                    self._note(answer, request)
                except Closed:
                    pass  # refused, which is noted; the connection is at its end as it is

    def _doubt(self, request):
        """Where it comes to stand among the others is open from now on."""
        if not self.refusals_are_certain:
            self.record.uncertain.add((self.user, self.room_of(request), request["key"]))

    def _note(self, answer, request):
        asked = next(u for u in self.unanswered if u["key"] == request["key"])
        self.unanswered.remove(asked)
        room = self.room_of(request)
        sent = self.record.sent[(self.user, room)]
        if "ok" in answer:
            ok = answer["ok"]
            self.duplicates += "duplicate" in ok
            self.answered += 1
            if "seq" not in ok:
                self.record.kept.append(Kept(room, self.user, asked["key"], ok["epoch"], ok["at"]))
                return
            self.record.acks.append(
                Ack(room, self.user, asked["key"], asked.get("text", ""), ok["epoch"], ok["seq"], ok["ts"], asked))
            self.author.note(room, asked, ok["seq"])
            return
        code = answer["error"]["code"]
        if "at" in asked and code == "bad_request":
            self._note_too_late(answer, room, asked)
            return
        sent.remove(asked["key"])
        if asked["op"] != "send" and code in ("conflict", "not_found"):
            self.answered += 1
            self.record.refusals.append(Refusal(room, self.user, asked["key"], asked, code))
            return
        # It is asked again later, and stands there in the order.
        assert code == "unavailable", (asked, answer)
        self.refused += 1
        self._doubt(asked)
        sent.append(asked["key"])
        self.unanswered.append(asked)
        raise Closed(None)


    def _note_too_late(self, answer, room, asked):
        """It was not asked in time. Where clocks differ, another attempt may have been done all the same."""
        assert answer["error"]["message"] == "at: has passed", (asked, answer)
        self.answered += 1
        self.record.passed.add((room, self.user, asked["key"]))
        if self.refusals_are_certain:
            assert now_ms() >= asked["at"], (asked, answer)
            self.record.refusals.append(Refusal(room, self.user, asked["key"], asked, answer["error"]["code"]))


def breaks_silence(event, room, revoked):
    """Whether it tells what a message said that is among those in `revoked`."""
    return ((room, event["target"] if event["ev"] == "edited" else event["seq"]) in revoked
            and event["ev"] in ("message", "edited") and event.get("revoked") is not True)


class Subscriber(Player):
    """Listens to its rooms from the positions in `positions` on and comes back where it stopped, after each crash and, now
    and then, by its own choice."""

    def __init__(self, *args, positions, subscribe, **how):
        super().__init__(*args, **how)
        self.positions = {r: dict(p) for r, p in positions.items()}
        self.subscribe = subscribe
        self.record.start[self.user] = {r: p["seq"] for r, p in positions.items()}
        self.record.seen[self.user] = {r: [] for r in positions}
        self.goal = None  # room -> seq, set when everything was said
        self.revoked = frozenset()  # when this connection began

    def play(self):
        while not self._done():
            self.revoked = frozenset(self.record.revoked)
            client = self.connect(resume=self.positions, subscribe=self.subscribe)
            resumed = client.hello["resumed"]
            if self.patience_s and any(r.get("error", {}).get("code") == "unavailable" for r in resumed.values()):
                client.kill()
                continue
            for room in self.positions:
                assert resumed[room].get("recovered") is True, f"{self.user}: {room} was not recovered: {resumed[room]}"
            leave_after = self.chance.choice([50, 500, 5000, None])
            try:
                self._listen(client, leave_after)
            except DOWN:
                self._take(client)
            client.kill()

    def _listen(self, client, leave_after):
        taken = 0
        while not self._done():
            try:
                client._pump(time.monotonic() + 0.2, "an event")
            except AssertionError:
                continue  # nothing came for a while; look at the goal again
            taken += self._take(client)
            if leave_after is not None and taken >= leave_after:
                return

    def _take(self, client):
        n = 0
        while client.events:
            e = client.events.popleft()
            if e["ev"] in DURABLE and e["room"] in self.positions:
                self.record.seen[self.user][e["room"]].append(e)
                self.positions[e["room"]]["seq"] = e["seq"]
                if breaks_silence(e, e["room"], self.revoked):
                    self.record.broken.append(f"{e['room']}: {self.user} was told what had been revoked: {e}")
                n += 1
        return n

    def _done(self):
        return self.stops.is_set() or self.goal is not None and all(self.positions[r]["seq"] >= s for r, s in self.goal.items())


class Play:
    """A server, its players and the rooms they use."""

    def __init__(self, server, record, seed):
        self.server, self.record, self.seed = server, record, seed
        self.players = []

    def begin(self):
        for p in self.players:
            p.thread.start()

    def check_players(self):
        for p in self.players:
            if p.failure:
                raise p.failure

    def answered(self):
        return sum(p.answered for p in self.players if isinstance(p, Sender))

    def end(self, rooms):
        """Everybody finishes; returns (logs, epochs) of `rooms`: room -> the users who read it, from every node."""
        askers = [p for p in self.players if not isinstance(p, Subscriber)]
        for p in askers:
            p.finish.set()
        until(lambda: self.check_players() or not any(p.thread.is_alive() for p in askers), "every request was answered",
              LIMIT_S * 2)
        self._await_scheduled()
        logs, epochs = {}, {}
        for room, readers in rooms.items():
            logs[room], epochs[room] = self._read(room, readers)
        for p in self.players:
            if isinstance(p, Subscriber):
                p.goal = {r: logs[r][-1]["seq"] for r in p.positions}
        try:
            until(lambda: self.check_players() or not any(p.thread.is_alive() for p in self.players),
                  "every subscriber saw everything", LIMIT_S * 2)
        except AssertionError as e:
            self.check_players()
            behind = {p.user: {r: (p.positions[r]["seq"], s) for r, s in p.goal.items()} for p in self.players
                      if isinstance(p, Subscriber) and p.thread.is_alive()}
            for p in self.players:
                p.goal = {}
            raise AssertionError(f"{e}; (saw, head) of those who wait: {behind}") from None
        return logs, epochs

    def _await_scheduled(self):
        """Nothing waits for its time any more, or should not: what is missing then is for the judge to find."""
        def none_left(client, room):
            try:
                return client.request("scheduled", room=room)["sends"] == []
            except RequestError as e:
                if not is_passing(e):
                    raise
                return False

        for room, user in sorted({(k.room, k.user) for k in self.record.kept}):
            client = self.server.sign_in(user, subscribe="none")
            try:
                until(lambda: none_left(client, room), f"all that {user} scheduled in {room} is sent")
            except AssertionError as e:
                self.record.broken.append(f"{room}: {e}")
            finally:
                client.kill()

    def _read(self, room, readers):
        """What history, threads and a resume from seq 0 tell, for the record; the latter, and the epoch."""
        for node in getattr(self.server, "nodes", [self.server]):
            name = node.settings.get("node.name", "the server")
            for user in readers:
                events, page = node.history(self.server.token(user), room)
                head = events[-1]["seq"]
                self.record.pages.append(Page(room, user, name, 0, head, page["as_of"], events, is_whole=True))
                roots = sorted({e["reply_to"] for e in events if "reply_to" in e})
                for root in roots[:THREADS_READ // 2] + roots[THREADS_READ // 2:][-THREADS_READ // 2:]:
                    told, as_of = node.thread(self.server.token(user), room, root)
                    self.record.threads.append(Thread(room, user, name, root, 0, head, as_of, told, is_whole=True))
            log = self._resume(node, readers[0], room, page["epoch"])
            self.record.resumed.append((name, room, log))
        return log, page["epoch"]

    def _resume(self, node, user, room, epoch):
        """All events as a resume tells them."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            client = node.sign_in(user, token=self.server.token(user), resume={room: {"epoch": epoch, "seq": 0}},
                                  subscribe=[room])
            result = client.hello["resumed"][room]
            if result.get("recovered"):
                break
            client.kill()
            assert result.get("error", {}).get("code") == "unavailable" and time.monotonic() < deadline, (room, result)
        while client.positions[room]["seq"] < result["seq"]:
            client._pump(deadline, f"the log of {room}")
        client.kill()
        return [e for e in client.events if e["ev"] in DURABLE and e["room"] == room]
