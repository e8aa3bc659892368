"""The `reelgraph` command as its users meet it: a real process, its output and its exit code."""

import json
import os
import pty
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import click
import numpy as np
import psutil
import pytest

from services import results
from services.cli import COMMANDS, cli
from shared.errors import Infrastructure
from shared.groups import groups
from tasks.registry import analyzers, document_schema
from tests.support.clips import Sound, make_clip, plain
from tests.support.document import sample_document
from tests.support.moving import texture, write_video
from tests.support.processes import eventually

REELGRAPH = Path(sys.executable).with_name("reelgraph")


@pytest.fixture
def environment(tmp_path):
    return {**os.environ, "REELGRAPH_DATA_DIR": str(tmp_path / "data"), "COLUMNS": "200"}


@pytest.fixture
def reelgraph(environment, tmp_path):
    """Runs the command in an empty folder."""
    folder = tmp_path / "here"
    folder.mkdir()

    def run(*arguments, seconds=100):
        command = [str(REELGRAPH), *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, env=environment, cwd=folder, check=False
        )

    return run


@pytest.fixture
def video(tmp_path):
    """A second of a still picture, then a second of another."""
    pictures = [texture(1, 120, 160)] * 30 + [texture(2, 120, 160)] * 30
    return write_video(tmp_path / "clip with space.mp4", pictures)


@pytest.mark.parametrize("command", [("worker", "--groups", "light"), ("prune", "--days", "1"), ("doctor",)])
def test_a_brokers_address_that_cannot_be_read(reelgraph, environment, command):
    """Whatever the command: exit code 2 and one line, without the password."""
    environment["REELGRAPH_BROKER_URL"] = "redis://me:s3#cret@127.0.0.1:1/0"
    done = reelgraph(*command)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert done.stderr.startswith("reelgraph: REELGRAPH_BROKER_URL: redis://USER:PASSWORD@")
    assert "s3" not in done.stderr


def truncated(folder):
    whole = write_video(folder / "whole.mp4", [texture(seed, 240, 320) for seed in range(60)])
    cut = folder / "truncated.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    return cut


def written(folder, name, content):
    (folder / name).write_bytes(content)
    return folder / name


BAD = {
    "missing file": (lambda folder: folder / "no.mp4", "no such file"),
    "folder": (lambda folder: folder, "folder"),
    "empty file": (lambda folder: written(folder, "empty.mp4", b""), "empty"),
    "text named .mp4": (lambda folder: written(folder, "text.mp4", b"not a video\n" * 99), "not a video"),
    "truncated file": (truncated, "truncated.mp4"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence(reelgraph, tmp_path, case):
    """Bad input ends with exit code 2 and one sentence that names the file; nothing is left behind."""
    make, words = BAD[case]
    path = make(tmp_path)
    before = {*tmp_path.rglob("*")}
    ended = reelgraph("analyze", path)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert str(path) in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert "Traceback" not in ended.stderr
    assert {*tmp_path.rglob("*")} == before


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--analyzers", "nonsense"], "cut_analysis"),
        (["--option", "cut_analysis.nonsense=1"], "min_content"),
        (["--option", "nonsense.x=1"], "cut_analysis"),
        (["--option", "nonsense"], "NAME.KEY=VALUE"),
        (["--option", "cut_analysis.min_content=many"], "min_content"),
        (["--option", "speech_transcription.pause_seconds=inf"], "Input should be a finite number"),
        (["--profile", "nonsense"], "local"),
    ],
)
def test_unknown_names_are_answered_with_the_known_ones(reelgraph, video, arguments, names):
    """An unknown analyzer, option or profile ends with exit code 2 and the names that exist."""
    ended = reelgraph("analyze", video, *arguments)
    assert ended.returncode == 2
    assert names in ended.stderr
    assert "Traceback" not in ended.stderr


def test_analyze_writes_document_and_report(reelgraph, video, tmp_path):
    """`analyze` leaves result.json and report.html in the video's folder, exits 0, leaves no process and no mark."""
    ended = reelgraph(
        "analyze", video, "--analyzers", "color_analysis,cut_analysis", "--out", tmp_path / "out", "--json"
    )
    assert ended.returncode == 0, ended.stderr
    folder = tmp_path / "out" / "clip with space"
    document = json.loads((folder / "result.json").read_text())
    assert document["job"]["state"] == "completed"
    assert json.loads(ended.stdout) == document
    assert "clip with space.mp4" in (folder / "report.html").read_text()
    assert left_running(tmp_path) == []
    assert [path.name for path in (tmp_path / "data" / "run").iterdir()] == []


