"""Commands in documents: what a reader is told to type, and whether the command line knows it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

import click

from services.cli import cli

BETWEEN = frozenset("();<>|&")


def typed(text: str) -> Iterator[list[str]]:
    """The words of every command in the shell blocks of a Markdown text, without comments and redirections."""
    for block in re.findall(r"^```sh\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            yield from _commands(line)


def _commands(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    is_file = False
    for token in lexer:
        if set(token) <= BETWEEN:
            is_file = token in {"<", ">"}
            if words and not is_file:
                yield words
                words = []
        elif is_file:
            is_file = False
        else:
            words.append(token)
    if words:
        yield words


def check_reelgraph(words: Sequence[str]) -> None:
    """Assert that the words after `reelgraph` are subcommands and options that there are."""
    command: click.Command = cli
    rest = list(words)
    while isinstance(command, click.Group) and rest:
        found = command.get_command(click.Context(command), rest[0])
        assert found, f"no command {rest[0]}"
        command, rest = found, rest[1:]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in rest if word.startswith("-")} <= known, words
