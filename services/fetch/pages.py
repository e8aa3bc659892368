"""Videos on pages of TikTok, Instagram and YouTube, found by yt-dlp in a child process that reaches our proxy alone.

yt-dlp has many ways to the network. None of them has to behave: the child's audit hook (`services/fetch/child.py`) lets
sockets connect to the proxy alone and starts no programs, and the proxy connects to judged addresses alone.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from services.fetch.child import Answered, Asked
from services.fetch.files import NAME_LENGTH, Fetched, Limits, too_large
from services.fetch.proxy import GuardedProxy, guarded_proxy
from services.leash import start
from shared.errors import DeadlineExceeded, Infrastructure, Unreachable, UrlRefused
from shared.guard import Guard
from shared.outgoing import WebUrl, web_url
from shared.text import one_line

SITES = ("instagram.com", "tiktok.com", "youtu.be", "youtube.com")
EXTRACTORS = ("instagram", "tiktok", r"vm\.tiktok", "youtube", "youtubeytbe", "youtube:consent")
"""Of yt-dlp's many. Its generic one would follow any page anywhere."""

ADVICE = "; please report this issue on"
"""How yt-dlp goes on after its reason, for its own users."""

LOOK_SECONDS = 0.1
PASSED_ENVIRONMENT = ("LANG", "PATH", "PYTHONPATH", "SSL_CERT_DIR", "SSL_CERT_FILE", "TZ", "VIRTUAL_ENV")


def is_page(url: WebUrl) -> bool:
    """Whether an address is on a site whose pages hide their video."""
    host = url.host.removesuffix(".")
    return any(host == site or host.endswith(f".{site}") for site in SITES)


def fetch_page(
    url: str,
    folder: Path,
    *,
    limits: Limits,
    guard: Guard,
    report: Callable[[int], None] = lambda _: None,
    extractors: Sequence[str] = EXTRACTORS,
) -> Fetched:
    """Bring the video of a page into a new file in `folder`; nothing is left there when it fails.

    Raises:
        UrlRefused: `pages_not_installed`, `bad_url`, `address_refused`, `too_large`.
        Unreachable: `page_failed`: yt-dlp found no video; the message is its own.
        DeadlineExceeded: it took longer than the limits allow.
    """
    page = web_url(url)
    if find_spec("yt_dlp") is None:
        message = f"{page.host} shows videos on pages, which needs an extra: pip install 'reelgraph[pages]'"
        raise UrlRefused(message, code="pages_not_installed")
    until = time.monotonic() + limits.total_seconds
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix="page-", ignore_cleanup_errors=True) as name,
        guarded_proxy(guard, until=until, max_bytes=limits.max_bytes) as proxy,
    ):
        room = Path(name)
        asked = Asked(url=page.text, proxy=proxy.url, extractors=tuple(extractors), max_bytes=limits.max_bytes)
        (room / "asked.json").write_text(asked.model_dump_json())
        answered = _run(room, proxy, page, limits, report)
        return _brought(answered, room, folder, page, proxy)


def _run(room: Path, proxy: GuardedProxy, page: WebUrl, limits: Limits, report: Callable[[int], None]) -> Answered:
    environment = {name: os.environ[name] for name in PASSED_ENVIRONMENT if name in os.environ}
    environment |= {"HOME": str(room), "TMPDIR": str(room), "YTDLP_NO_PLUGINS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    # the working folder holds only what the child made: a module in it must not be imported
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [_root(), environment.get("PYTHONPATH")]))
    environment["PYTHONSAFEPATH"] = "1"
    with (room / "log").open("wb") as log:
        child = start([sys.executable, "-m", "services.fetch.child"], env=environment, cwd=room, stdout=log)
        try:
            while child.wait(LOOK_SECONDS) is None:
                report(proxy.received_bytes)
                if proxy.overfull:
                    raise too_large(page, limits)
                if time.monotonic() > proxy.until:
                    raise DeadlineExceeded(f"{page.shown} did not give its video within {limits.total_seconds:g} s")
        finally:
            child.kill()
            child.stop()
    if proxy.overfull:
        raise too_large(page, limits)
    try:
        answered = Answered.model_validate_json((room / "answered.json").read_bytes())
    except (OSError, ValueError) as error:
        last = (room / "log").read_text(errors="replace").strip().rpartition("\n")[2]
        raise Infrastructure(f"looking at {page.shown} died: {last}", code="page_reader_died") from error
    if answered.too_large:
        raise too_large(page, limits)
    return answered


def _brought(answered: Answered, room: Path, folder: Path, page: WebUrl, proxy: GuardedProxy) -> Fetched:
    if answered.error is not None or answered.file is None:
        if isinstance(proxy.refusal, UrlRefused):
            raise proxy.refusal
        reason = one_line((answered.error or "it has no video").partition(ADVICE)[0])
        raise Unreachable(f"{page.shown} gave no video: {reason}", code="page_failed", retryable=False)
    made = room / Path(answered.file).name
    size_bytes = made.stat().st_size
    with tempfile.NamedTemporaryFile(dir=folder, prefix="fetched-", delete=False) as file:
        path = Path(file.name)
    made.replace(path)
    return Fetched(path, one_line(answered.title or page.host)[:NAME_LENGTH], size_bytes)


def _root() -> str:
    return str(Path(__file__).parents[2])
