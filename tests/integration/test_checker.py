"""The checker of the kill test can fail: each kind of mistake, put into a good run, is found."""

import copy

import pytest
from support.checker import Ack, Kept, Page, Record, Refusal, Thread, check


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


# -- edits, revocations, reactions -------------------------------------------------------------------------------------
UP, NO = "\N{THUMBS UP SIGN}", "no"


def changed_run():
    """Message 2 is edited twice and reacted to, 7 is edited, reacted to and revoked. What is told of them is written by hand."""
    record = Record(sent={("a", "r"): [], ("b", "r"): []})
    log = [{"ev": "member", "room": "r", "seq": 1, "ts": 10, "from": "a", "user": "a", "change": "joined"}]

    def done(user, op, ev, shown, **hidden):
        seq, key = len(log) + 1, f"k{len(log) + 1}"
        log.append({"ev": ev, "room": "r", "seq": seq, "ts": 10 + seq, "from": user, "key": key, **shown})
        acknowledged(user, {"op": op, "room": "r", "key": key, **shown, **hidden}, seq)

    def acknowledged(user, asked, seq):
        record.asked["r", user, asked["key"]] = asked
        record.acks.append(Ack("r", user, asked["key"], asked.get("text", ""), "e", seq, 10 + seq, asked))
        record.sent[user, "r"].append(asked["key"])

    def refused(user, code, asked):
        record.asked["r", user, asked["key"]] = asked
        record.refusals.append(Refusal("r", user, asked["key"], asked, code))

    done("a", "send", "message", {"text": "t2"})
    done("b", "send", "message", {"text": "t3"})
    done("a", "edit", "edited", {"target": 2, "text": "e4"}, base=2)
    done("b", "react", "reaction", {"target": 2, "emoji": UP, "on": True})
    done("a", "edit", "edited", {"target": 2, "text": "e6"}, base=4)
    done("a", "send", "message", {"text": "t7", "data": {"as": ["d7"]}})
    done("a", "edit", "edited", {"target": 7, "text": "e8"})
    done("b", "react", "reaction", {"target": 7, "emoji": UP, "on": True})
    done("a", "revoke", "revoked", {"target": 7})
    done("a", "react", "reaction", {"target": 2, "emoji": UP, "on": True})
    done("b", "react", "reaction", {"target": 2, "emoji": NO, "on": True})
    done("b", "react", "reaction", {"target": 2, "emoji": UP, "on": False})
    acknowledged("b", {"op": "react", "room": "r", "key": "idle", "target": 2, "emoji": NO, "on": True}, 13)
    acknowledged("a", {"op": "react", "room": "r", "key": "idle", "target": 3, "emoji": UP, "on": False}, 3)
    refused("a", "conflict", {"op": "edit", "room": "r", "key": "old", "target": 2, "text": "x", "base": 2})
    refused("b", "not_found", {"op": "react", "room": "r", "key": "late", "target": 7, "emoji": UP, "on": True})

    sent = copy.deepcopy(log)
    log[6] = {"ev": "message", "room": "r", "seq": 7, "ts": 17, "from": "a", "key": "k7", "revoked": True}
    log[7] = {"ev": "edited", "room": "r", "seq": 8, "ts": 18, "from": "a", "key": "k8", "target": 7, "revoked": True}
    record.start = {"eve": {"r": 0}, "zoe": {"r": 1}}
    record.seen = {"eve": {"r": sent}, "zoe": {"r": copy.deepcopy(log[1:])}}
    record.resumed = [("n1", "r", copy.deepcopy(log)), ("n2", "r", copy.deepcopy(log))]
    for node, user, reactions in (("n1", "a", {UP: {"count": 1, "mine": True}, NO: {"count": 1}}),
                                  ("n2", "b", {UP: {"count": 1}, NO: {"count": 1, "mine": True}})):
        told = copy.deepcopy(log)
        told[1] = {**told[1], "text": "e6", "edited": 6, "edited_ts": 16, "reactions": reactions}
        record.pages.append(Page("r", user, node, 0, 13, 13, told, is_whole=True))
    early = copy.deepcopy(sent[5:9])
    early[1] = {**early[1], "text": "e8", "edited": 8, "edited_ts": 18, "reactions": {UP: {"count": 1}}}
    record.pages.append(Page("r", "a", "n3", 5, 9, 9, early))
    edits_alone = [copy.deepcopy(log[7])]  # revoked between the reading of the page and of its head
    record.pages.append(Page("r", "a", "n3", 7, 8, 9, edits_alone))
    return record, {"r": log}


