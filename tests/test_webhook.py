"""Tests of webhooks: signatures that Standard Webhooks libraries take, attempts that are neither lost nor doubled."""

import json
import queue
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from standardwebhooks.webhooks import Webhook as Receiver
from standardwebhooks.webhooks import WebhookVerificationError

import shared.webhooks
import tasks.webhook
from services.submit import accept
from shared.errors import BadInput, Unauthenticated, UrlRefused
from shared.ledger import Ledger
from shared.settings import settings, use
from shared.signing import sign, verify, write_secret
from shared.tables import Run
from shared.webhooks import ATTEMPTS, PAUSES_SECONDS, Webhooks, new_webhook, pause_seconds, secret_of
from tasks.couriers import EACH, EACH_KEY, PLACES_EACH, PLACES_KEY, THREADS, Couriers
from tasks.node import events, forget, ledger
from tests.support.hosts import host, ok, redirect
from tests.support.jobs import running, wait
from tests.support.moving import texture, write_video
from tests.support.processes import eventually
from tests.support.project import ROOT
from tests.test_ledger import a_job, report

SECRET = write_secret(b"k" * 32)
BODY = b'{"type":"job.ended"}'

# --- signatures ---


def signed(*, at=None, body=BODY, message_id="msg_1"):
    return sign(SECRET, message_id=message_id, timestamp=int(at or time.time()), body=body)


def test_the_vector_of_the_specification():
    """The example that the libraries of Standard Webhooks are tested with gets the same signature here."""
    headers = sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        body=b'{"test": 2432232314}',
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_standard_receiver_takes_it():
    """The library that receivers use accepts our headers, and refuses them with another body."""
    assert Receiver(SECRET).verify(BODY, signed()) == {"type": "job.ended"}
    with pytest.raises(WebhookVerificationError):
        Receiver(SECRET).verify(BODY + b" ", signed())


def test_what_we_sign_we_verify():
    """A fresh delivery passes whatever the case of its headers, and its id comes back."""
    assert verify({name.title(): value for name, value in signed().items()}, BODY, SECRET) == "msg_1"


@pytest.mark.parametrize("age", [301, 3600, -301])
def test_a_replay_is_refused(age):
    """A delivery from more than five minutes ago, or from the future, is refused although its signature is right."""
    headers = signed(at=time.time() - age)
    with pytest.raises(Unauthenticated, match="not from the last 300 s") as caught:
        verify(headers, BODY, SECRET)
    assert caught.value.code == "stale"
    assert verify(headers, BODY, SECRET, tolerance_seconds=4000) == "msg_1"


def test_a_replay_cannot_be_freshened():
    """The time is signed: an old delivery under a new time is refused."""
    headers = {**signed(at=time.time() - 3600), "webhook-timestamp": str(int(time.time()))}
    with pytest.raises(Unauthenticated) as caught:
        verify(headers, BODY, SECRET)
    assert caught.value.code == "bad_signature"


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "msg_2"},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v2,é"},
        {"webhook-signature": ""},
    ],
)
def test_a_forged_delivery_is_refused(changed):
    """Another id, another signature, none, or nonsense: refused with a code."""
    with pytest.raises(Unauthenticated) as caught:
        verify({**signed(), **changed}, BODY, SECRET)
    assert caught.value.code == "bad_signature"


def test_another_body_or_secret_is_refused():
    """One byte of the body, or the secret of somebody else."""
    for body, secret in ((BODY + b"\n", SECRET), (BODY, write_secret(b"x" * 32))):
        with pytest.raises(Unauthenticated):
            verify(signed(), body, secret)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_named(name):
    """What is not signed at all is refused by the header that is missing."""
    headers = signed()
    del headers[name]
    with pytest.raises(Unauthenticated, match=f"{name} is missing") as caught:
        verify(headers, BODY, SECRET)
    assert caught.value.code == "unsigned"


@pytest.mark.parametrize("timestamp", ["", "1e9", "-1", "²", "soon"])
def test_a_time_that_is_none_is_stale(timestamp):
    """A time that is no whole number of seconds is refused, not guessed."""
    with pytest.raises(Unauthenticated) as caught:
        verify({**signed(), "webhook-timestamp": timestamp}, BODY, SECRET)
    assert caught.value.code == "stale"


