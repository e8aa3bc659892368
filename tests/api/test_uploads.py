"""Resumable uploads (tus 1.0) and hostile ones."""

import base64
import hashlib
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from email.utils import parsedate_to_datetime

import pytest

from services.api.pace import SLOW_OF_ONE
from services.server import PROCESSES, THREADS
from shared.keys import Keys
from shared.settings import settings
from tasks.node import ledger, storage
from tests.support.api import BOUNDARY, form, serving

TUS = {"Tus_Resumable": "1.0.0"}
NO_JOB = "00000000-0000-0000-0000-000000000000"
CHUNK = {**TUS, "Content_Type": "application/offset+octet-stream"}


def begin(api, length, name="mine.mp4"):
    metadata = f"filename {base64.b64encode(name.encode()).decode()},is_confidential"
    answer = api.call("POST", "/v1/uploads", b"", Upload_Length=str(length), Upload_Metadata=metadata, **TUS)
    assert answer.status == 201, answer.body
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert answer.headers["upload-expires"].endswith("GMT")
    return answer.headers["location"]


def offset(api, place):
    answer = api.call("HEAD", place, **TUS)
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["upload-metadata"].endswith(",is_confidential")
    return int(answer.headers["upload-offset"])


def test_an_upload_in_pieces_becomes_a_job(api, video):
    """A video sent in three chunks, asked for its offset between them, becomes a job by reference, and is then gone."""
    content = video.read_bytes()
    place = begin(api, len(content), name="../Ünïcode mine.mp4")
    upload = place.rpartition("/")[2]
    for first, last in ((0, 1000), (1000, 5000), (5000, len(content))):
        assert offset(api, place) == first
        sent = base64.b64encode("../Ünïcode mine.mp4".encode()).decode()
        assert api.call("HEAD", place, **TUS).headers["upload-metadata"] == f"filename {sent},is_confidential"
        assert api.post_json("/v1/jobs", {"upload": upload}).refusal == (409, "upload_open")
        answer = api.call("PATCH", place, content[first:last], Upload_Offset=str(first), **CHUNK)
        assert (answer.status, answer.headers.get("upload-offset")) == (204, str(last)), answer.body
    wish = {"upload": upload, "analyzers": ["misbehaving"], "options": {"misbehaving": {"sleep": 0.01}}}
    answer = api.post_json("/v1/jobs", wish, Idempotency_Key="tus")
    assert (answer.status, answer.json["source_name"]) == (202, "Ünïcode mine.mp4")
    assert api.post_json("/v1/jobs", wish, Idempotency_Key="tus").json["id"] == answer.json["id"]
    assert api.call("HEAD", place, **TUS).status == 404
    assert api.get(f"/v1/jobs/{answer.json['id']}/video").body == content
    assert api.wait(answer.json["id"])["state"] == "completed"


def test_a_broken_connection_loses_no_byte(api, video):
    """What arrived before a connection broke is kept, and the upload goes on from there."""
    content = video.read_bytes()
    place = begin(api, len(content))
    head = (
        f"PATCH {place} HTTP/1.1\r\nHost: 127.0.0.1:{api.port}\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n"
        f"Content-Type: application/offset+octet-stream\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", api.port)) as connection:
        connection.sendall(head.encode() + content[:4096])
        time.sleep(0.2)
    give_up = time.monotonic() + 90
    while (here := offset(api, place)) != 4096:
        assert time.monotonic() < give_up, here
        time.sleep(0.05)
    give_up = time.monotonic() + 90
    while (answer := api.call("PATCH", place, content[4096:], Upload_Offset="4096", **CHUNK)).status == 409:
        assert time.monotonic() < give_up  # the broken request lets go of the upload
        time.sleep(0.05)
    assert (answer.status, answer.headers.get("upload-offset")) == (204, str(len(content))), answer.body


def test_a_chunk_with_a_wrong_checksum_leaves_nothing(api):
    """A chunk whose checksum is wrong is refused with 460 and not kept; the right one is."""
    place = begin(api, 10)
    good = base64.b64encode(hashlib.sha1(b"12345").digest()).decode()
    wrong = api.call("PATCH", place, b"54321", Upload_Offset="0", Upload_Checksum=f"sha1 {good}", **CHUNK)
    assert wrong.refusal == (460, "checksum_mismatch")
    assert offset(api, place) == 0
    right = api.call("PATCH", place, b"12345", Upload_Offset="0", Upload_Checksum=f"sha1 {good}", **CHUNK)
    assert right.status == 204
    unknown = api.call("PATCH", place, b"1", Upload_Offset="5", Upload_Checksum="crc32 AAAA", **CHUNK)
    assert unknown.refusal == (400, "unsupported_checksum")


