"""The process in which yt-dlp runs: it can connect to one port, write to one folder and start nothing.

Python reports every connection, started program and opened file to audit hooks before it happens, and a hook cannot be
removed. Libraries with network code of their own (curl_cffi) would not be seen, so they cannot be imported.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

MEMORY_BYTES = 4 << 30
STARTS = (
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "pty.spawn",
    "subprocess.Popen",
)
CHANGES = (
    "os.chmod",
    "os.chown",
    "os.link",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.symlink",
    "os.truncate",
)
UNSEEN = frozenset({"curl_cffi", "pycurl", "secretstorage"})
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Asked(BaseModel):
    """What the child has to do; `asked.json` in its folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    proxy: str
    extractors: tuple[str, ...]
    max_bytes: int


class Answered(BaseModel):
    """What became of it; `answered.json` in its folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str | None = None
    title: str | None = None
    error: str | None = None
    too_large: bool = False
    """The site announced more than is taken."""


class Confinement:
    """Judges what this process is about to do. Each judge gets the arguments of its audit event."""

    def __init__(self, port: int, folder: Path) -> None:
        self.proxy = ("127.0.0.1", port)
        self.inside = f"{folder.resolve()}{os.sep}"
        self.judges: dict[str, Callable[..., None]] = {
            "socket.connect": self.connect,
            "socket.sendto": self.send,
            "socket.sendmsg": self.send,
            "socket.getaddrinfo": self.look_up,
            "socket.gethostbyname": self.look_up,
            "import": self.load,
            "open": self.open,
            **dict.fromkeys(CHANGES, self.change),
            **dict.fromkeys(STARTS, self.start),
        }

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        """The audit hook."""
        judge = self.judges.get(event)
        if judge is not None:
            judge(*arguments)

    def connect(self, _socket: object, address: object) -> None:
        """Raises PermissionError for anything but the proxy."""
        if address != self.proxy:
            raise PermissionError("only the proxy is connected to")

    def send(self, _socket: object, address: object) -> None:
        """Raises PermissionError for datagrams."""
        if address is not None:
            raise PermissionError("nothing is sent past the proxy")

    def look_up(self, host: object, *_: object) -> None:
        """Raises PermissionError for names: asking for one already tells something to the network."""
        if host not in (self.proxy[0], self.proxy[0].encode()):
            raise PermissionError("names are looked up by the proxy")

    def start(self, *_: object) -> None:
        """Raises PermissionError."""
        raise PermissionError("no program is started")

    def load(self, module: str, *_: object) -> None:
        """Raises ImportError for libraries that audit hooks do not see."""
        if module.partition(".")[0] in UNSEEN:
            raise ImportError(f"{module} is not used here")

    def open(self, path: object, _mode: object, flags: object) -> None:
        """Raises PermissionError for writing elsewhere."""
        if isinstance(flags, int) and flags & WRITES:
            self.change(path)

    def change(self, *arguments: object) -> None:
        """Raises PermissionError for paths elsewhere, wherever they stand among the arguments."""
        paths = [os.fsdecode(one) for one in arguments if isinstance(one, (str, bytes, os.PathLike))]
        if not all(os.path.realpath(path).startswith(self.inside) for path in paths):
            raise PermissionError("only the own folder is written to")


def bound(max_bytes: int) -> None:
    """No file above so many bytes, and no more memory than a page can be worth."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, max_bytes))
    if sys.platform == "linux":  # macOS refuses
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


class _Listener:
    """Takes yt-dlp's lines: what matters comes as an exception, but for a video left for its announced size."""

    def __init__(self) -> None:
        self.too_large = False

    def debug(self, message: str) -> None:
        """Listen."""
        self.too_large |= "larger than max-filesize" in message

    warning = error = debug


def download(asked: Asked, folder: Path) -> Answered:
    """Let yt-dlp find and download the one video of a page, as a single file: there is no ffmpeg to join two."""
    from yt_dlp import YoutubeDL
    from yt_dlp.utils import YoutubeDLError, match_filter_func

    listener = _Listener()
    options = {
        "allowed_extractors": list(asked.extractors),
        "cachedir": False,
        "enable_file_urls": False,
        "ffmpeg_location": str(folder / "no-ffmpeg"),
        "fixup": "never",
        "format": "b",
        "hls_prefer_native": True,
        "js_runtimes": {},
        "logger": listener,
        "match_filter": match_filter_func("!is_live"),
        "max_filesize": asked.max_bytes,
        "noplaylist": True,
        "noprogress": True,
        "outtmpl": {"default": str(folder / "video.%(ext)s")},
        "playlist_items": "1",
        "proxy": asked.proxy,
        "quiet": True,
        "retries": 2,
        "socket_timeout": 20,
        "updatetime": False,
    }
    try:
        with YoutubeDL(options) as downloader:
            found = downloader.extract_info(asked.url, download=True)
    except YoutubeDLError as error:
        return Answered(error=str(error).removeprefix("ERROR: "))
    videos = list(found.get("entries") or [found]) if found else []
    for video in videos:
        for made in video.get("requested_downloads") or []:
            # a download that was ended for its size has no place
            path = Path(made.get("filepath") or "")
            if path.is_file():
                return Answered(file=path.name, title=f"{video.get('title') or 'video'}{path.suffix}")
    return Answered(too_large=listener.too_large)


def main() -> None:
    """Read what is asked, do it, write what became of it; the working folder is the only one written to."""
    folder = Path.cwd()
    asked = Asked.model_validate_json((folder / "asked.json").read_bytes())
    port = urlsplit(asked.proxy).port
    if port is None:
        raise ValueError("the proxy has no port")
    sys.addaudithook(Confinement(port, folder))
    bound(asked.max_bytes)
    (folder / "answered.json").write_text(download(asked, folder).model_dump_json())


if __name__ == "__main__":
    main()
