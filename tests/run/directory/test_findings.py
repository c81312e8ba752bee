"""What verification found, as it is told and counted."""

from __future__ import annotations

from psann.run.directory.findings import Finding, Verdict

ERROR = Finding("events.csv", "must end with a line end", is_error=True)
NOTE = Finding("metrics.json", "the run is still alive", is_error=False)


def test_a_finding_says_how_grave_it_is_where_and_what() -> None:
    assert str(ERROR) == "error: events.csv: must end with a line end."
    assert str(NOTE) == "note: metrics.json: the run is still alive."


def test_errors_are_the_findings_that_break_a_promise_in_their_order() -> None:
    later = Finding("a", "is missing", is_error=True)
    verdict = Verdict(findings=(ERROR, NOTE, later), n_files=3, status=None)
    assert verdict.errors == (ERROR, later)
    assert Verdict(findings=(NOTE,), n_files=1, status="completed").errors == ()
