"""A document made by hand, as a short reel would give it: every kind of track, every way an analyzer can end."""

from __future__ import annotations

import math
from itertools import pairwise

from shared.schema import (
    AnalyzerReport,
    BaseTrack,
    CameraMotion,
    Caption,
    Coverage,
    Document,
    ErrorInfo,
    Event,
    EventTrack,
    JobInfo,
    LabelledSegment,
    MediaInfo,
    ObjectTrack,
    Receipt,
    Scalar,
    ScalarTrack,
    Segment,
    SegmentTrack,
    SeriesTrack,
    SpeechSegment,
    StreamInfo,
    TimedBox,
    TrackedObject,
    Word,
)

CUTS = (3.0, 6.0, 8.5)
SPOKEN = "And so, my fellow Americans, ask not what your country can do for you, ask what you can do for your country."


class Finding(Segment):
    """An item with fields of its own, as every analyzer may add them."""

    type: str
    verdict: str
    message: str


def _track(track_id: str, track: BaseTrack) -> BaseTrack:
    return track.model_copy(update={"id": track_id, "analyzer": track_id.partition("/")[0]})


def _shots() -> tuple[LabelledSegment, ...]:
    edges = (0.0, *CUTS, 12.0)
    return tuple(
        LabelledSegment(id=f"h{index}", start=start, end=end, label="shot")
        for index, (start, end) in enumerate(pairwise(edges), start=1)
    )


def _object(item_id: str, label: str, start: float, end: float, confidence: float) -> TrackedObject:
    boxes = tuple(TimedBox(t=start + i * (end - start) / 4, box=(0.2, 0.3, 0.5, 0.4)) for i in range(4))
    return TrackedObject(id=item_id, label=label, start=start, end=end, confidence=confidence, boxes=boxes)


def _speech() -> tuple[SpeechSegment, ...]:
    words = SPOKEN.split()
    spoken = [
        Word(start=0.8 + 0.45 * i, end=1.2 + 0.45 * i, text=word, confidence=0.35 if word == "fellow" else 0.93)
        for i, word in enumerate(words)
    ]
    parts = (spoken[:5], spoken[5:14], spoken[14:])
    return tuple(
        SpeechSegment(
            id=f"s{index}",
            start=part[0].start,
            end=part[-1].end,
            text=" ".join(word.text for word in part),
            words=tuple(part),
            confidence=0.91,
        )
        for index, part in enumerate(parts, start=1)
    )


def _tracks() -> tuple[BaseTrack, ...]:
    captions = (("MEET THE CREW", 0.5, 2.5), ("FIRST COFFEE", 6.0, 8.5), ("LINK IN BIO", 9.5, 12.0))
    loudness = tuple(None if i < 5 or i > 115 else -21 - 6 * math.sin(i / 4) - i % 7 for i in range(120))
    tracks: dict[str, BaseTrack] = {
        "cut_analysis/cuts": EventTrack(
            method="measurement", items=tuple(Event(id=f"c{i}", t=t, type="cut") for i, t in enumerate(CUTS, start=1))
        ),
        "cut_analysis/shots": SegmentTrack(method="measurement", items=_shots()),
        "text_overlay/captions": SegmentTrack(
            method="model",
            items=tuple(
                Caption(id=f"x{i}", text=text, start=start, end=end, box=(0.2, 0.8, 0.6, 0.06), confidence=0.97)
                for i, (text, start, end) in enumerate(captions, start=1)
            ),
        ),
        "object_detection/objects": ObjectTrack(
            method="model",
            items=(
                _object("o1", "person", 0.0, 3.0, 0.91),
                _object("o2", "tie", 0.4, 1.9, 0.47),
                _object("o3", "cup", 6.0, 8.5, 0.83),
                _object("o4", "dining table", 6.1, 8.4, 0.52),
                _object("o5", "spoon", 6.5, 8.2, 0.46),
            ),
        ),
        "face_detection/faces": ObjectTrack(method="model", items=(_object("f1", "face", 0.0, 3.0, 0.95),)),
        "camera_analysis/motion": SegmentTrack(
            method="measurement",
            items=(
                CameraMotion(id="m1", start=0.0, end=3.0, motion="static"),
                CameraMotion(id="m2", start=3.0, end=6.0, motion="static"),
                CameraMotion(id="m3", start=6.0, end=8.5, motion="static"),
                CameraMotion(id="m4", start=8.5, end=12.0, motion="zoom_in", confidence=0.8),
            ),
        ),
        "speech_transcription/segments": SegmentTrack(method="model", items=_speech()),
        "audio_analysis/loudness": SeriesTrack(method="measurement", unit="LUFS", t0=0.0, dt=0.1, values=loudness),
        "audio_analysis/silence": SegmentTrack(method="measurement"),
        "audio_analysis/scalars": ScalarTrack(
            method="measurement",
            items=(
                Scalar(id="a1", name="integrated_loudness", value=-20.4, unit="LUFS"),
                Scalar(id="a2", name="true_peak", value=-1.2, unit="dBTP"),
                Scalar(id="a3", name="tempo", value=None, unit="BPM"),
            ),
        ),
        "speech_rate/words_per_minute": SeriesTrack(
            method="measurement",
            unit="words/min",
            t0=0.0,
            dt=1.0,
            values=(None, 90, 130, 128, 140, 141, 120, 99, 101, 130),
        ),
        "temporal_flow/phases": SegmentTrack(
            method="heuristic",
            items=(
                LabelledSegment(id="p1", start=0.0, end=3.0, label="hook"),
                LabelledSegment(id="p2", start=3.0, end=9.5, label="body"),
                LabelledSegment(id="p3", start=9.5, end=12.0, label="call_to_action"),
            ),
        ),
        "cross_analyzer_intelligence/findings": SegmentTrack(
            method="heuristic",
            items=(
                Finding(
                    id="d1",
                    start=0.5,
                    end=2.5,
                    type="face_with_speech",
                    verdict="observation",
                    message="A face is in view while 5 words are spoken.",
                    evidence=("face_detection/faces/f1", "speech_transcription/segments/s1"),
                ),
                Finding(
                    id="d2",
                    start=9.5,
                    end=12.0,
                    type="number_differs",
                    verdict="contradiction",
                    message="The screen says LINK IN BIO, the voice says something else.",
                    evidence=("text_overlay/captions/x3", "speech_transcription/segments/s3"),
                ),
            ),
        ),
    }
    return tuple(_track(track_id, track) for track_id, track in tracks.items())


