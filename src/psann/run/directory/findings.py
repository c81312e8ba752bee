"""What verification finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that verification found in one file."""

    file: str
    message: str
    is_error: bool
    """False for what is worth knowing and breaks no promise."""

    def __str__(self) -> str:
        return f"{'error' if self.is_error else 'note'}: {self.file}: {self.message}."


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What verification found."""

    findings: tuple[Finding, ...]
    n_files: int
    """Files that were looked at."""
    status: str | None
    """Of `metrics.json`, None where that cannot be read."""

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that break a promise."""
        return tuple(finding for finding in self.findings if finding.is_error)
