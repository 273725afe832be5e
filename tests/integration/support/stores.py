"""Compares what the stores of stopped nodes hold, and who said that it led what."""

import json
import re
import subprocess

from .server import BIN

STORE_DIGEST = BIN / "tests" / "store_digest"
SERVING = re.compile(r"what=serving shard=(\d+) epoch=(\d+)")
START = "== process "


def digest(directory):
    """(store id, shard -> what store_digest says of it) of a stopped node's data directory."""
    done = subprocess.run([str(STORE_DIGEST), str(directory / "store")], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"store_digest {directory}: {done.stderr}"
    first, *shards = [json.loads(line) for line in done.stdout.splitlines()]
    return first["store"], {s["shard"]: s for s in shards}


def compare(stores, records):
    """`stores`: store id -> shard -> digest, as of one moment in which all nodes were stopped; `records`: those of the
    shards in etcd. Returns (problems, how many pairs of states were alike)."""
    problems, alike = [], 0
    for shard, record in enumerate(records):
        held = {store: shards[shard] for store, shards in stores.items() if shard in shards}
        committed = max((s["applied"][1] for s in held.values()), default=0)
        for store in record["in_sync"]:
            if store not in stores:
                continue  # of a store that was wiped and is still named
            s = held.get(store)
            if s is None or s["installing"] or s["last"][1] < committed:
                problems.append(f"shard {shard}: {store} is in sync by its record, but holds {brief(s)}; "
                                f"{committed} entries are applied elsewhere")
        problems += compare_logs(shard, held, record, committed)
        states = {}
        for store, s in held.items():
            if s["installing"]:
                continue
            first = states.setdefault(tuple(s["applied"]), (store, s["state"]))
            if first[1] != s["state"]:
                problems.append(f"shard {shard}: {first[0]} and {store} have applied the same up to {s['applied']} and hold "
                                "different states")
            alike += first[0] != store and first[1] == s["state"]
    return problems, alike


def compare_logs(shard, held, record, committed):
    """What was applied anywhere is the same entry everywhere: of one epoch, with one batch."""
    problems, known = [], {}
    for store, s in held.items():
        # The end of a log that nobody counts on may be of an older time.
        upto = committed if store in record["in_sync"] else s["applied"][1]
        last = 0
        for epoch, index, batch in s.get("log", []):
            if epoch < last:
                problems.append(f"shard {shard}: {store}: epoch {epoch} follows on {last} at index {index}")
            last = epoch
            if index > upto:
                break
            first = known.setdefault(index, (store, epoch, batch))
            if first[1:] != (epoch, batch):
                problems.append(f"shard {shard}: index {index} is of epoch {first[1]} ({first[2][:8]}) in {first[0]} and of "
                                f"epoch {epoch} ({batch[:8]}) in {store}")
    return problems


def brief(shard):
    return shard and {k: shard[k] for k in ("first", "applied", "last", "installing")}


def claims(name, log_text):
    """(shard, epoch, process) for each time that a node's log says that it led a shard in an epoch."""
    found, process = [], f"{name}, process 0"
    for line in log_text.splitlines():
        if line.startswith(START):
            process = f"{name}, process {line[len(START):]}"
        elif m := SERVING.search(line):
            found.append((int(m[1]), int(m[2]), process))
    return found


def check_claims(found):
    """Each epoch of a shard was led by one process."""
    problems, known = [], {}
    for shard, epoch, process in found:
        first = known.setdefault((shard, epoch), process)
        if first != process:
            problems.append(f"shard {shard}: epoch {epoch} was served by {first} and by {process}")
    return problems
