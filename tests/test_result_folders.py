"""Names on screen and on disk: folders of results, and the list of analyzers."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.commands.analyzers import _list
from services.results import folders_of
from shared.text import one_line
from tasks.registry import analyzers


def test_folders_have_names_that_can_be_shown(tmp_path: Path) -> None:
    r"""Controls and turned text in a video's name are escaped in its folder's; `a\x1b` written out is another name."""
    names = ["a\x1b[31m.mp4", "a\\x1b[31m.mp4", "bell\x07.mp4", "turned\u202e4pm.mp4", "\U0001f468\u200d\U0001f469.mp4"]
    folders = [folder.name for folder in folders_of([Path(name) for name in names], tmp_path)]
    assert folders == [
        "a\\x1b[31m",
        "a\\\\x1b[31m",
        "bell\\x07",
        "turned\\u202e4pm",
        "\U0001f468\u200d\U0001f469",
    ]
    assert [one_line(name) for name in folders] == folders


def test_the_list_of_analyzers_cuts_no_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In 80 columns every analyzer's name stands whole on one line."""
    monkeypatch.setenv("COLUMNS", "80")
    _list(list(analyzers().values()))
    words = capsys.readouterr().out.split()
    assert set(analyzers()) <= set(words)
