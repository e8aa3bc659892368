"""How times, numbers and items of the document are said to people."""

from __future__ import annotations

from shared.schema import Item

_HEADLINES = ("message", "text", "label", "motion", "type")
_SAID_ELSEWHERE = {"id", "evidence", "start", "end", "t", "confidence", "boxes", "words", "box"}


MOST_SAID = 8
"""Of a longer list only its length is said."""


def clock(seconds: float) -> str:
    """A moment, such as 0:03.5 or 1:02:03.5."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    short = f"{minutes}:{rest / 10:04.1f}"
    return f"{hours}:{short.zfill(7)}" if hours else short


def between(start: float, end: float) -> str:
    """A span, such as 0:03.5-0:07.0 with a true dash."""
    return f"{clock(start)}\N{EN DASH}{clock(end)}"


def number(value: float) -> str:
    """Three significant digits or all before the point, with a true minus sign."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    text = f"{value:,.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", "\N{MINUS SIGN}") if text != "-0" else "0"


def plain(name: str) -> str:
    """A name from the code as words."""
    return name.replace("_", " ")


def _headline_field(item: Item) -> str | None:
    return next((field for field in _HEADLINES if getattr(item, field, None)), None)


def headline(item: Item) -> str:
    """What an item says, in as few words as it has."""
    field = _headline_field(item)
    if field is None:
        return item.id
    said = str(getattr(item, field))
    return said if field in ("message", "text") else plain(said)


def when(item: Item) -> str:
    """The item's moment or span."""
    start, end, t = (getattr(item, field, None) for field in ("start", "end", "t"))
    if start is not None and end is not None:
        return between(start, end)
    return clock(t) if t is not None else ""


def details(item: Item) -> tuple[str, ...]:
    """Everything else that an item says: confidence, number of boxes, and what its analyzer adds."""
    said = []
    confidence = getattr(item, "confidence", None)
    if confidence is not None:
        said.append(f"confidence {confidence:.2f}")
    if boxes := getattr(item, "boxes", ()):
        said.append(f"{len(boxes)} box{'es' if len(boxes) > 1 else ''}")
    rest = item.model_dump(mode="json", exclude=_SAID_ELSEWHERE | {_headline_field(item) or ""}, exclude_none=True)
    for field, value in rest.items():
        if value not in ("", [], {}):
            said.append(f"{plain(field)}: {_value(field, value)}")
    return tuple(said)


def _value(field: str, value: object) -> object:
    if isinstance(value, list) and len(value) > MOST_SAID:
        return f"{len(value)} values"
    if isinstance(value, dict):
        return ", ".join(f"{plain(name)} {part}" for name, part in value.items())
    return plain(str(value)) if field in _HEADLINES else value


def tooltip(item: Item) -> str:
    """All about an item, on a line each."""
    return "\n".join((headline(item), when(item), *details(item)))
