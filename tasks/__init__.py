"""The task graph: analyzers, and the Celery tasks that run them side by side."""

import shared as shared  # before any model library: it turns their telemetry off
