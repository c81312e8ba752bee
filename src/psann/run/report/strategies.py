"""What the strategies of an evaluation are called, and how each is drawn everywhere."""

from __future__ import annotations

from dataclasses import dataclass

from psann.run.report.drawing import COLOURS


@dataclass(frozen=True)
class Look:
    """How a line is drawn: told apart by colour, and without colour by its style."""

    colour: str
    dashes: str | tuple[int, tuple[int, ...]] = "-"
    width: float = 1.2


_DASH_DOT_DOT = (0, (5, 1, 1, 1, 1, 1))
_LONG_DASH = (0, (9, 3))
_SPARSE_DOTS = (0, (1, 3))

# Key in metrics.json and evaluation.npz -> name for a reader, look.
STRATEGIES: dict[str, tuple[str, Look]] = {
    "policy": ("policy", Look(COLOURS["blue"], width=2.0)),
    "policy_delay_1": ("policy, one row later", Look(COLOURS["vermillion"], "--", 1.6)),
    "uniform": ("1/N", Look(COLOURS["ink"], width=1.4)),
    "buy_and_hold": ("buy and hold", Look(COLOURS["ink"], ":", 1.4)),
}
_OTHERS = (
    Look(COLOURS["green"], "-."),
    Look(COLOURS["orange"], "--"),
    Look(COLOURS["purple"]),
    Look(COLOURS["sky"], _DASH_DOT_DOT),
    Look(COLOURS["olive"], ":", 1.6),
    Look(COLOURS["muted"], _LONG_DASH),
    Look(COLOURS["green"], _SPARSE_DOTS, 1.6),
    Look(COLOURS["orange"]),
)
_RUN_COLOURS = ("blue", "vermillion", "green", "purple", "orange", "sky", "olive", "ink")
_RUN_DASHES = ("-", "--", "-.", ":")


def strategy_name(key: str) -> str:
    """Name of a strategy for a reader.

    Examples
    --------
    >>> strategy_name("uniform"), strategy_name("best_asset")
    ('1/N', 'best asset')
    """
    return STRATEGIES[key][0] if key in STRATEGIES else key.replace("_", " ")


def strategy_look(key: str, place: int) -> Look:
    """Look of a strategy; of one without its own, by its place among such.

    Parameters
    ----------
    key : str
        As in `evaluation.npz`.
    place : int
        Number of strategies without a look of their own before it.
    """
    return STRATEGIES[key][1] if key in STRATEGIES else _OTHERS[place % len(_OTHERS)]


def run_look(place: int) -> Look:
    """Look of the run at a place in a comparison; 32 can be told apart.

    Examples
    --------
    >>> len({run_look(i) for i in range(32)})
    32
    """
    dashes = _RUN_DASHES[(place + place // 8) % len(_RUN_DASHES)]
    return Look(COLOURS[_RUN_COLOURS[place % len(_RUN_COLOURS)]], dashes, 1.4)
