"""Options of trainings beside the main one: their bounds, and that they cost no import."""

from __future__ import annotations

import subprocess
import sys

import pytest

from psann.evaluation.options import WalkForwardOptions


def test_only_the_number_of_folds_must_be_given() -> None:
    options = WalkForwardOptions(folds=3)
    assert (options.train, options.validation, options.gap, options.refit_every) == (
        None,
        None,
        0,
        None,
    )
    with pytest.raises(ValueError, match=r"^WalkForwardOptions: folds or every must be given"):
        WalkForwardOptions()


@pytest.mark.parametrize("wrong", [{"folds": 0}, {"folds": 2, "gap": -1}, {"folds": 2, "step": 1}])
def test_what_cannot_be_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"^WalkForwardOptions\."):
        WalkForwardOptions(**wrong)


def test_reading_the_options_imports_neither_numpy_nor_torch() -> None:
    code = "import sys, psann.evaluation.options; print({'numpy', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