def everywhere(record, logs, seq, **changes):
    """In the log and wherever it was told."""
    tellings = [logs["r"], *(events for _, _, events in record.resumed), *(s["r"] for s in record.seen.values())]
    for event in [e for events in tellings for e in events if e["seq"] == seq]:
        event.update(changes)


def lose_change(record, logs):
    del logs["r"][-1]


def do_twice(record, logs):
    logs["r"].append({**logs["r"][-1], "seq": 14, "ts": 24})


def do_other_kind(record, logs):
    everywhere(record, logs, 6, ev="revoked")


def do_to_other_target(record, logs):
    everywhere(record, logs, 4, target=3)


def do_other_content(record, logs):
    everywhere(record, logs, 5, emoji=NO)


def do_what_nobody_asked(record, logs):
    del record.asked["r", "b", "k5"]


def do_after_revocation(record, logs):
    everywhere(record, logs, 11, target=7)


def do_as_somebody_else(record, logs):
    everywhere(record, logs, 6, **{"from": "b"})
    record.asked["r", "b", "k6"] = record.asked["r", "a", "k6"]


def do_what_changes_nothing(record, logs):
    everywhere(record, logs, 13, on=True)


def do_in_other_order(record, logs):
    record.sent["a", "r"].remove("k10")
    record.sent["a", "r"].append("k10")


def name_change_of_somebody_else(record, logs):
    record.acks[-2].seq, record.acks[-2].ts = 11, 21


def name_what_is_not_there(record, logs):
    record.acks[-2].ts = 11


def skip_what_changes_something(record, logs):
    record.acks[-2].asked["on"] = False


def skip_first_reaction(record, logs):
    record.acks[-1].asked["on"] = True


def accept_old_base(record, logs):
    record.asked["r", "a", "k6"]["base"] = 2


def accept_base_of_nothing(record, logs):
    record.asked["r", "a", "k8"]["base"] = 6


def refuse_good_base(record, logs):
    record.refusals[0].asked["base"] = 6


def refuse_without_base(record, logs):
    del record.refusals[0].asked["base"]


def refuse_what_is_there(record, logs):
    record.refusals[1].asked["target"] = 2


def refuse_and_do(record, logs):
    record.refusals[0].key = "k6"


def tell(at, **changes):
    """On the page `at`, of its message 2 or, on the third page, 7."""
    def spoil(record, logs):
        record.pages[at].events[1].update(changes)
    spoil.__name__ = f"tell {', '.join(changes)} on page {at}"
    return spoil


def tell_original(record, logs):
    for name in ("edited", "edited_ts"):
        del record.pages[1].events[1][name]
    record.pages[1].events[1]["text"] = "t2"


def tell_no_reactions(record, logs):
    del record.pages[0].events[1]["reactions"]


def tell_too_early(record, logs):
    """A revocation that `as_of` does not speak of; the message is on the page."""
    record.pages[2].events[1] = copy.deepcopy(logs["r"][6])


def tell_not_all(record, logs):
    del record.pages[0].events[-1]


def tell_gap(record, logs):
    del record.pages[2].events[1]


def tell_stale(record, logs):
    record.pages[2].at_least = 10


def tell_future(record, logs):
    record.pages[0].as_of = 14


def tell_revoked(record, logs):
    record.pages[1].events[6]["text"] = "t7"


def tell_revoked_edit(record, logs):
    del record.pages[1].events[7]["revoked"]
    record.pages[1].events[7]["text"] = "e8"


def tell_revoked_data(record, logs):
    record.pages[0].events[6]["data"] = {"of": [{"x": "t7"}]}


def resume_revoked(record, logs):
    record.resumed[1] = ("n2", "r", copy.deepcopy(record.seen["eve"]["r"]))


def keep_revoked_edit(record, logs):
    everywhere(record, logs, 8, text="e8")


def blank_what_is_not_revoked(record, logs):
    del logs["r"][2]["text"]
    logs["r"][2]["revoked"] = True


def resume_less(record, logs):
    del record.resumed[1][2][-1]


def see_other_than_was_sent(record, logs):
    record.seen["eve"]["r"][6]["text"] = "t7 but not quite"


def see_half_blank(record, logs):
    del record.seen["eve"]["r"][6]["data"]


def see_blank_too_early(record, logs):
    del record.seen["zoe"]["r"][1]["text"]
    record.seen["zoe"]["r"][1]["revoked"] = True


def test_a_good_run_with_changes_passes():
    record, logs = changed_run()
    assert check(record, logs, {"r": "e"}) == []


def test_who_left_need_not_have_seen_all():
    record, logs = changed_run()
    del record.seen["eve"]["r"][9:]
    assert any("saw up to" in p for p in check(record, logs, {"r": "e"}))
    record.left.add("eve")
    assert check(record, logs, {"r": "e"}) == []


