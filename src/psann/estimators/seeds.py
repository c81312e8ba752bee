"""Several seeds of one estimator, trained together: K times the weights, once the data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from numbers import Integral
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from psann._typing import Floats
from psann.estimators._arrays import as_split
from psann.estimators._base import BasePSANNRegressor
from psann.estimators._interruption import OnInterrupt
from psann.hisso.options import EvaluationOptions, HISSOOptions
from psann.training.observers import Observer
from psann.training.state import SavedState

Estimator = TypeVar("Estimator", bound=BasePSANNRegressor)


def fit_seeds(
    estimator: Estimator, seeds: Sequence[int], X: ArrayLike, y: ArrayLike | None = None, **how: Any
) -> list[Estimator]:
    """Fit one clone of an estimator per seed, all together on one set of data.

    Each draws its own first weights, episodes, order of rows, noise and dropout, and has its own
    best epoch and patience: up to rounding it ends as
    ``clone(estimator).set_params(random_state=seed).fit(...)`` would.

    Parameters
    ----------
    estimator : estimator
        What to fit; it stays as it is. One that is fitted and has ``warm_start=True`` is where
        every clone begins.
    seeds : sequence of int
        At least one, each at least 0 and different from the others.
    X, y : array-like
        As for `fit`.
    **how : Any
        The other arguments of `fit`; `resume` takes one saved state per seed.

    Returns
    -------
    list of estimator
        Fitted, in the order of `seeds`.

    Raises
    ------
    ValueError
        If the seeds are not as above, or where `fit` raises it.
    DivergedError
        If a loss, reward or gradient of any seed is not finite; the message names the seed.

    Examples
    --------
    >>> import numpy as np
    >>> from psann import PSANNRegressor, fit_seeds
    >>> X = np.linspace(-1, 1, 64)[:, None]
    >>> fitted = fit_seeds(PSANNRegressor(epochs=2), [0, 1, 2], X, X[:, 0] ** 2)
    >>> [each.random_state for each in fitted]
    [0, 1, 2]
    """
    members = seeded(estimator, seeds)
    fit_together(members, X, y, **{"on_interrupt": "keep", **how})
    return members


class Ensemble:
    """Several fitted estimators as one policy: the mean of what they say, in equal parts.

    Parameters
    ----------
    members : sequence of estimator
        Fitted alike on the same columns, as by `fit_seeds`.

    Raises
    ------
    ValueError
        If there are none.

    Examples
    --------
    >>> import numpy as np
    >>> from psann import Ensemble, PSANNRegressor, fit_seeds
    >>> X = np.linspace(-1, 1, 64)[:, None]
    >>> both = fit_seeds(PSANNRegressor(epochs=2), [0, 1], X, X[:, 0] ** 2)
    >>> mean = (both[0].predict(X) + both[1].predict(X)) / 2
    >>> bool(np.allclose(Ensemble(both).predict(X), mean))
    True
    """

    def __init__(self, members: Sequence[BasePSANNRegressor]) -> None:
        if not len(members):
            raise ValueError("members must be one fitted estimator or more; got none.")
        self.members = members

    def predict(self, X: ArrayLike, *, context: ArrayLike | None = None) -> Floats:
        """Mean of the raw outputs; the parameters are those of the estimators' `predict`."""
        return _mean([member.predict(X, context=context) for member in self.members])

    def predict_actions(self, X: ArrayLike, **given: Any) -> Floats:
        """Mean of the estimators' actions ``(n_samples, n_outputs)``.

        The keyword arguments are those of their `predict_actions`. Of policies that see what they
        hold, each sees what it alone would hold.
        """
        return _mean([member.predict_actions(X, **given) for member in self.members])

    def evaluate_loss(
        self, X: ArrayLike, y: ArrayLike, *, context: ArrayLike | None = None
    ) -> float:
        """Loss of the mean outputs; see the estimators' `evaluate_loss`."""
        outputs = self.predict(X, context=context)
        return self.members[0].evaluate_loss(X, y, context=context, outputs=outputs)

    def evaluate_reward(
        self,
        X: ArrayLike,
        prices: ArrayLike | None = None,
        *,
        context: ArrayLike | None = None,
        active: ArrayLike | None = None,
        **how: Any,
    ) -> float:
        """Reward of the mean actions; see the estimators' `evaluate_reward`."""
        how |= {"context": context, "active": active}
        actions = self.predict_actions(X, context=context, active=active, prices=prices)
        return self.members[0].evaluate_reward(X, prices, actions=actions, **how)


def _mean(arrays: Sequence[Floats]) -> Floats:
    mean: Floats = np.mean(arrays, axis=0)
    return mean


def seeded(estimator: Estimator, seeds: Sequence[int]) -> list[Estimator]:
    """Clones of an estimator, one per seed, for `fit_together`; see `fit_seeds`."""
    given, seeds = seeds, list(seeds) if isinstance(seeds, Iterable) else []
    is_whole = all(isinstance(seed, Integral) for seed in seeds)
    if not seeds or not is_whole or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise ValueError(
            "seeds must be one or more whole numbers of at least 0, each different from the "
            f"others, such as range(3); got {given!r}."
        )
    continues = estimator.warm_start and hasattr(estimator, "network_")
    members: list[Estimator] = [clone(estimator) for _ in seeds]
    if continues:
        members[0] = deepcopy(estimator)
    for member, seed in zip(members, seeds, strict=True):
        member.set_params(random_state=int(seed))
    return members


def fit_together(
    members: Sequence[BasePSANNRegressor],
    X: ArrayLike,
    y: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    *,
    prices: ArrayLike | None = None,
    context: ArrayLike | None = None,
    active: ArrayLike | None = None,
    reward_inputs: Mapping[str, ArrayLike] | None = None,
    validation_data: Mapping[str, Any] | tuple[ArrayLike, ArrayLike] | None = None,
    hisso: HISSOOptions | Mapping[str, Any] | None = None,
    evaluation: EvaluationOptions | Mapping[str, Any] | None = None,
    observers: Sequence[Observer] = (),
    resume: Sequence[SavedState] = (),
    on_interrupt: OnInterrupt = "raise",
) -> None:
    """Fit what `seeded` made, in place; `fit_seeds` does both.

    Parameters
    ----------
    members : sequence of estimator
        As from `seeded`. Observers can turn a state of one of them into a file with its
        `to_bytes`, while training goes on.
    X, y, sample_weight, prices, context, active, reward_inputs, validation_data, hisso, \
evaluation, observers, \
on_interrupt
        As for `fit`; but what raises leaves members that are half fitted, for observers to save.
    resume : sequence of SavedState
        One per seed, in their order: where an interrupted fit of the same left off.
    """
    beside = {"prices": prices, "context": context, "active": active}
    members[0]._fit_group(
        members[1:],
        as_split(X, y, sample_weight, reward_inputs, **beside),
        validation_data=validation_data,
        hisso=hisso,
        evaluation=evaluation,
        observers=observers,
        resume=resume,
        on_interrupt=on_interrupt,
    )
