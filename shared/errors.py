"""The error tree. Each error has a stable code, one sentence for a person, and whether a retry may help."""

from __future__ import annotations

from shared.text import one_line


class ReelgraphError(Exception):
    """Base of all errors that Reelgraph raises on purpose.

    `code` is stable and machine-readable; `str(error)` is one sentence for a person, on one line whatever it names.
    """

    code = "internal_error"
    retryable = False

    def __init__(self, message: str, *, code: str | None = None, retryable: bool | None = None) -> None:
        super().__init__(one_line(message))
        self.code = code or self.code
        self.retryable = self.retryable if retryable is None else retryable

    @property
    def message(self) -> str:
        """The sentence for a person."""
        return str(self)


class BadInput(ReelgraphError):
    """What the caller sent cannot be used as it is. Codes: not_found, not_a_file, empty_file, not_a_video,
    truncated, no_streams, unknown_analyzer, unknown_option, bad_option, ...
    """

    code = "bad_input"


class Unauthenticated(ReelgraphError):
    """The caller did not show who it is. Codes: bad_key, revoked_key."""

    code = "unauthenticated"


class Forbidden(ReelgraphError):
    """The caller is known and may not do this. Codes: missing_scope."""

    code = "forbidden"


class QuotaExceeded(ReelgraphError):
    """The caller has as much under way as it may have."""

    code = "quota_exceeded"
    retryable = True


class UrlRefused(BadInput):
    """An address outside that Reelgraph does not open. Codes: bad_url, address_refused, too_many_redirects,
    too_large, not_a_file, ...
    """

    code = "url_refused"


class Unreachable(ReelgraphError):
    """Another host could not be found or reached, answered with an error, or broke off. Codes: unknown_host,
    bad_certificate, http_404 and the like, unreachable.
    """

    code = "unreachable"
    retryable = True


class Infrastructure(ReelgraphError):
    """Something Reelgraph stands on is missing or broken: broker, ledger, disk, worker."""

    code = "infrastructure"
    retryable = True


class Full(Infrastructure):
    """Nothing is broken: all places of this process are taken just now."""


class Unavailable(ReelgraphError):
    """An analyzer cannot look here; the message names the command that would help."""

    code = "unavailable"


class WeightsMissing(Unavailable):
    """A model file that the profile needs is not on this machine."""

    code = "weights_missing"


class WeightsTampered(ReelgraphError):
    """A model file does not have the pinned sha256; the message holds both hashes."""

    code = "weights_tampered"


class Skipped(ReelgraphError):
    """There was nothing for the analyzer to look at: no audio stream, a required track that is missing."""

    code = "skipped"


class Cancelled(ReelgraphError):
    """The job was cancelled while the analyzer ran."""

    code = "cancelled"


class DeadlineExceeded(ReelgraphError):
    """Something took longer than it was given."""

    code = "deadline_exceeded"
    retryable = True
