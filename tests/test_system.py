"""Tests of what tests may ask of the machine."""

import sys

import pytest

from tests.support.system import REQUIRE_ALL, need_program


def test_present_program_is_found():
    """A program that is there is returned as a path, whatever CI asks for."""
    assert need_program(sys.executable, "install Python") == sys.executable


def test_missing_program_skips_with_the_way_to_get_it(monkeypatch):
    """On a person's machine a missing program skips the test, and the reason names the command that brings it."""
    monkeypatch.delenv(REQUIRE_ALL, raising=False)
    with pytest.raises(
        pytest.skip.Exception, match="no-such-program is not installed; get it with: apt-get install it"
    ):
        need_program("no-such-program", "apt-get install it")


def test_missing_program_fails_when_all_is_required(monkeypatch):
    """In CI the same missing program is a failure, so no test goes missing unseen."""
    monkeypatch.setenv(REQUIRE_ALL, "1")
    with pytest.raises(pytest.fail.Exception, match="apt-get install it"):
        need_program("no-such-program", "apt-get install it")
