"""The checker of the kill test can fail: each kind of mistake, put into a good run, is found."""

import copy

import pytest
from support.checker import Ack, Record, check


def good_run():
    log = [{"ev": "member", "room": "r", "seq": 1, "ts": 10, "from": "a", "user": "a", "change": "joined"}]
    record = Record(sent={("a", "r"): [], ("b", "r"): []}, start={"eve": {"r": 1}, "zoe": {"r": 0}})
    for i in range(2, 12):
        user = "ab"[i % 2]
        log.append({"ev": "message", "room": "r", "seq": i, "ts": 10 + i // 3, "from": user, "key": f"k{i}", "text": f"t{i}"})
        record.acks.append(Ack("r", user, f"k{i}", f"t{i}", "e", i, 10 + i // 3))
        record.sent[(user, "r")].append(f"k{i}")
    record.seen = {"eve": {"r": copy.deepcopy(log[1:])}, "zoe": {"r": copy.deepcopy(log)}}
    return record, {"r": log}


def drop_acknowledged(record, logs):
    del logs["r"][-1]
    for name in record.seen:
        del record.seen[name]["r"][-1]


def leave_gap(record, logs):
    del logs["r"][4]


def store_twice(record, logs):
    again = {**logs["r"][5], "seq": 12, "ts": 20}
    logs["r"].append(again)
    for name in record.seen:
        record.seen[name]["r"].append(copy.deepcopy(again))


def turn_time_back(record, logs):
    logs["r"][7]["ts"] = 1


def other_text(record, logs):
    logs["r"][6]["text"] = "changed"


def other_seq_for_repeat(record, logs):
    record.acks.append(Ack("r", "a", "k2", "t2", "e", 4, 11))


def other_epoch(record, logs):
    record.acks[3].epoch = "f"


def never_answered(record, logs):
    record.sent[("a", "r")].append("k99")


def swap(record, logs):
    """Two messages of one sender change places, everywhere, acknowledgements included."""
    a, b = logs["r"][3], logs["r"][5]
    for name in ("key", "text"):
        a[name], b[name] = b[name], a[name]
    for ack in record.acks:
        if ack.seq in (a["seq"], b["seq"]):
            e = a if ack.seq == a["seq"] else b
            ack.key, ack.text = e["key"], e["text"]
    for name, start in (("eve", 1), ("zoe", 0)):
        record.seen[name]["r"] = copy.deepcopy(logs["r"][start:])


def invent(record, logs):
    event = {"ev": "message", "room": "r", "seq": 12, "ts": 20, "from": "a", "key": "k77", "text": "never said"}
    logs["r"].append(event)
    for name in record.seen:
        record.seen[name]["r"].append(copy.deepcopy(event))


def skip_seen(record, logs):
    del record.seen["eve"]["r"][3]


def repeat_seen(record, logs):
    record.seen["eve"]["r"].insert(3, copy.deepcopy(record.seen["eve"]["r"][3]))


def reorder_seen(record, logs):
    seen = record.seen["zoe"]["r"]
    seen[3], seen[4] = seen[4], seen[3]


def stop_early(record, logs):
    del record.seen["zoe"]["r"][-1]


def see_other_text(record, logs):
    record.seen["zoe"]["r"][3]["text"] = "changed"


def see_what_was_lost(record, logs):
    """Delivered before it was durable: the subscriber saw an event that a crash took."""
    record.seen["eve"]["r"].append({"ev": "message", "room": "r", "seq": 12, "ts": 20, "from": "a", "key": "x", "text": "x"})


def see_something_broken(record, logs):
    record.broken.append("r: a stale read")


def test_a_good_run_passes():
    record, logs = good_run()
    assert check(record, logs, {"r": "e"}) == []


def test_what_was_refused_may_have_been_done_anywhere_in_the_order():
    record, logs = good_run()
    swap(record, logs)
    assert any("reordered" in p for p in check(record, logs, {"r": "e"}))
    late = logs["r"][5]
    record.uncertain.add((late["from"], "r", late["key"]))
    assert check(record, logs, {"r": "e"}) == []


@pytest.mark.parametrize("spoil,word", [
    (drop_acknowledged, "lost"), (leave_gap, "gap"), (store_twice, "twice"), (turn_time_back, "backwards"),
    (other_text, "acknowledged as"), (other_seq_for_repeat, "and with"), (other_epoch, "epoch"),
    (never_answered, "never answered"), (swap, "reordered"), (invent, "never sent"), (skip_seen, "gap"),
    (repeat_seen, "repeat"), (reorder_seen, "gap"), (stop_early, "saw up to"), (see_other_text, "the log has"),
    (see_what_was_lost, "does not have"), (see_something_broken, "stale read"),
], ids=lambda x: getattr(x, "__name__", x))
def test_each_mistake_is_found(spoil, word):
    record, logs = good_run()
    spoil(record, logs)
    problems = check(record, logs, {"r": "e"})
    assert any(word in p for p in problems), problems
