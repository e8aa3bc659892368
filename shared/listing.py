"""What is asked of the ledger about many jobs at once: costs of earlier runs."""

from __future__ import annotations

import statistics

import sqlalchemy as sa

from shared.ledger import OPEN_STATES, Job, Ledger, Run

RECENT_JOBS = 50
"""Ended jobs whose receipts tell what an analyzer costs."""


def realtime_factors(ledger: Ledger, profile: str) -> dict[str, float]:
    """Seconds of work per second of video, by analyzer: the median of what recent receipts say. Cache hits say none."""
    recent = (
        sa.select(Job.id)
        .where(Job.profile == profile, Job.state.not_in(OPEN_STATES))
        .order_by(Job.id.desc())
        .limit(RECENT_JOBS)
    )
    query = sa.select(Run).where(Run.job_id.in_(recent), Run.status == "ok", Run.attempts > 0)
    with ledger.session() as session:
        runs = session.scalars(query).all()
    found: dict[str, list[float]] = {}
    for run in runs:
        factor = run.outcome.receipt.realtime_factor
        if factor is not None:
            found.setdefault(run.analyzer, []).append(factor)
    return {analyzer: statistics.median(factors) for analyzer, factors in found.items()}