def test_what_does_not_fit_is_refused(api):
    """A wrong offset, a chunk beyond the end, another type or version, and no length: each has its own refusal."""
    place = begin(api, 4)
    assert api.call("PATCH", place, b"1", Upload_Offset="1", **CHUNK).refusal == (409, "wrong_offset")
    assert api.call("PATCH", place, b"12345", Upload_Offset="0", **CHUNK).refusal == (413, "too_large")
    assert api.call("PATCH", place, iter([b"12", b"345"]), Upload_Offset="0", **CHUNK).refusal == (413, "too_large")
    assert api.call("PATCH", place, b"1", Upload_Offset="0", **TUS).refusal == (415, "unsupported_media_type")
    assert api.call("HEAD", place).status == 412
    assert api.call("POST", "/v1/uploads", b"", **TUS).refusal == (422, "invalid_request")
    assert api.call("POST", "/v1/uploads", b"", Upload_Length=str(1 << 50), **TUS).refusal == (413, "too_large")
    assert api.call("HEAD", f"/v1/uploads/{'0' * 32}", **TUS).status == 404
    assert api.call("HEAD", "/v1/uploads/..%2f..", **TUS).status == 404
    for method, path in (("PUT", place), ("GET", "/v1/uploads/a/b/c")):
        assert api.call(method, path, **TUS).headers["tus-resumable"] == "1.0.0"
    options = api.call("OPTIONS", "/v1/uploads")
    assert options.headers["tus-extension"] == "creation,checksum,expiration,termination"
    assert int(options.headers["tus-max-size"]) > 0


def test_an_upload_can_be_thrown_away(api):
    """A terminated upload is gone from the disk and refused from then on; PATCH and DELETE may come as POST."""
    place = begin(api, 4)
    sent = api.call("POST", place, b"12", Upload_Offset="0", X_HTTP_Method_Override="PATCH", **CHUNK)
    assert (sent.status, sent.headers["upload-offset"]) == (204, "2")
    assert api.call("POST", place, X_HTTP_Method_Override="DELETE", **TUS).status == 204
    assert api.call("HEAD", place, **TUS).status == 404
    assert not list(storage().incoming().glob(f"*{place.rpartition('/')[2]}*"))


def test_an_upload_belongs_to_its_key_and_expires(stack):
    """Another key sees no upload, and one that nobody goes on with is gone after its time, also from the disk."""
    one, two = (Keys(ledger()).create(name, ["read", "write"]).token for name in ("one", "two"))
    with serving(stack, require_keys=True, upload_hours=1 / 3600) as api:
        place = begin(api.with_key(one), 4)
        assert offset(api.with_key(one), place) == 0
        assert api.with_key(two).call("HEAD", place, **TUS).status == 404
        assert api.with_key(two).call("PATCH", place, b"1", Upload_Offset="0", **CHUNK).refusal == (
            404,
            "unknown_upload",
        )
        time.sleep(1.1)
        assert api.with_key(one).call("HEAD", place, **TUS).status == 404
        begin(api.with_key(one), 4)
        assert not list(storage().incoming().glob(f"*{place.rpartition('/')[2]}*"))


def test_an_upload_that_goes_on_stays(api):
    """What comes moves the time at which an upload is removed: it has its hours again from the last byte on."""
    place = begin(api, 4)
    data = storage().incoming() / f"upload-{place.rpartition('/')[2]}" / "data"
    hours = settings().upload_hours * 3600

    def left(answer):
        return parsedate_to_datetime(answer.headers["upload-expires"]).timestamp() - time.time()

    os.utime(data, (time.time() - hours + 600,) * 2)
    assert left(api.call("HEAD", place, **TUS)) < 601
    assert left(api.call("PATCH", place, b"12", Upload_Offset="0", **CHUNK)) > hours - 600
    os.utime(data, (time.time() - hours - 1,) * 2)
    assert api.call("PATCH", place, b"34", Upload_Offset="2", **CHUNK).refusal == (404, "unknown_upload")


@pytest.fixture(scope="module")
def strict(stack):
    """A server that takes 1 MB at most, 20 s of video, and waits a second for slow senders."""
    with serving(
        stack, max_upload_bytes=1 << 20, max_video_seconds=20, upload_grace_seconds=1, upload_bytes_per_second=1 << 20
    ) as api:
        yield api


def test_a_video_that_is_too_large_is_refused(strict):
    """One byte too many is refused with 413, whether the length is announced or not; nothing stays on disk."""
    headers = {"Content_Type": f"multipart/form-data; boundary={BOUNDARY}"}
    much = form(bytes((1 << 20) + 1))
    assert strict.call("POST", "/v1/jobs", much, **headers).refusal == (413, "too_large")
    far_too_much = form(bytes(3 << 20))
    assert strict.call("POST", "/v1/jobs", far_too_much, **headers).refusal == (413, "too_large")
    pieces = (far_too_much[at : at + 65_536] for at in range(0, len(far_too_much), 65_536))
    assert strict.call("POST", "/v1/jobs", pieces, **headers).refusal == (413, "too_large")
    assert list(storage().incoming().glob("*.part")) == []


