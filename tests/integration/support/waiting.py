"""Waiting for a condition, never for a time: the only place in the suite that sleeps, a few milliseconds at once."""

import os
import time

# Every limit is generous, and grows where the build is slow (sanitizers) or the machine is.
PATIENCE = float(os.environ.get("GREENROOM_TEST_PATIENCE", "1"))
LIMIT_S = 30 * PATIENCE


def now_ms():
    """What the clock on the wall shows, in milliseconds, as the protocol's times."""
    return int(time.time() * 1000)


def until(condition, what, limit_s=LIMIT_S, step_s=0.005):
    """Returns the first true value of `condition()`; fails with `what` after `limit_s` seconds."""
    deadline = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"still not after {limit_s:.0f} s: {what}")
        time.sleep(step_s)
