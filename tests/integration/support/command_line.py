"""The program `greenroom` as people and scripts run it."""

import os
import subprocess
import threading

from .server import GREENROOM
from .waiting import LIMIT_S, until


def greenroom(*arguments, cwd, input=None, environment=None):
    """Runs the program to its end; returns what it left."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GREENROOM_")}
    return subprocess.run([str(GREENROOM), *map(str, arguments)], input=input, capture_output=True, text=True, cwd=cwd,
                          timeout=LIMIT_S, env={**clean, **(environment or {})}, start_new_session=True)


class Chat:
    """`greenroom chat` with pipes; what it prints is collected as it comes."""

    def __init__(self, cwd, *arguments):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("GREENROOM_")}
        self.process = subprocess.Popen([str(GREENROOM), "chat", *map(str, arguments)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1, cwd=cwd,
                                        env=clean, start_new_session=True)
        self.said, self.notices = [], []
        self._readers = [threading.Thread(target=self._read, args=a)
                         for a in ((self.process.stdout, self.said), (self.process.stderr, self.notices))]
        for r in self._readers:
            r.start()

    @staticmethod
    def _read(pipe, into):
        for line in pipe:
            into.append(line.rstrip("\n"))

    def type(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def sees(self, text):
        def there():
            return any(text in line for line in self.said)

        try:
            return until(there, text)
        except AssertionError as e:
            raise AssertionError(f"{e}; said {self.said}, noticed {self.notices}") from None

    def notices_that(self, text):
        until(lambda: any(text in line for line in self.notices), f"{text!r} in {self.notices}")

    def end(self):
        """End of input; returns the exit code."""
        self.process.stdin.close()
        code = self.process.wait(LIMIT_S)
        for r in self._readers:
            r.join()
        return code

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
