"""Debian's Chromium, driven by Playwright, and what a page must not do in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.processes import eventually
from tests.support.project import ROOT
from tests.support.system import missing, need_program

AXE = ROOT / "services/web/node_modules/axe-core/axe.min.js"
BUILT = ROOT / "services/web/static/index.html"
PATIENCE_SECONDS = 30
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window. Skips, or fails in CI, where there is none or the page is not built."""
    program = need_program("chromium", "apt-get install chromium")
    if not BUILT.is_file():
        missing("the page is not built; get it with: make page")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Seen:
    """What a page has done: the hosts that it asked, and what it complained about."""

    hosts: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)


@contextmanager
def opened(
    browser: Browser, url: str, *, width: int = 1400, dark: bool = False, touch: bool = False
) -> Iterator[tuple[Page, Seen]]:
    """A page in a browser profile of its own, watched."""
    context = browser.new_context(
        base_url=url,
        viewport={"width": width, "height": 900},
        color_scheme="dark" if dark else "light",
        has_touch=touch,
        is_mobile=touch,
    )
    context.set_default_timeout(PATIENCE_SECONDS * 1000)
    page = context.new_page()
    seen = Seen()
    page.on("request", lambda request: seen.hosts.add(urlsplit(request.url).netloc))
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on(
        "console", lambda said: seen.complaints.append(f"{said.text} {said.location}") if said.type == "error" else None
    )
    try:
        yield page, seen
    finally:
        context.close()


def until(page: Page, condition: str) -> None:
    """Wait until a JavaScript expression holds. Playwright's own way needs `eval`, which the page's policy forbids."""
    assert eventually(lambda: bool(page.evaluate(condition)), PATIENCE_SECONDS), condition


def settled(page: Page) -> float:
    """Where the video stands once it has got to where it was sent, in seconds."""
    until(page, "!document.querySelector('video').seeking")
    return video_time(page)


def video_time(page: Page) -> float:
    """Where the video stands, in seconds."""
    return float(page.evaluate("document.querySelector('video').currentTime"))


def faults(page: Page) -> list[str]:
    """What axe-core finds wrong for people who read with their ears, their keyboard or weak eyes."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(f"axe.run(document, {{ runOnly: {json.dumps(RULES)} }})")
    return [f"{one['id']}: {node['html'][:200]}" for one in found["violations"] for node in one["nodes"]]