def test_one_of_several_signatures_is_enough():
    """While a secret is changed a delivery carries two signatures."""
    headers = signed()
    headers["webhook-signature"] = f"v1,AAAA v1a,xyz {headers['webhook-signature']}"
    assert verify(headers, BODY, SECRET) == "msg_1"


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!!!!", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ="])
def test_a_secret_that_is_none_is_refused_unseen(secret):
    """A short, unmarked or broken secret is refused, and what was given is not repeated."""
    with pytest.raises(BadInput, match="24 to 64 random bytes") as caught:
        sign(secret, message_id="msg_1", timestamp=1, body=b"")
    assert caught.value.code == "bad_webhook_secret"


# --- the ledger ---


@pytest.fixture
def node(tmp_path):
    """This process as a worker with a ledger of its own, that may reach loopback."""
    before = settings()
    use(before.model_copy(update={"data_dir": tmp_path, "deployment": "test", "reachable_networks": "127.0.0.0/8"}))
    forget()
    yield Webhooks(ledger())
    use(before)
    forget()


def a_hook(url, *, ended=True, **job):
    """A webhook of a job that has ended."""
    made = a_job(**job)
    ledger().create(made, also=[new_webhook(made.id, url)])
    if ended:
        ledger().start(made.id, {}, [Run(job_id=made.id, analyzer="a", level=0)])
        ledger().end(made.id, report("a"))
        ledger().finish(made.id, "completed")
    return Webhooks(ledger()).of(made.id)[0]


def test_only_ended_jobs_of_the_deployment_are_due(node):
    """A webhook is due when its job has ended; those of another deployment's jobs are not ours to send."""
    hook = a_hook("http://127.0.0.1/", ended=False)
    a_hook("http://127.0.0.1/", deployment="other")
    assert node.due("test") == []
    assert node.claim(hook.id) is None
    ledger().finish(hook.job_id, "cancelled")
    assert [one.id for one in node.due("test")] == [hook.id]
    assert node.of(hook.job_id)[0].state == "pending"


def test_addresses_are_due_in_turns(node):
    """Whoever has many webhooks due keeps no other address from being among those that are asked for first."""
    many = [a_hook("http://127.0.0.1/many").id for _ in range(5)]
    one = a_hook("http://127.0.0.1/one").id
    assert [hook.id for hook in node.due("test", limit=3)] == [many[0], one, many[1]]
    assert {hook.receiver for hook in node.due("test")} == {"http://127.0.0.1"}


def test_keys_are_due_in_turns(node):
    """Whoever has many addresses with webhooks due keeps no other key's from being among those asked for first."""
    many = [a_hook(f"http://127.0.0.1/{number}", owner="many").id for number in range(5)]
    one = a_hook("http://127.0.0.1/one", owner="one").id
    assert [hook.id for hook in node.due("test", limit=3)] == [many[0], one, many[1]]
    assert {hook.id: hook.owner for hook in node.due("test")} == {**dict.fromkeys(many, "many"), one: "one"}


def test_an_attempt_is_made_by_one(node):
    """Workers that get the same delivery at the same moment: one makes the attempt."""
    hook = a_hook("http://127.0.0.1/")
    together = threading.Barrier(6)

    def claim(_):
        together.wait()
        return Webhooks(Ledger(settings().ledger)).claim(hook.id)

    with ThreadPoolExecutor(6) as pool:
        got = [one for one in pool.map(claim, range(6)) if one]
    assert [one.attempts for one in got] == [1]
    assert node.due("test") == []


def test_an_attempt_whose_worker_died_is_made_again(node, monkeypatch):
    """After its lease a claimed attempt is due again, and the late end of the first changes nothing."""
    monkeypatch.setattr(shared.webhooks, "LEASE_SECONDS", 0.2)
    first = node.claim(a_hook("http://127.0.0.1/").id)
    time.sleep(0.3)
    second = node.claim(first.id)
    assert second.attempts == 2
    node.missed(first, "late")
    assert node.of(first.job_id)[0].last_error is None
    node.delivered(second)
    assert node.of(first.job_id)[0].state == "delivered"