@pytest.mark.parametrize("spoil,word", [
    (lose_change, "lost"), (do_twice, "twice"), (do_other_kind, "asked was"), (do_to_other_target, "asked was"),
    (do_other_content, "asked was"), (do_what_nobody_asked, "never asked"), (do_after_revocation, "of what was revoked"),
    (do_as_somebody_else, "not the author"), (do_what_changes_nothing, "changes nothing"), (do_in_other_order, "reordered"),
    (name_change_of_somebody_else, "no reaction of that user"), (name_what_is_not_there, "names nothing"),
    (skip_what_changes_something, "although it changes"), (skip_first_reaction, "although it changes"),
    (accept_old_base, "on base 2, after the last edit 4"), (accept_base_of_nothing, "on base 6, after the last edit 0"),
    (refuse_good_base, "conflict without a reason"), (refuse_without_base, "conflict without a reason"),
    (refuse_what_is_there, "refusal as revoked"), (refuse_and_do, "refused and done"),
    (tell(0, text="e4"), "which should be"), (tell(1, edited=4), "which should be"), (tell(1, edited_ts=14), "which should be"),
    (tell(0, reactions={UP: {"count": 2, "mine": True}, NO: {"count": 1}}), "which should be"),
    (tell(0, reactions={UP: {"count": 1}, NO: {"count": 1}}), "which should be"),
    (tell(1, reactions={UP: {"count": 1, "mine": True}, NO: {"count": 1, "mine": True}}), "which should be"),
    (tell(2, text="t7"), "which should be"), (tell_original, "which should be"), (tell_no_reactions, "which should be"),
    (tell_too_early, "which should be"), (tell_not_all, "not all"), (tell_gap, "a gap"), (tell_stale, "10 was known"),
    (tell_future, "the log ends at 13"),
    (tell_revoked, "history of b at n2 tells what was revoked"), (tell_revoked, "which should be"),
    (tell_revoked_edit, "what was revoked"), (tell_revoked_data, "what was revoked"),
    (resume_revoked, "resume of n2 tells what was revoked"),
    (resume_revoked, "resumed from 0"), (keep_revoked_edit, "the log tells what was revoked"), (keep_revoked_edit, "asked was"),
    (blank_what_is_not_revoked, "asked was"), (resume_less, "resumed from 0"),
    (see_other_than_was_sent, "eve saw"), (see_half_blank, "eve saw"), (see_blank_too_early, "zoe saw"),
], ids=lambda x: getattr(x, "__name__", x))
def test_each_mistake_with_changes_is_found(spoil, word):
    record, logs = changed_run()
    spoil(record, logs)
    problems = check(record, logs, {"r": "e"})
    assert any(word in p for p in problems), problems


# -- threads, scheduled sends ------------------------------------------------------------------------------------------
def later_run():
    """Messages 3, 4 and 6 reply to 2; 4 and 5 were scheduled, 6 is revoked, and one send came too late."""
    record = Record(sent={("a", "r"): []}, start={"eve": {"r": 0}})
    log = [{"ev": "member", "room": "r", "seq": 1, "ts": 10, "from": "a", "user": "a", "change": "joined"}]

    def asked(key, **fields):
        record.asked["r", "a", key] = request = {"op": fields.pop("op", "send"), "room": "r", "key": key, **fields}
        record.sent["a", "r"].append(key)
        if "at" in fields:
            record.uncertain.add(("a", "r", key))
        return request

    def done(ev, is_answered=True, **fields):
        seq, key = len(log) + 1, f"k{len(log) + 1}"
        request = asked(key, **fields)
        log.append({"ev": ev, "room": "r", "seq": seq, "ts": 10 + seq, "from": "a", "key": key,
                    **{k: v for k, v in fields.items() if k not in ("op", "at")}})
        if "at" in fields:
            record.kept.append(Kept("r", "a", key, "e", fields["at"]))
        if is_answered:
            record.acks.append(Ack("r", "a", key, fields.get("text", ""), "e", seq, 10 + seq, request))

    done("message", text="t2")
    done("message", text="t3", reply_to=2)
    done("message", text="t4", reply_to=2, at=12)
    done("message", text="t5", at=15, is_answered=False)
    done("message", text="t6", reply_to=2)
    done("revoked", op="revoke", target=6)
    record.refusals.append(Refusal("r", "a", "late", asked("late", text="x", at=3), "bad_request"))
    record.passed.add(("r", "a", "late"))

    record.seen["eve"] = {"r": copy.deepcopy(log)}
    log[5] = {"ev": "message", "room": "r", "seq": 6, "ts": 16, "from": "a", "key": "k6", "reply_to": 2, "revoked": True}
    record.resumed = [("n1", "r", copy.deepcopy(log))]
    told = copy.deepcopy(log)
    told[1]["replies"] = {"count": 3, "last": 6}
    record.pages = [Page("r", "a", "n1", 0, 7, 7, told, is_whole=True),
                    Page("r", "a", "n2", 1, 3, 4, [{**log[1], "replies": {"count": 2, "last": 4}}, copy.deepcopy(log[2])])]
    record.threads = [Thread("r", "a", "n1", 2, 0, 7, 7, copy.deepcopy([log[2], log[3], log[5]]), is_whole=True),
                      Thread("r", "a", "n2", 2, 3, 4, 7, copy.deepcopy([log[3]])),
                      Thread("r", "a", "n2", 5, 0, 4, 7, [], is_whole=True)]
    return record, {"r": log}


