"""Bringing a video from an address that somebody sent: a file, or a page of a site that hides its files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from services.fetch.files import Fetched, Limits, fetch_file
from services.fetch.pages import fetch_page, is_page
from shared.guard import Guard, networks
from shared.outgoing import web_url
from shared.settings import settings

__all__ = ["Fetched", "Limits", "fetch"]


def fetch(
    url: str,
    folder: Path,
    *,
    limits: Limits | None = None,
    guard: Guard | None = None,
    report: Callable[[int], None] = lambda _: None,
) -> Fetched:
    """Bring a video into a new file in `folder`; nothing is left there when it fails.

    `report` is called with the bytes so far, often enough that what it raises is a way to cancel.

    Raises:
        UrlRefused: the address, or what lies there, is not taken; `fetch_file` and `fetch_page` list the codes.
        Unreachable: the other side is not there, refuses or breaks off.
        DeadlineExceeded: it took longer than the limits allow.
        Infrastructure: the disk is full or cannot be written.
    """
    bring = fetch_page if is_page(web_url(url)) else fetch_file
    guard = guard or Guard(networks(settings().reachable_networks))
    return bring(url, folder, limits=limits or Limits(), guard=guard, report=report)