def test_trying_ends(node):
    """Pauses grow, each with its jitter; after ten attempts, more than a day later, the webhook has failed."""
    hook = a_hook("http://127.0.0.1/")
    for attempt in range(1, ATTEMPTS + 1):
        hook.attempts = attempt
        pauses = [pause_seconds(attempt) for _ in range(50)]
        if attempt < ATTEMPTS:
            middle = PAUSES_SECONDS[attempt - 1]
            assert 0.8 * middle <= min(pauses) < max(pauses) <= 1.2 * middle
        else:
            assert set(pauses) == {None}
    assert list(PAUSES_SECONDS) == sorted(PAUSES_SECONDS)
    assert 24 < sum(PAUSES_SECONDS) / 3600 < 48


@pytest.mark.parametrize("url", ["ftp://a.test/", "nonsense", "http://u:p@a.test/"])
def test_a_webhook_to_nowhere_is_refused(url):
    """What is no web address is refused when the job is handed in."""
    with pytest.raises(UrlRefused):
        new_webhook("job", url)


def test_secrets_differ_by_owner_and_stay(node, tmp_path):
    """Each key's secret is its own and the same tomorrow; the master is made once, readable by its owner alone."""
    chosen = settings()
    made = {owner: secret_of(chosen, owner) for owner in (None, "a", "b")}
    assert len({*made.values()}) == 3
    assert {owner: secret_of(chosen, owner) for owner in made} == made
    assert (tmp_path / "webhook.secret").stat().st_mode & 0o777 == 0o600
    given = chosen.model_copy(update={"webhook_secret": SECRET})
    assert secret_of(given, "a") not in made.values()


# --- deliveries ---


def test_a_delivery_is_signed_and_says_what_ended(node):
    """A receiver with the deployment's secret verifies it, and learns the job's state and each analyzer's."""
    with host({"/hook": ok(b"")}) as receiver:
        hook = a_hook(receiver.url("/hook?x=1"), owner="a", source_name="reel.mp4")
        tasks.webhook.attempt(hook.id)
    (request,) = receiver.asked
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    told = Receiver(secret_of(settings(), "a")).verify(body, headers)
    assert lines[0] == "POST /hook?x=1 HTTP/1.1"
    assert (headers["webhook-id"], headers["Content-Type"]) == (hook.id, "application/json")
    assert told["type"] == "job.ended"
    assert (told["data"]["id"], told["data"]["state"]) == (hook.job_id, "completed")
    assert (told["data"]["analyzers"], told["data"]["source_name"]) == ({"a": "ok"}, "reel.mp4")
    assert node.of(hook.job_id)[0].state == "delivered"
    assert node.due("test") == []
    with pytest.raises(Unauthenticated):
        verify(headers, body, secret_of(settings(), "b"))


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (ok(b"thanks"), "delivered"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "delivered"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "pending"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "pending"),
        (b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", "failed"),
        (redirect("/other"), "pending"),
        (b"", "pending"),
    ],
)
def test_answers_decide(node, answer, state):
    """Any 2xx is a delivery, 410 an end, everything else another try; redirects are not followed."""
    with host({"/": answer, "/other": ok(b"")}) as receiver:
        hook = a_hook(receiver.url())
        tasks.webhook.attempt(hook.id)
        tasks.webhook.attempt(hook.id)  # as when it was queued twice
    assert len(receiver.asked) == 1
    (now,) = node.of(hook.job_id)
    assert (now.state, now.attempts) == (state, 1)
    assert (now.last_error is None) == (state == "delivered")
    if state == "pending":
        assert 3 < now.next_at - time.time() < 7


def test_an_address_inside_is_refused(node):
    """Without the setting a webhook reaches no private address, and is not tried again."""
    use(settings().model_copy(update={"reachable_networks": ""}))
    with host({"/": ok(b"")}) as receiver:
        hook = a_hook(receiver.url(host="localhost"))
        tasks.webhook.attempt(hook.id)
        assert receiver.asked == []
    (now,) = node.of(hook.job_id)
    assert (now.state, now.last_error) == ("failed", "the host localhost is not on the public internet")


