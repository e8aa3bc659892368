"""What every Reelgraph process needs: settings, the document, media, the frame store, the ledger."""

import os

UNTOLD = {"ORT_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}
"""Environment in which libraries tell nobody how they are used: ONNX Runtime tells Microsoft, from its import on, and
huggingface_hub tells the hub what else is installed."""

os.environ.update(UNTOLD)