def test_the_document_ends_with_the_video(reelgraph, tmp_path):
    """Sound that decodes to more than the container holds leaves no span, analysed or found, beyond the duration."""
    sound = Sound(np.zeros((1, 48_500), np.float32))
    video = make_clip(tmp_path / "v.mp4", frames=20, fps=20, size=(64, 48), picture=plain(0), sound=sound)
    ended = reelgraph("analyze", video, "--analyzers", "audio_analysis", "--out", tmp_path / "out", "--json")
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    (silence,) = (one for one in document["tracks"] if one["id"] == "audio_analysis/silence")
    ends = [item["end"] for item in silence["items"]] + [span[1] for span in document["analyzers"][0]["analysed"]]
    assert max(ends) == document["media"]["duration_seconds"]


def test_videos_of_the_same_name_get_folders_of_their_own(reelgraph, video, tmp_path):
    """Two videos called alike in one command do not overwrite each other's results."""
    (tmp_path / "other").mkdir()
    other = write_video(tmp_path / "other" / video.name, [texture(3, 120, 160)] * 30)
    ended = reelgraph("analyze", video, other, "--analyzers", "color_analysis", "--out", tmp_path / "out")
    assert ended.returncode == 0, ended.stderr
    durations = [
        json.loads(path.read_text())["media"]["duration_seconds"] for path in tmp_path.glob("out/*/result.json")
    ]
    assert sorted(durations) == [1.0, 2.0]


def test_results_that_cannot_be_written_stop_no_other_video(reelgraph, video, tmp_path):
    """Where a video's folder cannot be made, one sentence says so, the next video is analyzed, and the code is 3."""
    second = write_video(tmp_path / "second.mp4", [texture(3, 120, 160)] * 30)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / video.stem).write_text("in the way")
    ended = reelgraph("analyze", video, second, "--analyzers", "color_analysis", "--out", tmp_path / "out")
    assert ended.returncode == 3
    (line,) = [line for line in ended.stderr.splitlines() if "cannot be written" in line]
    assert video.stem in line
    assert "Traceback" not in ended.stderr
    assert (tmp_path / "out" / "second" / "report.html").exists()


def test_a_report_that_cannot_be_made_costs_only_itself(environment, monkeypatch, tmp_path):
    """Whatever a page breaks on, the document is written and the error says which video has no report."""
    monkeypatch.setenv("REELGRAPH_DATA_DIR", environment["REELGRAPH_DATA_DIR"])

    def broken(*_: object, **__: object) -> str:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(results, "render", broken)
    with pytest.raises(Infrastructure, match="no report can be made of it: ZeroDivisionError") as caught:
        results.write_results(sample_document(), tmp_path / "clip", lambda _: None)
    assert caught.value.code == "report_failed"
    assert [path.name for path in (tmp_path / "clip").iterdir()] == ["result.json"]