def test_a_slow_receiver_costs_an_attempt_and_no_more(node, monkeypatch):
    """A receiver that drips its answer is left at the deadline."""
    monkeypatch.setattr(tasks.webhook, "ATTEMPT_SECONDS", 0.5)

    def drip(stream):
        stream.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while True:
            stream.sendall(b"x")
            time.sleep(0.05)

    with host({"/": drip}) as receiver:
        hook = a_hook(receiver.url())
        began = time.monotonic()
        tasks.webhook.attempt(hook.id)
        assert time.monotonic() - began < 20
    assert node.of(hook.job_id)[0].state == "pending"


def test_a_webhook_that_never_ends_its_attempts_is_given_up(node, monkeypatch):
    """When its workers die again and again the attempts are counted all the same, and there is an end."""
    monkeypatch.setattr(shared.webhooks, "LEASE_SECONDS", -1)
    with host({"/": ok(b"")}) as receiver:
        hook = a_hook(receiver.url())
        for _ in range(ATTEMPTS):
            assert node.claim(hook.id)
        tasks.webhook.attempt(hook.id)
        assert receiver.asked == []
    assert node.of(hook.job_id)[0].state == "failed"


# --- many at once ---


@pytest.fixture
def tarpit():
    """A receiver that accepts connections and says nothing; the end of the test breaks them off."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener


def at(listener):
    return f"http://127.0.0.1:{listener.getsockname()[1]}/"


def standing(node, hooks):
    return [node.of(hook.job_id)[0] for hook in hooks]


def test_a_receiver_that_never_answers_keeps_nobody_waiting(node, tarpit, monkeypatch):
    """Twelve webhooks to a receiver that hangs are handed over at once, also when they are due again; two are
    attempted, and meanwhile another receiver's is delivered. When the receiver is gone the ten are attempted, too.
    """
    monkeypatch.setattr(tasks.webhook, "ATTEMPT_SECONDS", 300)
    stuck = [a_hook(at(tarpit)) for _ in range(12)]
    with host({"/": ok(b"")}) as receiver:
        other = a_hook(receiver.url())
        for hook in (*stuck, other):
            tasks.webhook.deliver(hook.id)
        tasks.webhook.deliver_due()
        assert eventually(lambda: standing(node, [other])[0].state == "delivered", 60)
        assert eventually(lambda: sum(hook.attempts for hook in standing(node, stuck)) == EACH, 60)
        tasks.webhook.deliver_due()
    assert [hook.last_error for hook in standing(node, stuck)] == [None] * 12
    tarpit.close()
    assert eventually(lambda: all(hook.last_error for hook in standing(node, stuck)), 60)
    assert [hook.attempts for hook in standing(node, stuck)] == [1] * 12


def test_couriers_have_bounded_lines_and_take_turns():
    """One receiver's line has so many places, and two of it are under way; another's, and one more that breaks, are
    attempted meanwhile. What found no place is taken later; nothing is attempted twice.
    """
    begun, go_on = queue.SimpleQueue(), threading.Event()

    def attempt(name):
        begun.put(name)
        if name.startswith("slow"):
            go_on.wait(120)
        if name == "broken":
            raise ValueError(name)

    couriers = Couriers(attempt)
    slow = [f"slow {number}" for number in range(PLACES_EACH + EACH + 3)]
    taken = [name for name in slow if couriers.take(name, "a")]
    assert PLACES_EACH <= len(taken) <= PLACES_EACH + EACH
    assert all(couriers.take(name, "a") for name in taken)
    for number in range(THREADS):
        assert couriers.take(f"broken {number}" if number else "broken", "b")
    first = [begun.get(timeout=60) for _ in range(EACH + THREADS)]
    assert Counter(name.split()[0] for name in first) == {"slow": EACH, "broken": THREADS}
    go_on.set()
    assert sorted(begun.get(timeout=60) for _ in range(len(taken) - EACH)) == sorted(set(taken) - set(first))
    left = [name for name in slow if name not in taken]
    assert all(couriers.take(name, "a") for name in left)
    assert {begun.get(timeout=60) for _ in left} == {*left}
    assert begun.empty()


def test_one_key_leaves_threads_and_places_to_others():
    """A key whose receivers, each another one, all hang has so many attempts under way and so many places; another's
    is attempted meanwhile, and a third's in the threads that are left.
    """
    begun, go_on = queue.SimpleQueue(), threading.Event()

    def attempt(name):
        begun.put(name)
        if name != "quick":
            go_on.wait(120)

    couriers = Couriers(attempt)
    slow = [f"slow {number}" for number in range(PLACES_KEY + 3)]
    assert [couriers.take(name, name, "slow") for name in slow] == [True] * PLACES_KEY + [False] * 3
    assert {begun.get(timeout=60) for _ in range(EACH_KEY)} == {*slow[:EACH_KEY]}
    for _ in range(3):
        assert couriers.take("quick", "a", "quick")
        assert begun.get(timeout=60) == "quick"
        assert eventually(lambda: "quick" not in couriers._known, 60)
    others = [f"other {number}" for number in range(THREADS)]
    assert all(couriers.take(name, name, "other") for name in others)
    left = THREADS - EACH_KEY
    assert {begun.get(timeout=60) for _ in range(left)} == {*others[:left]}
    assert begun.empty()
    go_on.set()
    rest = {begun.get(timeout=60) for _ in range(PLACES_KEY - EACH_KEY + len(others) - left)}
    assert rest == {*slow[EACH_KEY:PLACES_KEY], *others[left:]}


def test_couriers_do_not_keep_a_process_from_ending():
    """A process ends in the middle of an attempt that would take an hour."""
    script = """
