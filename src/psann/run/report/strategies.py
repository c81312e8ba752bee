"""What the strategies of an evaluation are called, and how each is drawn everywhere."""

from __future__ import annotations

from psann._charts import Look
from psann._drawing import COLOURS
from psann.run.reading.strategies import is_seed

_DASH_DOT_DOT = (0, (5, 1, 1, 1, 1, 1))
_LONG_DASH = (0, (9, 3))
_SPARSE_DOTS = (0, (1, 3))

# Key in evaluation.npz -> look. The policy is broad, so that a 1/N drawn over it hides nothing.
_LOOKS = {
    "policy": Look(COLOURS["blue"], width=2.6),
    "policy_delay_1": Look(COLOURS["vermillion"], "--", 1.7),
    "policy_advance_1": Look(COLOURS["vermillion"], ":", 1.7),
    "uniform": Look(COLOURS["ink"], width=1.1),
    "buy_and_hold": Look(COLOURS["ink"], ":", 1.3),
    "best_asset": Look(COLOURS["green"], "-."),
    "bcrp": Look(COLOURS["orange"], "--"),
    "inverse_volatility": Look(COLOURS["sky"], "-."),
    "minimum_variance": Look(COLOURS["olive"], "--"),
    "risk_parity": Look(COLOURS["purple"], ":", 1.6),
    "eg": Look(COLOURS["purple"], width=0.8),
    "pamr": Look(COLOURS["sky"], _DASH_DOT_DOT),
    "olmar": Look(COLOURS["olive"], ":", 1.6),
    "bcrp_hindsight": Look(COLOURS["muted"], _LONG_DASH),
}
_LOOKS["benchmark"] = Look(COLOURS["ink"], "-.", 1.6)
_LOOKS["ensemble"] = Look(COLOURS["vermillion"], "-.", 1.6)
_SEED_LOOK = Look(COLOURS["blue"], width=0.5)
_OTHER_LOOK = Look(COLOURS["green"], _SPARSE_DOTS, 1.6)
_RUN_COLOURS = ("blue", "vermillion", "green", "purple", "orange", "sky", "olive", "ink")
_RUN_DASHES = ("-", "--", "-.", ":")


def strategy_look(key: str) -> Look:
    """Look of a strategy."""
    return _SEED_LOOK if is_seed(key) else _LOOKS.get(key, _OTHER_LOOK)


def run_look(place: int) -> Look:
    """Look of the run at a place in a comparison; 32 can be told apart.

    Examples
    --------
    >>> len({run_look(i) for i in range(32)})
    32
    """
    dashes = _RUN_DASHES[(place + place // 8) % len(_RUN_DASHES)]
    return Look(COLOURS[_RUN_COLOURS[place % len(_RUN_COLOURS)]], dashes, 1.4)
