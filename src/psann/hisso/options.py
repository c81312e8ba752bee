"""What a user may choose about HISSO; importing this module does not import torch."""

from __future__ import annotations

import keyword
import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NotRequired

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
    with_config,
)
from typing_extensions import TypedDict

from psann._imports import NamedInFile
from psann._model_keys import LATER, UNTOLD
from psann._models import GrowingModel, StrictModel

PrimaryTransform = Literal[
    "identity", "softmax", "tanh", "softmax_cash", "long_short", "sigmoid", "bounded"
]
OF_NO_PORTFOLIO = ("sigmoid", "bounded")
"""Transforms whose actions are no weights."""

CALL_ARGUMENTS = (
    "actions",
    "context",
    "transition_penalty",
    "initial",
    "cash",
    "active",
    "carry",
)
"""What training says in every call of a reward, so that nobody else can."""

Penalty = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Cost = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=-1, lt=1, allow_inf_nan=False)]


def mean_cost(cost: float | list[float] | str, arrays: Mapping[str, Any]) -> float | None:
    """One number for a cost that may be one per asset, or an array; None if that is not there."""
    if isinstance(cost, str):
        return float(arrays[cost].mean()) if cost in arrays else None
    return sum(cost) / len(cost) if isinstance(cost, list) else cost


def costs_of(hisso: HISSOOptions, evaluation: EvaluationOptions) -> dict[str, Any]:
    """The costs and rates that options tell, by the names of the options."""
    return {
        "hisso.transition_penalty": hisso.transition_penalty,
        "evaluation.trans_cost": evaluation.trans_cost,
        "evaluation.cash_rate": evaluation.cash_rate,
        "evaluation.borrow_rate": evaluation.borrow_rate,
    }


def judging_cost(hisso: HISSOOptions, evaluation: EvaluationOptions) -> float | list[float] | str:
    """Cost per unit traded in validation and test figures, or the array that has it."""
    cost = evaluation.trans_cost
    return hisso.transition_penalty if cost is None else cost


def named_arrays(hisso: HISSOOptions, evaluation: EvaluationOptions) -> dict[str, str]:
    """Arrays of the data that options name, beside X, y, prices and the like, and which does."""
    named = dict.fromkeys(hisso.reward_inputs, "hisso.reward_inputs")
    for who, cost in costs_of(hisso, evaluation).items():
        if isinstance(cost, str):
            named.setdefault(cost, who)
    return named


def cost_problems(hisso: HISSOOptions, evaluation: EvaluationOptions, n_assets: int) -> list[str]:
    """Say which costs are told for another number of assets."""
    return [
        f"{name} must be one number, or one for each of the {n_assets} assets in the order of "
        f"their columns; got {len(cost)}."
        for name, cost in costs_of(hisso, evaluation).items()
        if isinstance(cost, list) and len(cost) != n_assets
    ]


def _why_no_input(name: str) -> str | None:
    """Why an array of this name cannot be a keyword of a reward."""
    if not name.isidentifier() or keyword.iskeyword(name):
        return "is no name that a Python function can have for an argument"
    if name in CALL_ARGUMENTS:
        return "is told to the reward by training"
    return "has dates, which are no numbers" if name == "time" else None


def _array_name(name: str) -> str:
    if why := _why_no_input(name):
        raise ValueError(
            f"must be a number, a list of them, or an array of the data; {name!r} {why}"
        )
    return name


ArrayName = Annotated[str, AfterValidator(_array_name)]


