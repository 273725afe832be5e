"""A TCP proxy that can be slow: what the kernel's netem would do to packets, done to streams. It delays all bytes, lets only
so many through in a second, or holds everything back without closing anything.

A process of its own, ahead of others: in the test's process its bytes would wait for the players' threads, and the cluster would
lose its leases for that. The test turns the knobs of its lines over a pipe.
"""

import asyncio
import multiprocessing
import os
import socket

from .network import inside, listener

READ_BYTES = 65_536
QUEUE_READS = 64  # under way in one direction at most, so that a throttled line pushes back
FREE = {"delay_s": 0.0, "bytes_per_s": 0, "holds": False}  # 0 bytes_per_s: as many as there are


class Line:
    """What comes to `listens` goes on to `to`; both are (place, address, port). As the test sees it."""

    def __init__(self, tell, number, name):
        self.tell, self.number, self.name = tell, number, name

    def set(self, **knobs):
        self.tell((self.number, {**FREE, **knobs}))

    def clear(self):
        self.set()


class Proxy:
    def __init__(self):
        self.lines = []
        self.pipe, far_end = multiprocessing.Pipe()
        # Forked while the test has no threads yet.
        self.process = multiprocessing.get_context("fork").Process(target=carry, args=(far_end, self.pipe), daemon=True)
        self.process.start()
        far_end.close()

    def line(self, name, listens, to):
        made = Line(self._tell, len(self.lines), name)
        self._tell((made.number, (listens, to)))
        self.lines.append(made)
        return made

    def _tell(self, what):
        self.pipe.send(what)
        problem = self.pipe.recv()
        if problem:
            raise OSError(f"the proxy: {problem}")

    def clear(self):
        for line in self.lines:
            line.clear()

    def end(self):
        self.pipe.close()  # the process ends with its test, however that ends
        self.process.join(10)
        self.process.kill()


# -- in the process ----------------------------------------------------------------------------------------------------
def carry(pipe, near_end):
    near_end.close()
    if os.geteuid() == 0:
        os.nice(-10)
    carrier = Carrier(pipe)
    carrier.loop.run_forever()
    os._exit(0)  # nothing of the test, which was forked with all that it had, is to end here


class CarriedLine:
    def __init__(self, listens, to):
        self.to = to
        self.socket = listener(listens[0], listens[1:])
        self.socket.setblocking(False)
        self.set(FREE)

    def set(self, knobs):
        self.delay_s, self.bytes_per_s, self.holds = knobs["delay_s"], knobs["bytes_per_s"], knobs["holds"]


class Carrier:
    def __init__(self, pipe):
        self.pipe, self.lines, self.tasks = pipe, [], []
        self.loop = asyncio.new_event_loop()
        self.loop.add_reader(pipe.fileno(), self._be_told)

    def _be_told(self):
        try:
            number, what = self.pipe.recv()
        except EOFError:
            self.loop.stop()
            return
        problem = None
        if isinstance(what, dict):
            self.lines[number].set(what)
        else:
            try:
                line = CarriedLine(*what)
                self.lines.append(line)
                self.tasks.append(self.loop.create_task(self._accept(line)))  # asyncio itself keeps no task alive
            except OSError as e:
                problem = str(e)
        self.pipe.send(problem)

    async def _accept(self, line):
        carried = set()
        while True:
            come, _ = await self.loop.sock_accept(line.socket)
            task = self.loop.create_task(self._carry(line, come))
            carried.add(task)
            task.add_done_callback(carried.discard)

    async def _carry(self, line, come):
        with inside(line.to[0]):
            gone = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        with come, gone:
            for s in (come, gone):
                s.setblocking(False)
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                await self.loop.sock_connect(gone, line.to[1:])
                tasks = [self.loop.create_task(t) for t in (*self._pump(line, come, gone), *self._pump(line, gone, come))]
                try:
                    await asyncio.gather(*tasks)
                finally:
                    for t in tasks:
                        t.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
            except OSError:
                pass  # one end is gone, so the other one's connection ends as well

    def _pump(self, line, source, sink):
        """The two halves of one direction, with the bytes and the time when they are due between them."""
        waiting = asyncio.Queue(QUEUE_READS)
        return self._read(line, source, waiting), self._write(line, sink, waiting)

    async def _read(self, line, source, waiting):
        while True:
            data = await self.loop.sock_recv(source, READ_BYTES)
            await waiting.put((self.loop.time() + line.delay_s, data))
            if not data:
                return

    async def _write(self, line, sink, waiting):
        while True:
            due, data = await waiting.get()
            await asyncio.sleep(max(due - self.loop.time(), 0))
            while line.holds:
                await asyncio.sleep(0.05)
            if not data:
                sink.shutdown(socket.SHUT_WR)
                return
            while data:
                rate = line.bytes_per_s
                part = data[:max(rate // 20, 1)] if rate else data
                await self.loop.sock_sendall(sink, part)
                data = data[len(part):]
                if rate:
                    await asyncio.sleep(len(part) / rate)