import threading, time
from tasks.couriers import Couriers
begun = threading.Event()
assert Couriers(lambda _: (begun.set(), time.sleep(3600))).take("one", "a")
assert begun.wait(60)
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=120, check=True)


@pytest.mark.slow
def test_hanging_receivers_hold_up_no_job(tmp_path, tarpit):
    """A real service with twelve webhooks to a receiver that never answers, which would take two minutes of its control
    worker: three jobs, one after the other, end within 30 s, and their own webhooks are delivered.
    """
    video = write_video(tmp_path / "clip.mp4", [texture(2, 120, 160)] * 30)
    with (
        host({"/": ok(b"")}) as receiver,
        running(tmp_path / "data", groups={"light"}, reachable_networks="127.0.0.0/8"),
    ):
        node = Webhooks(ledger())
        stuck = [a_hook(at(tarpit), deployment=settings().deployment) for _ in range(12)]
        for hook in stuck:
            tasks.webhook.deliver_soon(hook.job_id)
        assert eventually(lambda: any(hook.attempts for hook in standing(node, stuck)), 60)
        began = time.monotonic()
        jobs = []
        for _ in range(3):
            asked = {"analyzers": ["color_analysis"], "deadline_seconds": 60, "webhook_url": receiver.url()}
            jobs.append(accept(video, **asked))
            assert wait(jobs[-1])["job"]["state"] == "completed"
        assert time.monotonic() - began < 30
        assert eventually(lambda: {node.of(job.id)[0].state for job in jobs} == {"delivered"}, 60)


@pytest.mark.slow
def test_a_wiped_broker_loses_no_webhook(tmp_path, monkeypatch):
    """A real job: at the first attempt the receiver is down and the broker loses everything; the second arrives."""
    answers = [b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", ok(b"")]
    video = write_video(tmp_path / "clip.mp4", [texture(1, 120, 160)] * 30)

    def answer(stream):
        if len(answers) == 2:
            events().client.flushall()
        stream.sendall(answers.pop(0))

    data = tmp_path / "data"
    with host({"/": answer}) as receiver, running(data, groups={"light"}, reachable_networks="127.0.0.0/8"):
        job = accept(video, analyzers=["color_analysis"], deadline_seconds=60, webhook_url=receiver.url())
        wait(job)
        hooks, give_up = Webhooks(ledger()), time.monotonic() + 60
        while hooks.of(job.id)[0].state == "pending":
            assert time.monotonic() < give_up
            time.sleep(0.1)
    first, second = (
        [line for line in request.split(b"\r\n") if line.startswith(b"webhook-id")] for request in receiver.asked
    )
    assert first == second
    assert answers == []
    bodies = [json.loads(request.partition(b"\r\n\r\n")[2]) for request in receiver.asked]
    assert bodies[0] == bodies[1]
