"""Hostile files, made of small clips by seeded damage: the same seed makes the same files, byte by byte.

A case is named `<kind>-<damage>-<number>`, so one file of the corpus can be made again alone.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from random import Random

from tests.support.clips import click, make_clip

SEED = 6

Damage = Callable[[bytearray, Random], bytes]


@dataclass(frozen=True, slots=True)
class Case:
    """One file of the corpus."""

    name: str
    ending: str
    data: bytes


def clips(folder: Path) -> dict[str, bytes]:
    """One small whole clip of every kind that is damaged; the key is the ending of its name."""
    sound = click(1, [0.5], sample_rate=16_000)
    small = {"frames": 10, "size": (64, 48)}
    # without it Matroska is written with random numbers
    exact = {"fflags": "+bitexact"}
    fragments = {"movflags": "frag_keyframe+empty_moov"}
    vp8 = {"deadline": "realtime", "cpu-used": "8"}
    made = [
        make_clip(folder / "a.mp4", **small, sound=sound, options={**exact, "movflags": "faststart"}),
        make_clip(folder / "a.mov", **small, sound=sound, options=exact),
        make_clip(folder / "a.m4v", **small, options={**exact, **fragments}),
        make_clip(folder / "a.webm", **small, codec="libvpx", encoder=vp8, options=exact),
        make_clip(folder / "a.mkv", **small, sound=sound, pixel_shape=Fraction(4, 3), options=exact),
        make_clip(folder / "a.gif", **small, codec="gif", pix_fmt="rgb8", encoder={}),
        make_clip(folder / "a.avi", **small, sound=sound, codec="mpeg4", encoder={}, options=exact),
        make_clip(folder / "a.ts", **small, sound=sound, options=exact),
        make_clip(folder / "a.mp3", frames=0, sound=replace(sound, codec="mp3"), options=exact),
        make_clip(folder / "a.flac", frames=0, sound=replace(sound, codec="flac"), options=exact),
        make_clip(
            folder / "a.amr", frames=0, sound=replace(click(1, [0.5], sample_rate=8000), codec="libopencore_amrnb")
        ),
    ]
    return {path.suffix.removeprefix("."): path.read_bytes() for path in made}


def corpus(originals: dict[str, bytes], each: int, *, seed: int = SEED) -> Iterator[Case]:
    """`each` cases of every kind and damage that fits it."""
    for ending, original in originals.items():
        for damage in DAMAGES[ending] + EVERYWHERE:
            for number in range(each):
                name = f"{ending}-{damage.__name__}-{number}"
                yield Case(name, ending, damage(bytearray(original), Random(f"{seed}-{name}")))


# --- damage that fits every file -------------------------------------------------------------------------------


def flipped(data: bytearray, random: Random) -> bytes:
    """One to sixty-four bits, anywhere."""
    for _ in range(2 ** random.randrange(7)):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(data)


def flipped_head(data: bytearray, random: Random) -> bytes:
    """One to sixteen bytes of the first kilobyte replaced."""
    for _ in range(2 ** random.randrange(5)):
        data[random.randrange(min(1024, len(data)))] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
    return bytes(data)


def truncated(data: bytearray, random: Random) -> bytes:
    """Cut anywhere."""
    return bytes(data[: random.randrange(1, len(data))])


def spliced(data: bytearray, random: Random) -> bytes:
    """A stretch removed, repeated, zeroed or moved elsewhere."""
    start = random.randrange(len(data))
    stretch = data[start : start + random.randrange(1, 1 + len(data) // 4)]
    rest = data[:start] + data[start + len(stretch) :]
    at = random.randrange(len(rest) + 1)
    match random.randrange(4):
        case 0:
            return bytes(rest)
        case 1:
            return bytes(data[:at] + stretch * random.randrange(1, 20) + data[at:])
        case 2:
            return bytes(data[:start] + bytes(len(stretch)) + data[start + len(stretch) :])
        case _:
            return bytes(rest[:at] + stretch + rest[at:])


def absurd_numbers(data: bytearray, random: Random) -> bytes:
    """A few words of the headers, in either byte order, become the largest, smallest or a negative number."""
    head = min(len(data) - 8, 2048)
    for _ in range(random.randrange(1, 5)):
        at = random.randrange(4, head)
        data[at : at + 4] = struct.pack(random.choice((">I", "<I")), random.choice(ABSURD))
    return bytes(data)


ABSURD = (0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0xFFFF_FF00, 1_000_000_000, 0x7FFF_0000, 0x0000_FFFF)

EVERYWHERE = (flipped, flipped_head, truncated, spliced, absurd_numbers)


# --- MP4, MOV --------------------------------------------------------------------------------------------------

CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"moof", b"traf", b"mvex", b"dinf", b"udta"}


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int, bytes]]:
    """Start, length and name of every box, those inside others too (ISO/IEC 14496-12, section 4.2)."""
    end = len(data) if end is None else end
    while start + 8 <= end:
        length, name = int.from_bytes(data[start : start + 4], "big"), bytes(data[start + 4 : start + 8])
        if length < 8 or start + length > end:
            return
        yield start, length, name
        if name in CONTAINERS:
            yield from boxes(data, start + 8, start + length)
        start += length


def swapped_boxes(data: bytearray, random: Random) -> bytes:
    """Two boxes that are not inside each other change places."""
    found = list(boxes(data))
    while True:
        (first, one, _), (second, two, _) = sorted(random.sample(found, 2))
        if first + one <= second:
            break
    between = data[first + one : second]
    return bytes(
        data[:first] + data[second : second + two] + between + data[first : first + one] + data[second + two :]
    )


def renamed_box(data: bytearray, random: Random) -> bytes:
    """A box gets the name of another."""
    found = list(boxes(data))
    (start, _, _), (_, _, name) = random.choice(found), random.choice(found)
    data[start + 4 : start + 8] = name
    return bytes(data)


def absurd_box(data: bytearray, random: Random) -> bytes:
    """Words inside one small box of the index become absurd: durations, counts, sizes, time scales, matrices."""
    found = [(start, length) for start, length, name in boxes(data) if name not in CONTAINERS and name != b"mdat"]
    start, length = random.choice(found)
    for _ in range(random.randrange(1, 4)):
        at = start + random.randrange(0, max(1, length - 3), 4)
        data[at : at + 4] = random.choice(ABSURD).to_bytes(4, "big")
    return bytes(data)


# --- Matroska, WebM --------------------------------------------------------------------------------------------

ELEMENTS = {
    "time scale": bytes.fromhex("2ad7b1"),
    "duration": bytes.fromhex("4489"),
    "width": b"\xb0",
    "height": b"\xba",
    "default duration": bytes.fromhex("23e383"),
    "sampling frequency": b"\xb5",
    "channels": b"\x9f",
    "cluster time": b"\xe7",
}


def absurd_element(data: bytearray, random: Random) -> bytes:
    """The values of some elements of the header become absurd; of the one-byte names the first match is taken."""
    for name in random.sample(list(ELEMENTS.values()), 3):
        at = data.find(name, 40)
        if at < 0:
            continue
        width = data[at + len(name)] & 0x7F
        if 0 < width <= 8:
            value = random.choice((b"\0" * 8, b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\x80" + b"\0" * 7))
            data[at + len(name) + 1 : at + len(name) + 1 + width] = value[:width]
    return bytes(data)


def absurd_length(data: bytearray, random: Random) -> bytes:
    """An element's length becomes the longest, unknown or zero."""
    at = random.choice([at for at in range(4, min(1024, len(data) - 9)) if data[at] & 0x80])
    data[at : at + 8] = random.choice((b"\x01" + b"\xff" * 7, b"\x01" + b"\xff" * 6 + b"\xfe", b"\x80" + b"\0" * 7))
    return bytes(data)


