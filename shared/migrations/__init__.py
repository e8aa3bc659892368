"""Alembic's scripts. `HEAD` is known without importing Alembic, which costs a third of a second."""

HEAD = "0008"


def is_known(version: str) -> bool:
    """Whether a ledger at this version can be brought to `HEAD`: versions count from 0001, in four digits."""
    return version.isascii() and version.isdecimal() and len(version) == len(HEAD) and "0001" <= version <= HEAD