def lose_scheduled(record, logs):
    """Nobody asked for it again, so that only the answer before its time tells of it."""
    del logs["r"][4]
    for e in logs["r"][4:]:
        e["seq"] -= 1


def send_scheduled_twice(record, logs):
    logs["r"].append({**logs["r"][4], "seq": 8, "ts": 20})


def send_scheduled_early(record, logs):
    everywhere(record, logs, 5, ts=14)


def keep_for_another_time(record, logs):
    record.kept[1].at = 14


def keep_in_another_epoch(record, logs):
    record.kept[0].epoch = "f"


def answer_neither_now_nor_then(record, logs):
    del record.kept[1]


def refuse_as_late_and_send(record, logs):
    record.refusals[0].key = "k5"


def send_another_text_later(record, logs):
    everywhere(record, logs, 5, text="something else")


def count_too_many(record, logs):
    record.pages[0].events[1]["replies"]["count"] = 4


def count_too_early(record, logs):
    record.pages[1].events[0]["replies"] = {"count": 3, "last": 6}


def name_another_last_one(record, logs):
    record.pages[0].events[1]["replies"]["last"] = 4


def count_nothing(record, logs):
    del record.pages[0].events[1]["replies"]


def lose_reply_from_thread(record, logs):
    del record.threads[0].events[1]


def lose_end_of_thread(record, logs):
    del record.threads[0].events[2]


def show_reply_twice(record, logs):
    record.threads[0].events.insert(1, copy.deepcopy(record.threads[0].events[0]))


def show_what_is_no_reply(record, logs):
    record.threads[2].events.append(copy.deepcopy(logs["r"][2]))


def show_reply_in_other_words(record, logs):
    record.threads[1].events[0]["text"] = "something else"


def show_revoked_reply(record, logs):
    del record.threads[0].events[2]["revoked"]
    record.threads[0].events[2]["text"] = "t6"


def show_stale_thread(record, logs):
    record.threads[1].as_of = 3


def test_a_good_run_with_threads_and_scheduled_sends_passes():
    record, logs = later_run()
    assert check(record, logs, {"r": "e"}) == []


def test_where_clocks_jump_nothing_is_early():
    record, logs = later_run()
    send_scheduled_early(record, logs)
    record.acks = [a for a in record.acks if a.seq != 5]
    record.clocks_jump = True
    assert not any("early" in p for p in check(record, logs, {"r": "e"}))


@pytest.mark.parametrize("spoil,word", [
    (lose_scheduled, "answered and never sent"), (send_scheduled_twice, "twice"), (send_scheduled_early, "early"),
    (keep_for_another_time, "was the answer to"), (keep_in_another_epoch, "was the answer to"),
    (answer_neither_now_nor_then, "never answered"), (refuse_as_late_and_send, "refused and done"),
    (send_another_text_later, "asked was"), (count_too_many, "which should be"), (count_too_early, "which should be"),
    (name_another_last_one, "which should be"), (count_nothing, "which should be"), (lose_reply_from_thread, "read the thread"),
    (lose_end_of_thread, "read the thread"), (show_reply_twice, "read the thread"), (show_what_is_no_reply, "read the thread"),
    (show_reply_in_other_words, "read the thread"), (show_revoked_reply, "a thread of a at n1 tells what was revoked"),
    (show_stale_thread, "4 was known"),
], ids=lambda x: getattr(x, "__name__", x))
def test_each_mistake_with_threads_and_scheduled_sends_is_found(spoil, word):
    record, logs = later_run()
    spoil(record, logs)
    problems = check(record, logs, {"r": "e"})
    assert any(word in p for p in problems), problems