# --- the others ------------------------------------------------------------------------------------------------


def absurd_screen(data: bytearray, random: Random) -> bytes:
    """GIF: screen and pictures of up to 65535x65535, offsets, code sizes and delays."""
    for at in (6, 8, *(at + 5 for at in range(len(data) - 9) if data[at] == 0x2C and random.random() < 0.2)):
        data[at : at + 2] = random.choice((b"\xff\xff", b"\0\0", b"\1\0", b"\xff\x7f"))
    return bytes(data)


def absurd_list(data: bytearray, random: Random) -> bytes:
    """AVI: fields of the main header, of a stream's header or of its format."""
    chunk = random.choice((b"avih", b"strh", b"strf"))
    places = [at for at in range(min(4096, len(data) - 64)) if data[at : at + 4] == chunk]
    at = random.choice(places) + 4 + 4 * random.randrange(14)
    data[at : at + 4] = random.choice(ABSURD).to_bytes(4, "little")
    return bytes(data)


def absurd_packets(data: bytearray, random: Random) -> bytes:
    """MPEG-TS: packets lost, repeated or swapped, their heads and clocks turned."""
    packets = [data[at : at + 188] for at in range(0, len(data), 188)]
    for _ in range(random.randrange(1, 8)):
        one, two = random.randrange(len(packets)), random.randrange(len(packets))
        match random.randrange(4):
            case 0:
                packets[one], packets[two] = packets[two], packets[one]
            case 1:
                packets[one] = packets[two]
            case 2:
                packets[one][1:16] = random.randbytes(15)
            case _:
                packets[one][8:24] = b"\xff" * 16
    return b"".join(packets)


