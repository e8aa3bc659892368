"""OpenTelemetry traces, when `OTEL_EXPORTER_OTLP_ENDPOINT` is set; otherwise nothing is imported and nothing is done.

That variable, and the others that begin with `OTEL_`, are OpenTelemetry's own and read by its SDK: where spans go, with
which headers, how often, how many.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from shared.errors import BadInput

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
NAME = "reelgraph"
FLUSH_MILLISECONDS = 1000

Value = str | int | float | bool


class Span:
    """What is known of a piece of work under way. This one forgets: traces are off."""

    def note(self, **attributes: Value) -> None:
        """Add attributes: `analyzer` becomes `reelgraph.analyzer`."""

    def fail(self, reason: str) -> None:
        """Mark the work as failed."""


class _Recorded(Span):
    """A span of the SDK."""

    def note(self, **attributes: Value) -> None:
        from opentelemetry import trace

        trace.get_current_span().set_attributes(_named(attributes))

    def fail(self, reason: str) -> None:
        from opentelemetry import trace

        trace.get_current_span().set_status(trace.Status(trace.StatusCode.ERROR, reason))


def is_on() -> bool:
    """Whether spans are sent anywhere."""
    return any(os.environ.get(name) for name in VARIABLES)


def check() -> None:
    """Raises BadInput (`no_traces`) when spans are asked for and the extra is not installed."""
    if is_on():
        _provider(os.getpid())


@contextmanager
def span(name: str, *, carried: Mapping[str, str] | None = None, **attributes: Value) -> Iterator[Span]:
    """A span around a block, below the one that `carried` names or the current one."""
    if not is_on():
        yield Span()
        return
    from opentelemetry import trace

    kind = trace.SpanKind.SERVER if carried is not None else trace.SpanKind.INTERNAL
    with (
        continued(carried),
        _provider(os.getpid())
        .get_tracer(NAME)
        .start_as_current_span(name, kind=kind, attributes=_named(attributes), record_exception=False),
    ):
        yield _Recorded()


def current() -> Span:
    """The span around the code that runs now."""
    return _Recorded() if is_on() else Span()


def carrier() -> dict[str, str]:
    """The current span as headers (W3C Trace Context), for another process to go on from; empty when traces are off."""
    if not is_on():
        return {}
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    headers: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(headers)
    return headers


@contextmanager
def continued(carried: Mapping[str, str] | None) -> Iterator[None]:
    """Let what the block does belong to the span in these headers, if there is one."""
    if not is_on() or not carried:
        yield
        return
    from opentelemetry import context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    token = context.attach(TraceContextTextMapPropagator().extract(carried))
    try:
        yield
    finally:
        context.detach(token)


def flush() -> None:
    """Send what has not been sent, for a process that ends."""
    if is_on():
        _provider(os.getpid()).force_flush(timeout_millis=FLUSH_MILLISECONDS)


@cache
def _provider(_process: int) -> TracerProvider:
    """One a process: its thread does not survive a fork."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        variable = next(name for name in VARIABLES if os.environ.get(name))
        message = f"{variable} is set, but {error.name} is not installed; get it with: pip install 'reelgraph[traces]'"
        raise BadInput(message, code="no_traces") from error
    provider = TracerProvider(resource=Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", NAME)}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _named(attributes: Mapping[str, Value]) -> dict[str, Value]:
    return {f"{NAME}.{name}": value for name, value in attributes.items()}