def test_two_videos_in_one_form_are_refused(api, video):
    """Which of two files `video` was meant is not guessed."""
    one = form(video.read_bytes())
    both = one.replace(f"--{BOUNDARY}--".encode(), one)
    headers = {"Content_Type": f"multipart/form-data; boundary={BOUNDARY}"}
    assert api.call("POST", "/v1/jobs", both, **headers).refusal == (422, "several_files")


def test_a_video_that_is_too_long_is_refused(strict, tmp_path):
    """A video longer than allowed is refused before any analyzer sees it."""
    from tests.support.moving import texture, write_video

    long = write_video(tmp_path / "long.mp4", [texture(1, 32, 32)] * 1000)
    assert strict.hand_in(long).refusal == (422, "too_long")


@pytest.mark.parametrize(
    ("path", "kind", "drip"),
    [
        ("", f"multipart/form-data; boundary={BOUNDARY}", b""),
        ("", f"multipart/form-data; boundary={BOUNDARY}", b"x"),
        ("", "application/json", b" "),
        (f"/{NO_JOB}/rerun", "application/json", b" "),
    ],
)
def test_a_slow_upload_is_ended(strict, path, kind, drip):
    """A sender that stops, or sends a byte now and then, is answered 408 when its time is over; nothing stays."""
    content = form(bytes(500_000))
    head = (
        f"POST /v1/jobs{path} HTTP/1.1\r\nHost: 127.0.0.1:{strict.port}\r\nContent-Length: {len(content)}\r\n"
        f"Content-Type: {kind}\r\n\r\n"
    )
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", strict.port)) as connection:
        connection.sendall(head.encode() + content[:300])
        connection.settimeout(0.1)
        answer = b""
        while b"upload_too_slow" not in answer:  # head and body may come apart
            assert time.monotonic() - began < 30, answer
            try:
                answer += connection.recv(4096)
            except TimeoutError:
                connection.sendall(drip)
    assert b"408" in answer.splitlines()[0]
    time.sleep(0.2)
    assert list(storage().incoming().glob("*.part")) == []


def test_a_long_body_is_no_licence_to_trickle(stack):
    """A byte now and then of a body that is announced as huge, whole or in chunks, is ended as of a small one."""
    kind = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
    lengths = (f"Content-Length: {1 << 30}\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n")
    with serving(stack, upload_grace_seconds=1, upload_bytes_per_second=1 << 10) as api:
        for length in lengths:
            head = f"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1:{api.port}\r\n{kind}\r\n{length}"
            with socket.create_connection(("127.0.0.1", api.port)) as connection:
                connection.sendall(head.encode())
                assert "upload_too_slow" in trickled(connection, "chunked" in length)


def trickled(connection, is_chunked):
    """What a server says to who sends a byte each tenth of a second."""
    connection.settimeout(0.1)
    answer = b""
    give_up = time.monotonic() + 30
    while b'"code"' not in answer:
        assert time.monotonic() < give_up, answer
        try:
            answer += connection.recv(4096)
        except TimeoutError:
            with suppress(ConnectionError):
                connection.sendall(b"1\r\nx\r\n" if is_chunked else b"x")
    return answer.decode()


def test_slow_uploads_of_one_key_leave_threads_for_all_else(stack, video):
    """More slow uploads of one key than there are threads: most are refused, and another key can hand in 40."""
    one, two = (Keys(ledger()).create(name, ["read", "write"]).token for name in ("slow", "quick"))
    head = (
        f"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {one}\r\nContent-Length: {1 << 30}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
    )
    with serving(stack, require_keys=True) as api, ExitStack() as open_:
        connections = []
        for _ in range(PROCESSES * THREADS + 8):
            connection = open_.enter_context(socket.create_connection(("127.0.0.1", api.port)))
            connection.sendall(head.encode())
            connections.append(connection)
        quick = api.with_key(two)
        with ThreadPoolExecutor(SLOW_OF_ONE - 4) as pool:
            answers = list(pool.map(lambda _: quick.hand_in(video, analyzers="misbehaving"), range(40)))
        assert [one.status for one in answers] == [202] * 40, answers[0].body
        held = PROCESSES * SLOW_OF_ONE
        give_up = time.monotonic() + 60
        while len(waiting := [one for one in connections if b"too_many_uploads" not in said(one)]) > held:
            assert time.monotonic() < give_up, len(waiting)
            connections = waiting


def said(connection):
    """What has come by now; it stays there to be read."""
    with suppress(BlockingIOError):
        return connection.recv(4096, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    return b""
