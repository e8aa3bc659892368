"""Small files that announce or hold far more than they are, and files that point to others."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.support.hostile import Case, boxes, clips

BILLION = 1_000_000_000
HUGE = 32_768
"""Pixels of an edge."""


def bombs(folder: Path) -> Iterator[tuple[Case, str]]:
    """Files of less than a megabyte that would be a billion pictures, a gigapixel or an hour; how each is refused."""
    made = clips(folder)
    yield Case("bomb-frames", "mp4", with_samples(made["mp4"], BILLION)), "too_many_frames"
    yield Case("bomb-index", "mp4", with_samples(made["mp4"], 100_000_000)), "too_many_frames"
    yield Case("bomb-frames", "avi", with_frame_count(made["avi"], BILLION)), "too_many_frames"
    yield Case("bomb-pixels", "gif", made["gif"][:6] + struct.pack("<HH", HUGE, HUGE) + made["gif"][10:]), "too_large"
    yield Case("bomb-pixels", "png", huge_png()), "too_large"
    yield Case("bomb-pixels", "mkv", huge_matroska(folder / "small.mkv")), "not_a_video"
    yield Case("bomb-silence", "flac", hour_of_silence(folder / "silence.flac")), "too_sparse"
    yield Case("bomb-silence", "mp4", hour_of_silence(folder / "silence.mp4")), "too_sparse"
    yield Case("bomb-silence", "mkv", hour_of_silence(folder / "silence.mkv", picture=True)), "too_sparse"
    yield Case("bomb-silence", "webm", silent_opus(folder / "silence.webm")), "too_sparse"


def _box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + name + body


def replaced_box(data: bytes, name: bytes, body: bytes) -> bytes:
    """An MP4 with another body in the first box of that name; the lengths of the boxes around it follow."""
    start, length, _ = next(box for box in boxes(data) if box[2] == name)
    grown = 8 + len(body) - length
    changed = bytearray(data)
    for at, size, _name in boxes(data):
        if at < start < at + size:
            changed[at : at + 4] = struct.pack(">I", size + grown)
    return bytes(changed[:start] + _box(name, body) + changed[start + length :])


def with_samples(mp4: bytes, count: int) -> bytes:
    """Tables of one line each that make so many samples of one byte (ISO/IEC 14496-12, sections 8.6 and 8.7)."""
    made = replaced_box(mp4, b"stsz", struct.pack(">III", 0, 1, count))
    made = replaced_box(made, b"stts", struct.pack(">IIII", 0, 1, count, 1))
    made = replaced_box(made, b"stsc", struct.pack(">IIIII", 0, 1, 1, count, 1))
    return replaced_box(made, b"stco", struct.pack(">III", 0, 1, made.index(b"mdat") + 4))


def with_frame_count(avi: bytes, count: int) -> bytes:
    """An AVI whose stream of pictures announces so many (`dwLength` of its `strh`)."""
    at = avi.index(b"strh") + 8 + 32
    return avi[:at] + struct.pack("<I", count) + avi[at + 4 :]


def huge_png() -> bytes:
    """An animated PNG of two pictures, whose header announces a gigapixel of zeros."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    control = struct.pack(">IIIIIHHBB", 0, HUGE, HUGE, 0, 0, 1, 10, 0, 0)
    pictures = chunk(b"fcTL", control) + chunk(b"IDAT", zlib.compress(bytes(1 << 20)))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", HUGE, HUGE, 8, 0, 0, 0, 0)) + chunk(b"acTL", struct.pack(">II", 1, 0))
    return b"\x89PNG\r\n\x1a\n" + head + pictures + chunk(b"IEND", b"")


def huge_matroska(path: Path) -> bytes:
    """A Matroska file whose track announces a gigapixel of raw video."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("rawvideo", rate=10)
        video.width = video.height = 258
        video.pix_fmt = "gray"
        container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((258, 258), np.uint8), "gray")))
    data = path.read_bytes()
    for name in (b"\xb0\x82", b"\xba\x82"):
        data = data.replace(name + struct.pack(">H", 258), name + struct.pack(">H", HUGE))
    return data


def hour_of_silence(path: Path, *, picture: bool = False) -> bytes:
    """An hour of silence in FLAC, which takes 1460 bits a second; Matroska adds 670. A `picture` adds few."""
    with av.open(str(path), "w") as container:
        if picture:
            still = container.add_stream("mpeg4", rate=1, width=64, height=48, pix_fmt="yuv420p")
        stream = container.add_stream("flac", rate=8000)
        stream.layout = "mono"
        if picture:
            shown = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 128, np.uint8))
            container.mux([*still.encode(shown), *still.encode(None)])
        for at in range(0, 3600, 60):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 60 * 8000), np.int16), "s16", "mono")
            frame.sample_rate, frame.pts = 8000, at * 8000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path.read_bytes()


def silent_opus(path: Path) -> bytes:
    """Eleven minutes of silence in Opus and WebM, which take 3650 bits a second for it: one packet, again and again."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libopus", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 48_000), np.int16), "s16", "mono")
        frame.sample_rate = 48_000
        silence = bytes(stream.encode(frame)[-1])
        for at in range(0, 660 * 48_000, 960):
            packet = av.Packet(silence)
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, at, at, Fraction(1, 48_000)
            container.mux(packet)
    return path.read_bytes()


