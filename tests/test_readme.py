"""Tests of the README and docs: what they tell a reader to run or open exists."""

import re
import shlex

import pytest

from tests.support.commands import check_reelgraph
from tests.support.project import ROOT, pyproject, tracked

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [shlex.split(line, comments=True) for block in BLOCKS for line in block.splitlines()]
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))


def commands_of(program):
    return [pytest.param(words, id=" ".join(words)) for words in COMMANDS if words[0] == program]


def links(path):
    """Relative targets of the links in a Markdown file, and the files they mean."""
    found = re.findall(r"\]\(([^)#]+)", (ROOT / path).read_text(encoding="utf-8"))
    return {target: (ROOT / path).parent / target for target in found if "://" not in target}


def test_readme_starts_with_the_two_commands():
    """A newcomer sees exactly `make demo` and `make test` before anything else to type."""
    assert BLOCKS[0] == "make demo\nmake test\n"


def test_readme_names_only_known_programs():
    """Every command in the README is one that a test below looks at, or runs (tests/api/test_examples.py)."""
    assert {words[0] for words in COMMANDS} <= {"curl", "make", "reelgraph"}


@pytest.mark.parametrize("words", commands_of("make"))
def test_make_targets_exist(words):
    """Each `make` command in the README names a target of the Makefile."""
    assert {word for word in words[1:] if "=" not in word} <= TARGETS


@pytest.mark.parametrize("words", commands_of("reelgraph"))
def test_reelgraph_commands_exist(words):
    """Each `reelgraph` command in the README parses: its subcommands and options exist."""
    check_reelgraph(words[1:])


@pytest.mark.parametrize("path", tracked("*.md"), ids=str)
def test_links_lead_somewhere(path):
    """Every relative link of every Markdown file leads to a file of the project."""
    assert [target for target, file in links(path).items() if not file.exists()] == []


def test_changelog_has_the_version():
    """The changelog has an entry for the version in pyproject.toml."""
    assert f"## [{pyproject()['project']['version']}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