def left_running(tmp_path):
    """Command lines of processes that work in this test's data folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and str(tmp_path / "data") in process.environ().get("REELGRAPH_DATA_DIR", ""):
                found.append(process.cmdline())
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_command_leaves_nothing(video, environment, tmp_path, number):
    """Soon after Ctrl-C, SIGTERM and SIGKILL everything the command started is gone."""
    command = [str(REELGRAPH), "analyze", str(video), "--out", str(tmp_path / "out")]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert eventually(lambda: len(left_running(tmp_path)) >= 6, 60)
    process.send_signal(number)
    assert eventually(lambda: left_running(tmp_path) == [], 60)
    _, errors = process.communicate(timeout=20)
    assert "Traceback" not in errors


def test_schema_is_the_documents(reelgraph):
    """`schema` prints the JSON Schema that documents are checked against."""
    assert json.loads(reelgraph("schema").stdout) == document_schema()


def test_analyzers_lists_all(reelgraph):
    """`analyzers --json` names every analyzer with its group, options and tracks."""
    listed = json.loads(reelgraph("analyzers", "--json").stdout)
    assert [one["name"] for one in listed] == list(analyzers())
    assert all(one["group"] in groups() and one["tracks"] and one["summary"] for one in listed)


def test_analyzers_says_what_is_switched_off(reelgraph, environment):
    """Where no personal traits are inferred, the list says so of those that would infer them, and they do not run."""
    environment["REELGRAPH_INFER_PERSONAL_TRAITS"] = "false"
    listed = json.loads(reelgraph("analyzers", "--json").stdout)
    running = {one["name"] for one in listed if one["available"]}
    assert {"face_detection", "eye_tracking"} <= running
    assert not {"age_estimation", "face_emotion"} & running
    assert reelgraph("analyzers").stdout.count("switched off") == 3


def test_doctor_says_what_is_missing(reelgraph, environment, tmp_path):
    """Without weights `doctor` names the command that pulls them, and still finds the machine ready."""
    environment["REELGRAPH_WEIGHTS_DIR"] = str(tmp_path / "none")
    ended = reelgraph("doctor")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "reelgraph models pull whisper-tiny-en" in ended.stdout
    assert "ready" in ended.stdout
    assert "worker vision=detect+" in ended.stdout


def test_the_module_is_the_command(environment):
    """`python -m services.cli` runs the command too, rather than ending silently with nothing done."""
    command = [sys.executable, "-m", "services.cli", "analyze", "nowhere.mp4"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert (done.returncode, "nowhere.mp4" in done.stderr) == (2, True)


def test_help_teaches(reelgraph):
    """`--help` of the group and of every command has a summary and examples or options, and is quick."""
    for arguments in ([], ["analyze"], ["models"], ["models", "pull"], ["doctor"], ["demo"], ["worker"]):
        ended = reelgraph(*arguments, "--help")
        assert ended.returncode == 0
        assert "Usage: reelgraph" in ended.stdout


def test_no_help_shows_its_own_marks():
    """No command, and no command of a command, shows click's mark for unwrapped paragraphs; their lines stay apart."""

    def helps(command, context):
        yield command.get_help(context)
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                yield from helps(inner, click.Context(inner, info_name=name, parent=context))

    texts = list(helps(cli, click.Context(cli, info_name="reelgraph")))
    assert len(texts) > len(COMMANDS)
    for text in texts:
        assert "\\b" not in text
        assert "\b" not in text
        assert "Examples:" not in text or text.split("Examples:")[1].startswith("\n")


def test_a_terminal_shows_one_row_an_analyzer(video, environment, tmp_path):
    """On a terminal the display is a live table that names the analyzers and ends with the closing table."""
    terminal, far_end = pty.openpty()
    command = [str(REELGRAPH), "analyze", str(video), "--analyzers", "color_analysis", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(command, env=environment | {"TERM": "xterm"}, stderr=far_end, stdout=far_end)
    os.close(far_end)
    shown = b""
    with suppress(OSError):  # the end of a terminal
        while part := os.read(terminal, 65536):
            shown += part
    os.close(terminal)
    assert process.wait(60) == 0, shown.decode()
    assert b"starting broker and workers" in shown
    assert b"queued" in shown
    assert "completed in" in shown.decode()


def test_results_stay_in_the_folder(reelgraph, video, tmp_path):
    """A video whose name would lead out of --out gets a folder in it all the same."""
    odd = video.rename(video.with_name("...mkv"))
    ended = reelgraph("analyze", "--analyzers", "color_analysis", "--out", tmp_path / "out" / "deep", "--", odd)
    assert ended.returncode == 0, ended.stderr
    assert [path.relative_to(tmp_path / "out") for path in tmp_path.glob("out/**/result.json")] == [
        Path("deep/video/result.json")
    ]


@pytest.mark.parametrize("command", [["analyze"], ["doctor"]])
def test_an_unusable_data_folder_is_one_sentence(reelgraph, environment, video, tmp_path, command):
    """A data folder that cannot be made is named in a sentence, with exit code 3 and no traceback."""
    environment["REELGRAPH_DATA_DIR"] = str(written(tmp_path, "file", b"") / "data")
    ended = reelgraph(*command, *([video] if command == ["analyze"] else []))
    assert ended.returncode == 3
    assert str(tmp_path / "file") in (ended.stderr + ended.stdout).replace("\n", "")
    assert "Traceback" not in ended.stderr


def test_a_dead_broker_ends_the_command(video, environment, tmp_path):
    """When the broker is killed the command says so, exits with 3, and leaves nothing running."""
    command = [str(REELGRAPH), "analyze", str(video), "--out", str(tmp_path / "out")]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    def servers():
        found = []
        for one in psutil.process_iter():
            with suppress(psutil.Error):  # it may end while it is looked at
                if one.name().startswith(("valkey-server", "redis-server")) and one.cwd().startswith(str(tmp_path)):
                    found.append(one)
        return found

    assert eventually(lambda: len(left_running(tmp_path)) >= 6 and servers(), 60)
    servers()[0].kill()
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 3, errors
    assert "the broker" in errors
    assert "Traceback" not in errors
    assert eventually(lambda: left_running(tmp_path) == [], 60)