def undated_flac(path: Path, *, frames: int) -> Path:
    """A second of pictures and, in each of eight blocks of a Matroska file, so many frames of FLAC without times of
    their own: 13 bytes each (RFC 9639, section 9), 65,535 equal samples at 48 kHz. The probe sees 2 s.
    """
    head = b"\xff\xf8\x7a\x08\0" + struct.pack(">H", 65_534)
    body = head + bytes([_crc(head, 0x07, 8)]) + b"\0\0\0"
    frame = body + struct.pack(">H", _crc(body, 0x8005, 16))
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10, width=64, height=64, pix_fmt="yuv420p")
        sound = container.add_stream("flac", rate=48_000, layout="mono", format="s16")
        for level in range(10):
            picture = np.full((64, 64, 3), 20 * level, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(video.encode(None))
        for block in range(8):
            packet = av.Packet(frame * frames)
            packet.stream, packet.time_base = sound, Fraction(1, 48_000)
            packet.pts = packet.dts = 4800 * block
            packet.duration = 4800
            container.mux(packet)
    data = bytearray(path.read_bytes())
    # the block sizes that STREAMINFO announces; what is beyond them is refused
    sizes = data.index(b"fLaC") + 8
    data[sizes : sizes + 4] = struct.pack(">HH", 16, 65_535)
    path.write_bytes(data)
    return path


def _crc(data: bytes, polynomial: int, bits: int) -> int:
    crc = 0
    for byte in data:
        crc ^= byte << (bits - 8)
        for _ in range(8):
            crc = (crc << 1) ^ (polynomial if crc >> (bits - 1) else 0)
            crc &= (1 << bits) - 1
    return crc


# --- files that point to others --------------------------------------------------------------------------------


def references(secret: Path, port: int) -> Iterator[Case]:
    """Playlists, scripts and movies that name another file or an address; `secret` is a whole clip."""
    inline = base64.b64encode(secret.read_bytes()).decode()
    targets = {
        "path": str(secret),
        "file": f"file://{secret}",
        "http": f"http://127.0.0.1:{port}/clip.mp4",
        "tcp": f"tcp://127.0.0.1:{port}",
        "subfile": f"subfile,,start,0,end,0,,:{secret}",
        "concat": f"concat:{secret}|{secret}",
        "crypto": f"crypto+http://127.0.0.1:{port}/clip.mp4",
        "data": f"data:video/mp4;base64,{inline}",
    }
    for name, target in targets.items():
        for kind, text in {
            "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n",
            "hls-key": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n',
            "concat": f"ffconcat version 1.0\nfile '{target}'\n",
            "dash": DASH.format(target),
            "xspf": f"<playlist><trackList><track><location>{target}</location></track></trackList></playlist>",
            "asx": f'<asx version="3.0"><entry><ref href="{target}"/></entry></asx>',
            "real": f"{target}\n",
        }.items():
            yield Case(f"{kind}-{name}", "mp4", text.encode())
        if name in ("path", "file", "http"):
            yield Case(f"dref-url-{name}", "mp4", referring(secret.read_bytes(), b"url ", target.encode() + b"\0"))
            yield Case(f"dref-alias-{name}", "mov", referring(secret.read_bytes(), b"alis", alias(target)))
    yield Case("sdp", "mp4", SDP.format(port).encode())
    yield Case("rtsp-text", "mp4", f"rtsptextRTSP://127.0.0.1:{port}/clip".encode())


DASH = """<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" minBufferTime="PT1S"
mediaPresentationDuration="PT1S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet
mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{}</BaseURL></Representation></AdaptationSet>
</Period></MPD>"""

SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {} RTP/AVP 96\na=rtpmap:96 H264/90000\n"


def referring(movie: bytes, kind: bytes, target: bytes) -> bytes:
    """An MP4 without media of its own: its data reference says that they lie elsewhere (ISO/IEC 14496-12, 8.7.2)."""
    entry = _box(kind, bytes(4) + target)
    made = replaced_box(movie, b"dref", struct.pack(">II", 0, 1) + entry)
    return made.replace(movie[movie.index(b"mdat") :], b"mdat" + bytes(len(movie) - movie.index(b"mdat") - 4))


def alias(target: str) -> bytes:
    """A Macintosh alias record, version 2, with the path in the two forms that FFmpeg's MOV demuxer reads."""
    path = target.encode()[:255]
    record = bytearray(150)
    record[4:8] = struct.pack(">HH", 150, 2)
    record[10:14] = b"\4disk"[:4]
    record[50:52] = bytes([4]) + b"c"
    record[130:134] = struct.pack(">hh", 1, 1)
    for kind in (2, 18):
        record += struct.pack(">hh", kind, len(path)) + path + bytes(len(path) % 2)
    return bytes(record + struct.pack(">hh", -1, 0))
