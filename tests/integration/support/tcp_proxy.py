"""A TCP proxy that can be slow: what the kernel's netem would do to packets, done to streams. It delays all bytes, lets only
so many through in a second, or holds everything back without closing anything.

One thread per Proxy moves the bytes of all of its lines; the lines' knobs may be turned from any thread.
"""

import asyncio
import socket
import threading

from .network import inside, listener

READ_BYTES = 65_536
QUEUE_READS = 64  # under way in one direction at most, so that a throttled line pushes back


class Line:
    """What comes to `listens` goes on to `to`; both are (place, address, port)."""

    def __init__(self, name, listens, to):
        self.name, self.listens, self.to = name, listens, to
        self.socket = listener(listens[0], listens[1:])
        self.socket.setblocking(False)
        self.delay_s = 0.0
        self.bytes_per_s = 0  # 0: as many as there are
        self.holds = False

    def clear(self):
        self.delay_s, self.bytes_per_s, self.holds = 0.0, 0, False


class Proxy:
    def __init__(self):
        self.lines = []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="tcp_proxy", daemon=True)
        self.thread.start()

    def line(self, name, listens, to):
        made = Line(name, listens, to)
        self.lines.append(made)
        asyncio.run_coroutine_threadsafe(self._accept(made), self.loop)
        return made

    def clear(self):
        for line in self.lines:
            line.clear()

    def end(self):
        async def cancel_all():
            others = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
            for t in others:
                t.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(cancel_all(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
        for line in self.lines:
            line.socket.close()

    # -- in the thread -------------------------------------------------------------------------------------------------
    async def _accept(self, line):
        carried = set()
        while True:
            come, _ = await self.loop.sock_accept(line.socket)
            task = self.loop.create_task(self._carry(line, come))
            carried.add(task)  # asyncio itself keeps no task alive
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