def absurd_frames(data: bytearray, random: Random) -> bytes:
    """MP3: the bits of frame headers (version, layer, rate, sampling rate, channels) and of the Xing header."""
    heads = [at for at in range(len(data) - 4) if data[at] == 0xFF and data[at + 1] & 0xE0 == 0xE0]
    for at in random.sample(heads, min(len(heads), random.randrange(1, 20))):
        data[at + 1 : at + 4] = random.randbytes(3)
    if (xing := max(data.find(b"Xing"), data.find(b"Info"))) > 0:
        data[xing + 8 : xing + 16] = random.choice(ABSURD).to_bytes(4, "big") * 2
    return bytes(data)


def absurd_stream_info(data: bytearray, random: Random) -> bytes:
    """FLAC: block sizes, sampling rate, channels and number of samples of STREAMINFO; lengths of metadata blocks."""
    at = random.choice((5, 8, 10, 18, 19, 20, 21, 22))
    data[at : at + 3] = random.choice((b"\0\0\0", b"\xff\xff\xff", b"\x7f\xff\xff", random.randbytes(3)))
    return bytes(data)


def absurd_modes(data: bytearray, random: Random) -> bytes:
    """AMR: the first bytes of frames, which say how long each is; the word that says narrow or wide band."""
    size = 14  # of the lowest mode, which make_clip writes
    for at in random.sample(range(6, len(data), size), random.randrange(1, 20)):
        data[at] = random.randrange(256)
    return bytes(data) if random.randrange(2) else bytes(data).replace(b"#!AMR\n", b"#!AMR-WB\n")


DAMAGES: dict[str, tuple[Damage, ...]] = {
    "mp4": (swapped_boxes, renamed_box, absurd_box),
    "mov": (swapped_boxes, renamed_box, absurd_box),
    "m4v": (swapped_boxes, renamed_box, absurd_box),
    "webm": (absurd_element, absurd_length),
    "mkv": (absurd_element, absurd_length),
    "gif": (absurd_screen,),
    "avi": (absurd_list,),
    "ts": (absurd_packets,),
    "mp3": (absurd_frames,),
    "flac": (absurd_stream_info,),
    "amr": (absurd_modes,),
}
