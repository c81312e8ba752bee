"""Which strategies of an evaluation are drawn, and how each looks everywhere."""

from __future__ import annotations

import numpy as np

from psann._typing import Array
from psann.presentation.charts import MOST_LINES, Curve
from psann.presentation.figure import Look
from psann.run.directory.evaluation import Evaluation
from psann.run.reading.strategies import is_seed, strategy_name

# The policy is broad, so that a 1/N drawn over it hides nothing.
_LOOKS = {
    "policy": Look("blue", width=2.6),
    "policy_delay_1": Look("vermillion", "6 3", 1.7),
    "uniform": Look("ink", width=1.2),
    "benchmark": Look("purple", "8 2 2 2", 1.7),
}
_OTHER = Look("green", "2 2", 1.7)
_NO_RULES = ("policy", "ensemble", "uniform", "benchmark", "bcrp_hindsight")


def strategy_look(key: str) -> Look:
    """Look of a strategy."""
    return _LOOKS.get(key, _OTHER)


def best_rule(series: Evaluation) -> str | None:
    """The rule that ended best of those that anybody could have followed; 1/N is drawn anyway.

    Rules that do what 1/N does, as all of one asset, are none.
    """
    paths = dict(zip(series.names, series.net, strict=True))
    ends = {
        name: float(net[-1])
        for name, net in paths.items()
        if name not in _NO_RULES
        and not is_seed(name)
        and not name.startswith(("policy", "ensemble"))
        and not np.array_equal(net, paths.get("uniform", []))
    }
    return max(ends, key=ends.__getitem__) if ends else None


def drawn_curves(series: Evaluation, x: Array, names: dict[str, str]) -> list[Curve]:
    """At most five: policy, policy later, 1/N, the best other rule, the user's benchmark.

    Parameters
    ----------
    names : dict
        What is called otherwise than everywhere.
    """
    wanted = ("policy", "policy_delay_1", "uniform", best_rule(series), "benchmark")
    paths = dict(zip(series.names, series.net, strict=True))
    shifted = ("_delay_1", "_advance_1")
    own = [net for name, net in paths.items() if is_seed(name) and not name.endswith(shifted)]
    seeds = np.array(own)
    return [
        Curve(
            label=names.get(name, strategy_name(name)),
            x=x,
            y=paths[name],
            look=strategy_look(name),
            is_main=name in ("policy", "uniform"),
            among=(seeds.min(0), seeds.max(0)) if name == "policy" and len(seeds) else None,
        )
        for name in wanted
        if name in paths
    ][:MOST_LINES]