def _keep_origin(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """Pydantic would make a plain text of it, and nobody could tell that a file said so."""
    return value if isinstance(value, NamedInFile) else validate(value)


Target = Annotated[str, WrapValidator(_keep_origin)]


@with_config(ConfigDict(extra="forbid"))
class RewardTarget(TypedDict):
    """A reward with arguments of its own (`hisso.reward`)."""

    target: Target
    """Name in the rewards table, or `pkg.mod:function`."""
    kwargs: NotRequired[dict[str, Any]]
    """Keyword arguments of every call, next to `transition_penalty`."""


class WarmStartOptions(StrictModel):
    """Supervised epochs on targets before the first episode (`hisso.supervised`)."""

    y_key: str = "y_train"
    """Array that holds the targets; any key of the data set with as many rows as `X_train`."""
    epochs: int = Field(default=10, ge=1, le=10_000_000)
    """Passes over the training rows."""
    batch_size: int = Field(default=32, ge=1, le=10_000_000)
    """Rows per update."""
    lr: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Learning rate; null takes `training.lr`."""
    weight_decay: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Weight decay; null takes the estimator's."""
    shuffle: bool = True
    """Draw rows in random order; a stateful network that keeps its state overrules this."""


class HISSOOptions(GrowingModel):
    """How episodes are cut, what their actions earn, and how the gradient is computed."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    enabled: bool = True
    """False trains on targets only."""
    window: int = Field(default=64, ge=2, le=10_000_000)
    """Steps per episode, T."""
    batch_episodes: int = Field(default=32, ge=1, le=10_000_000)
    """Episodes per optimiser update, B."""
    updates_per_epoch: int | None = Field(default=None, ge=1, le=10_000_000)
    """Updates per epoch, U; null takes as many as cover the training rows once."""
    reward: Target | RewardTarget | Callable[..., Any] | None = None
    """Name in the rewards table, `pkg.mod:function`, or `{target, kwargs}`; null takes portfolio,
    which needs prices."""
    context_extractor: Target | Callable[..., Any] | None = None
    """Function from X windows to the reward context; null takes the prices, else X."""
    reward_inputs: Annotated[list[str], UNTOLD] = Field(default=[])  # pydantic copies it
    """Arrays that the reward is given by name, as keywords: [price, demand] are `price_train`,
    `demand_val` and so on, a row for each of X and any number of columns."""
    n_actions: Annotated[int | None, UNTOLD] = Field(default=None, ge=1, le=100_000)
    """Number of actions where they are no portfolio weights, of any meaning that the reward gives
    them; null takes the columns of y, else of the prices, else of what the reward judges by."""
    primary_transform: PrimaryTransform = "softmax"
    """From network outputs to actions."""
    low: Annotated[float | None, UNTOLD] = Field(default=None, ge=-1e30, le=1e30)
    """Least action of `bounded`."""
    high: Annotated[float | None, UNTOLD] = Field(default=None, ge=-1e30, le=1e30)
    """Greatest action of `bounded`."""
    max_weight: Annotated[float | None, LATER] = Field(
        default=None, gt=0, lt=1, allow_inf_nan=False
    )
    """Largest weight of an asset, either way; null for no limit. What softmax cuts off goes to the
    other assets in proportion, with softmax_cash also to cash, else to cash alone."""
    gross_limit: Annotated[float | None, LATER] = Field(
        default=None, gt=0, le=100, allow_inf_nan=False
    )
    """Largest sum of the sizes of all weights of `long_short`; null is 1. Above 1 money is
    borrowed, unless as much is sold short."""
    net_limit: Annotated[float | None, LATER] = Field(default=None, ge=0, allow_inf_nan=False)
    """Largest size of the sum of all weights of `long_short`, 0 for as much short as long; null
    for no limit."""
    held_weights: Annotated[bool, UNTOLD] = False
    """Whether each asset's held weight, as prices left it, is one more feature of it: what a trade
    costs depends on it. For the estimator AssetwiseRegressor."""
    max_turnover: Annotated[float | None, UNTOLD] = Field(default=None, gt=0, allow_inf_nan=False)
    """Largest traded weight of a row, the first purchase among them; null for no limit. What is
    wanted beyond it waits: the account comes as near to its targets as the limit lets it."""
    delay: Annotated[int, LATER] = Field(default=0, ge=0, le=10_000_000)
    """Rows between decision and execution: an action decided on row t is judged from row t + delay
    on, in training as everywhere; 0 trades at the very row whose features it has seen."""
    transition_penalty: Penalty | Annotated[list[Penalty], Field(min_length=1)] | ArrayName = 0.0
    """Lambda, per unit of traded weight: a number, a list of one per asset, or the name of an array
    of the data, a row for each of X."""
    input_noise: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Standard deviation of Gaussian noise on the network's inputs."""
    supervised: bool | WarmStartOptions = False
    """Warm start on targets: true, false, or its options."""
    refit: bool = False
    """Once validation has chosen the epoch, train anew on training and validation rows together,
    for as many epochs; not where it chose epoch 0. Cannot be combined with `supervised`."""
    temperature_scaling: bool = False
    """Once validation has chosen the epoch, divide the network's outputs by the temperature, from
    1/4 to 4, that earns the most on the validation rows at the deployed cost; a refit is divided by
    the same. Not where epoch 0 was chosen."""
    min_improvement: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """What an epoch must gain over epoch 0 on the validation rows to be kept, in units of the
    monitor; 0 keeps one that is better at all."""
    min_significance: Annotated[float | Literal["auto"], LATER] = 0.0
    """How many standard errors, as of a normal number, an epoch must grow faster than epoch 0 on
    the validation rows to be kept, at least 0; auto asks for so many that of trainings without a
    signal 5 % pass at most, whatever the number of epochs. Needs a reward of prices."""
    mixed_precision: bool = False
    """Autocast of forward pass and reward; on a CPU this means float32, with a warning."""
    amp_dtype: Literal["float16", "bfloat16"] = "float16"
    """The reduced type; float16 comes with gradient scaling."""

    @model_validator(mode="after")
    def _refit_begins_where_training_began(self) -> HISSOOptions:
        if self.refit and self.supervised is not False:
            raise ValueError("refit cannot be combined with supervised; remove one of the two")
        return self

    @model_validator(mode="after")
    def _significance_is_not_negative(self) -> HISSOOptions:
        asked = self.min_significance
        if asked != "auto" and not 0 <= asked < math.inf:
            raise ValueError(f"min_significance must be at least 0, or auto; got {asked}")
        return self

    @model_validator(mode="after")
    def _limits_fit_the_transform(self) -> HISSOOptions:
        problems = [
            f"{name} is a limit of long_short; primary_transform is {self.primary_transform}. "
            f"Write long_short, or remove {name}"
            for name in ("gross_limit", "net_limit")
            if getattr(self, name) is not None and self.primary_transform != "long_short"
        ]
        problems += [
            f"{name} is a limit on portfolio weights, and {self._no_weights}, or remove {name}"
            for name in ("max_weight", "max_turnover")
            if getattr(self, name) is not None and self._no_weights
        ]
        gross = self.gross_limit or 1.0
        problems += [
            f"{name} must be below the gross limit, {gross:g}, else it limits nothing; got {limit}"
            for name in ("max_weight", "net_limit")
            if (limit := getattr(self, name)) is not None and limit >= gross and not problems
        ]
        if problems:
            raise ValueError(". ".join(problems))
        return self

    @model_validator(mode="after")
    def _held_weights_are_those_of_targets(self) -> HISSOOptions:
        others = {
            "max_turnover": self.max_turnover is not None,
            "input_noise": self.input_noise > 0,
            "supervised": self.supervised is not False,
            "primary_transform identity": self.primary_transform == "identity",
        }
        if self.held_weights and (found := [name for name, is_set in others.items() if is_set]):
            raise ValueError(
                f"held_weights cannot be combined with {', '.join(found)}; remove one of the two"
            )
        return self

    @model_validator(mode="after")
    def _bounds_fit_the_transform(self) -> HISSOOptions:
        low, high, name = self.low, self.high, self.primary_transform
        if name != "bounded" and (low is not None or high is not None):
            raise ValueError(
                f"low and high are the bounds of bounded; primary_transform is {name}. Write "
                "bounded, or remove them"
            )
        if name == "bounded" and (low is None or high is None or not low < high):
            raise ValueError(f"bounded needs low and high, low below high; got {low} and {high}")
        return self

    @model_validator(mode="after")
    def _reward_inputs_are_keywords(self) -> HISSOOptions:
        names = self.reward_inputs
        problems = [
            f"{name!r} {why}"
            for name in dict.fromkeys(names)
            if (why := _why_no_input(name)) or (names.count(name) > 1 and (why := "is named twice"))
        ]
        if problems:
            raise ValueError(f"reward_inputs must be names of arrays: {', '.join(problems)}")
        return self

    @property
    def is_portfolio(self) -> bool:
        """Whether actions may be weights of a portfolio: a number of actions says they are not."""
        return self.n_actions is None and self.primary_transform not in OF_NO_PORTFOLIO

    @property
    def _no_weights(self) -> str:
        """Why actions are no portfolio weights, and what else to write; empty where they may be."""
        if self.n_actions is not None:
            return "n_actions says that actions are none. Write primary_transform bounded"
        if self.primary_transform == "identity":
            return "primary_transform identity gives numbers of any size. Write another transform"
        if not self.is_portfolio:
            name = self.primary_transform
            return f"primary_transform {name} gives numbers that are none. Write another transform"
        return ""

    def updates_on(self, n_rows: int) -> int:
        """Updates per epoch: as told, else as cover so many rows, ``max(1, ceil(N / (T B)))``."""
        return self.updates_per_epoch or max(1, -(-n_rows // (self.window * self.batch_episodes)))

    @property
    def warm_start(self) -> WarmStartOptions | None:
        """The warm-start options in force, None when there is no warm start."""
        if self.supervised is True:
            return WarmStartOptions()
        return self.supervised or None


class EvaluationOptions(StrictModel):
    """How a policy's actions are judged on validation and test rows."""

    portfolio_prices_key: str | None = "prices_test"
    """Array of prices for `portfolio_metrics`; null computes none."""
    trans_cost: Cost | Annotated[list[Cost], Field(min_length=1)] | ArrayName | None = None
    """Proportional cost per unit traded, below 1: a number, a list of one per asset, or the name of
    an array of the data, a row for each of X; null takes `hisso.transition_penalty`."""
    initial: Literal["cash", "invested"] = "cash"
    """Holdings before the first row: all cash (the first purchase is charged) or the target."""
    periods_per_year: float = Field(default=252.0, gt=0, allow_inf_nan=False)
    """Rows per year, for annual figures."""
    cash_rate: Annotated[Rate | ArrayName, LATER] = 0.0
    """What cash earns per year, and owed money costs, in training too: a number, or the name of an
    array of the data, a row for each of X. Sharpe ratios are of what is earned beyond it."""
    borrow_rate: Annotated[Cost | ArrayName, LATER] = 0.0
    """What assets that are sold short cost per year, in training too: a number, or a name."""
