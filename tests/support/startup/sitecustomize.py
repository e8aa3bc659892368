"""Imported by every Python that has this folder in PYTHONPATH: writes down each real opening of a media file."""

import json
import os
import sys
from pathlib import Path

if log := os.environ.get("REELGRAPH_OPENINGS_LOG"):
    import av

    really_open = av.open

    def counted_open(file, *args, **options):
        callers = []
        frame = sys._getframe(1)
        while frame is not None:
            callers.append(frame.f_code.co_name)
            frame = frame.f_back
        with Path(log).open("a") as out:
            out.write(json.dumps({"pid": os.getpid(), "file": str(file), "callers": callers}) + "\n")
        return really_open(file, *args, **options)

    av.open = counted_open
