"""Looking through a part of a bucket, some pages at each turn: it may hold millions of objects; and deleting one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from s3fs import S3FileSystem

KEYS, PAGES = 1000, 5
"""Of one answer, which S3 bounds, and of one turn: a second or so."""


class Stored(NamedTuple):
    """An object, or a folder of some."""

    name: str
    stored_at: float | None
    """Seconds since the epoch, by the server; None for a folder."""


class Turns:
    """Goes through folders of a bucket, each turn from where the last one stopped, after the end from the start."""

    def __init__(self) -> None:
        self._reached: dict[str, str] = {}

    def next(self, bucket: S3FileSystem, folder: str, *, shallow: bool) -> list[Stored]:
        """Some of what lies below a folder, `BUCKET/PREFIX`; `shallow` names folders, not what they hold."""
        found: list[Stored] = []
        for _ in range(PAGES):
            after = self._reached.pop(folder, "")
            page = _listed(bucket, f"{folder}/", after, shallow=shallow)
            objects = [(one["Key"], one["LastModified"].timestamp()) for one in page.get("Contents", ())]
            folders = [one["Prefix"].rstrip("/") for one in page.get("CommonPrefixes", ())]
            found += [Stored(key.rpartition("/")[2], at) for key, at in objects]
            found += [Stored(key.rpartition("/")[2], None) for key in folders]
            if not page.get("IsTruncated"):
                break
            # "0" comes right after "/": all that a folder holds has been named by it
            self._reached[folder] = max([*(key for key, _ in objects), *(f"{key}0" for key in folders)], default="")
        return found


def newest(bucket: S3FileSystem, folder: str) -> float | None:
    """When something was last stored in a folder, by the server; None when nothing is there. It looks at one page."""
    found = _listed(bucket, f"{folder}/", "", shallow=False).get("Contents", ())
    return max((one["LastModified"].timestamp() for one in found), default=None)


def delete(bucket: S3FileSystem, place: str) -> str:
    """Delete an object and all below it, `BUCKET/KEY`, with two requests for each page of them.

    Says which one the server refused to delete, and why; nothing where all are gone. s3fs's own `rm` asks nobody.
    """
    name, _, key = place.partition("/")
    after, refused = "", ""
    while True:
        page = _listed(bucket, place, after, shallow=False)
        found = [one["Key"] for one in page.get("Contents", ())]
        ours = [{"Key": one} for one in found if one == key or one.startswith(f"{key}/")]
        if ours:
            answer = bucket.call_s3("delete_objects", Bucket=name, Delete={"Objects": ours, "Quiet": True})
            errors = [one for one in answer.get("Errors", ()) if one.get("Code") != "NoSuchKey"]
            if errors and not refused:
                refused = f"{errors[0].get('Key')}: {errors[0].get('Code')}: {errors[0].get('Message')}"
        if not page.get("IsTruncated") or not found:
            return refused
        after = max(found)


def _listed(bucket: S3FileSystem, start: str, after: str, *, shallow: bool) -> dict[str, Any]:
    """A page of what begins like this, `BUCKET/PREFIX`."""
    name, _, prefix = start.partition("/")
    given = {"Delimiter": "/"} if shallow else {}
    given |= {"StartAfter": after} if after else {}
    page: dict[str, Any] = bucket.call_s3("list_objects_v2", Bucket=name, Prefix=prefix, MaxKeys=KEYS, **given)
    return page
