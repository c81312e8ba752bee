"""On what terms a run trades, read from its configuration."""

from __future__ import annotations

from dataclasses import dataclass

from psann.evaluation.judgement import Terms
from psann.run.config.model import RunConfig


@dataclass(frozen=True, kw_only=True)
class ActingTerms:
    """What trading costs, and when it happens."""

    trading: Terms
    delay: int
    """Rows that pass before an action is executed."""


def terms_of(config: RunConfig) -> ActingTerms:
    """Terms of a run.

    Parameters
    ----------
    config : RunConfig
        Its configuration; `hisso.delay` counts where the release has such a key.
    """
    hisso, evaluation = config.hisso, config.evaluation
    cost = evaluation.trans_cost
    return ActingTerms(
        trading=Terms(
            trans_cost=hisso.transition_penalty if cost is None else cost,
            periods_per_year=evaluation.periods_per_year,
            initial=evaluation.initial,
        ),
        delay=int(hisso.model_dump().get("delay") or 0),
    )