def _reports() -> tuple[AnalyzerReport, ...]:
    spent = {
        "audio_analysis": (0.0, 0.02, 0.31),
        "camera_analysis": (0.01, 0.4, 0.84),
        "cross_analyzer_intelligence": (0.0, 0.0, 0.01),
        "cut_analysis": (0.02, 0.61, 0.2),
        "face_detection": (0.12, 0.05, 0.66),
        "object_detection": (0.3, 0.08, 2.1),
        "speech_rate": (0.0, 0.0, 0.004),
        "speech_transcription": (0.9, 0.02, 1.4),
        "temporal_flow": (0.0, 0.0, 0.01),
    }
    reports = [
        AnalyzerReport(
            name=name,
            version=1,
            status="ok",
            weights="nanodet-m-416" if name == "object_detection" else None,
            analysed=((0.0, 12.0),),
            receipt=Receipt(
                load_seconds=load,
                decode_seconds=decode,
                infer_seconds=infer,
                peak_rss_mib=412.0,
                device="cpu",
                attempts=1,
                cache_hit=name == "audio_analysis",
                realtime_factor=round((decode + infer) / 12, 4),
                worker="vision@host",
            ),
        )
        for name, (load, decode, infer) in spent.items()
    ]
    pull = "no weights for the profile local; `reelgraph models pull qwen2-vl-7b` brings them"
    reports += [
        AnalyzerReport(
            name="text_overlay",
            version=1,
            status="partial",
            analysed=((0.0, 7.0), (9.0, 12.0)),
            error=ErrorInfo(code="deadline_exceeded", message="2 s of the video were not read in time", retryable=True),
            receipt=Receipt(load_seconds=0.4, decode_seconds=0.1, infer_seconds=3.9, attempts=2, realtime_factor=0.33),
        ),
        AnalyzerReport(
            name="qwen2_vl_temporal", version=1, status="unavailable", error=ErrorInfo(code="unavailable", message=pull)
        ),
        AnalyzerReport(
            name="background_segmentation",
            version=1,
            status="failed",
            error=ErrorInfo(code="worker_lost", message="the worker process died three times", retryable=True),
            receipt=Receipt(attempts=3),
        ),
    ]
    return tuple(sorted(reports, key=lambda report: report.name))


def sample_document() -> Document:
    """12 s, 720x1280, four shots, speech; one analyzer partial, one unavailable, one failed."""
    reports = _reports()
    by_status: dict[str, list[str]] = {}
    for report in reports:
        by_status.setdefault(report.status, []).append(report.name)
    return Document(
        job=JobInfo(
            id="0199b8a2-6a0e-7c3e-8f51-3f6f2f0c9a11",
            state="completed_with_errors",
            profile="local",
            submitted_at="2026-11-21T21:30:00Z",
            decode_passes=1,
            wall_seconds=9.84,
            realtime_factor=0.82,
            source_name="reel.mp4",
        ),
        media=MediaInfo(
            sha256="5f" * 32,
            size_bytes=1_946_982,
            container="mov,mp4,m4a,3gp,3g2,mj2",
            duration_seconds=12.0,
            width=720,
            height=1280,
            fps="30/1",
            vfr=False,
            streams=(
                StreamInfo(index=0, kind="video", codec="h264", chosen=True, width=720, height=1280),
                StreamInfo(index=1, kind="audio", codec="aac", chosen=True, sample_rate=48_000, channels=1),
            ),
        ),
        coverage=Coverage(**by_status),
        analyzers=reports,
        tracks=_tracks(),
    )
