"""The task graph: analyzers, and the Celery tasks that run them side by side."""
