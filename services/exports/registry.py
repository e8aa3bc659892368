"""Which export formats there are."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

import services.exports.formats
from services.exports.format import Format
from shared.errors import BadInput


@cache
def formats() -> dict[str, Format]:
    """Every format by name, in alphabetical order, found by walking `services/exports/formats/`."""
    folder = services.exports.formats
    modules = (import_module(f"{folder.__name__}.{module.name}") for module in pkgutil.iter_modules(folder.__path__))
    found: list[Format] = [module.FORMAT for module in modules]
    return {one.name: one for one in sorted(found, key=lambda one: one.name)}


def format_named(name: str) -> Format:
    """One format. Raises BadInput (`unknown_format`) with the names that exist."""
    if name not in formats():
        raise BadInput(f"unknown format {name!r}; there are {', '.join(formats())}", code="unknown_format")
    return formats()[name]
