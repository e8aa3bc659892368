"""Following a job: every event once, whatever breaks on the way."""

import itertools
import json
import socket
import time

from services.api.following import START, follow
from services.api.pace import CountedSocket
from shared.events import Event, Events
from tasks.node import events

SLOW = json.dumps({"misbehaving": {"sleep": 2}})


def names(told):
    return [(one["event"], json.loads(one["data"]).get("analyzer")) for one in told]


def stored(job_id):
    return [(number, event.model_dump_json(exclude_none=True)) for number, event in events().read(job_id)]


def test_a_job_tells_what_happens_until_its_end(api, video):
    """A follower from the start hears the plan, every analyzer's start and end, and the close; then the stream ends."""
    job_id = api.hand_in(video, analyzers="dependent").json["id"]
    told = names(api.follow(job_id))
    assert told[0] == ("planned", None)
    assert told[-1] == ("closed", None)
    for analyzer in ("misbehaving", "dependent"):
        assert told.count(("started", analyzer)) == told.count(("finished", analyzer)) == 1
        assert told.index(("started", analyzer)) < told.index(("finished", analyzer))
    assert not [one for one in told if one[0] == "snapshot"]


def test_a_client_cut_off_five_times_sees_every_event_once(api, video):
    """A client that loses its connection after every few events and resumes sees the stream exactly, and once."""
    job_id = api.hand_in(video, analyzers="dependent,color_analysis", options=SLOW).json["id"]
    seen, after = [], ""
    for many in (1, 1, 2, 1, 2, 1000):
        for one in itertools.islice(api.follow(job_id, after), many):
            seen.append((one["id"], one["data"]))
            after = one["id"]
    assert json.loads(seen[-1][1])["type"] == "closed"
    assert seen == stored(job_id)
    assert len({number for number, _ in seen}) == len(seen)


def test_who_has_left_is_not_waited_for(api, video):
    """A job is followed no further once its listener has closed the connection, which is seen without writing to it."""
    here, there = socket.socketpair()
    job_id = api.hand_in(video, analyzers="misbehaving", options=json.dumps({"misbehaving": {"sleep": 60}})).json["id"]
    with here:
        followed = follow(job_id, START, CountedSocket(here).has_left)
        assert next(followed).type == "planned"
        there.sendall(b"more")
        assert next(followed).type == "started"
        here.recv(4)
        there.close()
        assert list(followed) == []
    assert api.get(f"/v1/jobs/{job_id}").json["state"] == "running"
    api.call("POST", f"/v1/jobs/{job_id}/cancel")


def test_who_has_seen_the_end_is_sent_away(api, video):
    """A browser that reconnects after the last event is answered 204, so that it stops; others get the end again."""
    job_id = api.hand_in(video, analyzers="misbehaving").json["id"]
    last = list(api.follow(job_id))[-1]
    assert api.get(f"/v1/jobs/{job_id}/events", Last_Event_ID=last["id"]).status == 204
    assert names(api.follow(job_id))[-1] == ("closed", None)


def test_a_wiped_stream_is_replaced_by_the_ledgers_truth(api, video):
    """With Redis wiped in mid-job, a follower gets a snapshot that says so, goes on, and learns of the end."""
    job_id = api.hand_in(video, analyzers="dependent", options=SLOW).json["id"]
    told = []
    for one in api.follow(job_id):
        told.append(one)
        if one["event"] == "started" and len(told) < 5:
            events().client.flushall()
    kinds = [one["event"] for one in told]
    assert "snapshot" in kinds
    snapshot = json.loads(next(one["data"] for one in told if one["event"] == "snapshot"))
    assert (snapshot["source"], snapshot["reason"], snapshot["job"]["state"]) == ("ledger", "events_lost", "running")
    assert all("id" not in one for one in told if one["event"] == "snapshot")
    assert kinds[-1] in ("closed", "snapshot")
    assert api.get(f"/v1/jobs/{job_id}").json["state"] == "completed"


def test_events_lost_unseen_are_noticed(api, video):
    """A stream that was wiped and written again between two looks is told from one that simply went on."""
    job_id = api.hand_in(video, analyzers="misbehaving", options=json.dumps({"misbehaving": {"sleep": 6}})).json["id"]
    follower = api.follow(job_id)
    told = [next(follower)]
    while told[-1]["event"] != "started":
        told.append(next(follower))
    pipe = events().client.pipeline(transaction=True)
    pipe.delete(Events.key(job_id))
    pipe.xadd(Events.key(job_id), {"event": Event(type="progress", analyzer="x", fraction=0.5).model_dump_json()})
    pipe.execute()
    told += list(follower)
    kinds = [one["event"] for one in told]
    assert "snapshot" in kinds[kinds.index("started") :]


def test_an_ended_job_without_a_stream_says_how_it_ended(api, video):
    """When the events are gone, a follower of an ended job gets its end from the ledger, and the stream closes."""
    job_id = api.hand_in(video, analyzers="misbehaving").json["id"]
    api.wait(job_id)
    events().client.delete(Events.key(job_id))
    (only,) = api.follow(job_id)
    told = json.loads(only["data"])
    assert (only["event"], told["reason"], told["job"]["state"]) == ("snapshot", "ended", "completed")


def test_the_future_is_no_place_to_resume_from(api, video):
    """An id later than all of the stream gives the stream from its start, after a snapshot while the job is open."""
    job_id = api.hand_in(video, analyzers="misbehaving", options=SLOW).json["id"]
    # who follows between the ledger's word that it runs and the first event is told that events are missing
    told = list(itertools.islice((one for one in api.follow(job_id) if one["event"] != "snapshot"), 2))
    while_open = list(itertools.islice(api.follow(job_id, "9999999999999-0"), 3))
    assert while_open[0]["event"] == "snapshot"
    assert while_open[1:] == told
    api.wait(job_id)
    assert [(one["id"], one["data"]) for one in api.follow(job_id, "9999999999999-0")] == stored(job_id)
    assert api.get(f"/v1/jobs/{job_id}/events", Last_Event_ID="x").refusal == (422, "invalid_request")


def test_a_silent_job_keeps_its_connection(api, video, monkeypatch):
    """While nothing happens, comments come often enough that no proxy takes the connection for dead."""
    from services.api import following

    monkeypatch.setattr(following, "HEARTBEAT_SECONDS", 0.2)
    monkeypatch.setattr(following, "WAIT_SECONDS", 0.05)
    job_id = api.hand_in(video, analyzers="misbehaving", options=json.dumps({"misbehaving": {"sleep": 3}})).json["id"]
    beats = 0
    began = time.monotonic()
    for one in following.follow(job_id, following.START):
        beats += isinstance(one, following.Heartbeat)
    assert beats
    assert time.monotonic() - began < 20
