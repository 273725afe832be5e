"""What a newcomer does first: start, talk, kill in mid-sentence, start again, and find everything there."""


def test_two_people_talk_and_a_kill_takes_nothing(make_server):
    server = make_server()
    alice, bob = server.sign_in("alice"), server.sign_in("bob")
    alice.request("create", room="lobby")
    bob.request("join", room="lobby")
    alice.request("send", room="lobby", key="a1", text="hello bob")
    assert bob.event("message")["text"] == "hello bob"
    bob.request("send", room="lobby", key="b1", text="hello al")
    last = alice.prepare("send", room="lobby", key="a2", text="have you heard that")
    alice.post_all([last])
    server.kill()
    server.start()
    alice = server.sign_in("alice", resume=alice.positions)
    bob = server.sign_in("bob", resume=bob.positions)
    assert all(r["recovered"] for r in [*alice.hello["resumed"].values(), *bob.hello["resumed"].values()])
    again = alice.request("send", room="lobby", key="a2", text=last["text"])
    assert again["seq"] == 5
    texts = [e["text"] for e in alice.request("history", room="lobby")["events"] if e["ev"] == "message"]
    assert texts == ["hello bob", "hello al", "have you heard that"]
    alice.leave(), bob.leave()
