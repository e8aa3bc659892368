"""Two result files of `python -m bench --out FILE` side by side, with the ratio of each row.

python -m bench.compare BEFORE AFTER
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import click

NOTABLE = 0.1
"""A change of less than a tenth is within the noise of a shared machine."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a line of a result file says."""

    value: float | None
    unit: str
    better: str
    holds: bool | None


def read(file: Path) -> dict[str, Measured]:
    """The rows of a file by name. Raises click.ClickException for a line that is none."""
    found = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            raw = json.loads(line)
            found[raw["row"]] = Measured(raw["value"], raw["unit"], raw["better"], raw["holds"])
        except (ValueError, KeyError, TypeError) as error:
            raise click.ClickException(f"{file}, line {number}, is no row of the bench") from error
    return found


def change(before: Measured | None, after: Measured | None) -> tuple[str, str]:
    """The ratio after/before, and a word for it."""
    if before is None or after is None:
        return "", "new" if before is None else "gone"
    if before.value is None or after.value is None:
        return "", "not measured" if after.value is None else "measured now" if before.value is None else ""
    difference = abs(after.value - before.value)
    direction = "better" if (after.value < before.value) == (after.better == "lower") else "worse"
    word = direction if difference and difference >= NOTABLE * abs(before.value) else ""
    if before.holds is not after.holds and after.holds is not None:
        word = f"{word}, goal {'reached' if after.holds else 'missed'}".strip(", ")
    if before.value == 0:
        return "", f"{word} (no ratio: it was 0)" if word else ""
    return f"{after.value / before.value:.2f}", word


def shown(one: Measured | None) -> str:
    """A value for the table."""
    return "-" if one is None or one.value is None else f"{one.value:g} {one.unit}"


@click.command()
@click.argument("before", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("after", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def main(before: Path, after: Path) -> None:
    """Print a Markdown table: a report, no gate."""
    old, new = read(before), read(after)
    click.echo("| row | before | after | after/before | |\n|---|---|---|---|---|")
    for name in dict.fromkeys([*old, *new]):
        ratio, word = change(old.get(name), new.get(name))
        click.echo(f"| {name} | {shown(old.get(name))} | {shown(new.get(name))} | {ratio} | {word} |")


if __name__ == "__main__":
    main()
