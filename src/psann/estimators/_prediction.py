"""What a fitted estimator answers: outputs, actions, and the reward they earn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from psann._device import thread_count
from psann._labels import labels_of
from psann._numerics import pinned_numbers
from psann._typing import Array, Floats
from psann.accounting import executed_late
from psann.estimators._arrays import converted_split
from psann.estimators._checked_rows import CheckedRows
from psann.estimators._fit_utils import PreparedSplit, judged_against
from psann.estimators._options import read_options
from psann.estimators._scaling import transformed
from psann.halts import Halts
from psann.hisso.constraints import transform_of
from psann.hisso.inference import as_one_episode, carry_in, judge_actions
from psann.hisso.objective import beside_actions
from psann.hisso.options import EvaluationOptions, HISSOOptions, judging_cost
from psann.hisso.own_weights import decided_in_turn, prices_seen, weights_before
from psann.hisso.reward_context import (
    check_context_width,
    input_problems,
    resolve_reward_for,
    reward_source,
)
from psann.hisso.rewards import Reward, penalty_of
from psann.holdings import held_weights, is_limited, of_members
from psann.nn.network import Network
from psann.nn.passes import row_passes
from psann.nn.settled import InDouble, in_double

# Of a layer: what a core's cache holds.
_NUMBERS_AT_ONCE = 2**17


def _codes(rows: PreparedSplit) -> Tensor | None:
    return None if rows.active is None else torch.from_numpy(rows.active)


def _executed(
    delay: int, rows: PreparedSplit, actions: Tensor, judged: Tensor
) -> tuple[Tensor, Tensor, Tensor | None, dict[str, Tensor]]:
    """Actions, reward context, membership and named inputs on the rows of execution."""
    inputs = {name: torch.from_numpy(each) for name, each in rows.reward_inputs.items()}
    actions, judged, active, *late = executed_late(
        delay, actions, judged, _codes(rows), *inputs.values()
    )
    if delay and active is not None:
        actions = of_members(actions, active)
    return actions, judged, active, dict(zip(inputs, late, strict=True))


class PredictionMixin(CheckedRows):
    """Methods of a fitted estimator that read its attributes and change none."""

    network_: Network
    threads_: int
    acts_on_any_assets: ClassVar[bool] = False
    """Whether assets are judged by their own features alone, so that others than those of `fit`,
    and any number of them, may be given to a fitted policy."""
    takes_held_weights: ClassVar[bool] = False
    """Whether what is held of each asset can be one more feature of it (``hisso.held_weights``)."""
    evaluation_options_: EvaluationOptions

    def _outputs(self, rows: PreparedSplit, *, keeps_bits: bool = True) -> Floats:
        """Network outputs ``(N, n_out)`` in float64: a row's result depends on no other row.

        All that a run records is of torch, and keeps its bits; what need not goes by NumPy where
        that is sooner.
        """
        double, width = in_double(self.network_), self.network_.width
        at_once = max(1, _NUMBERS_AT_ONCE // width)
        is_for_one = self.threads_ == 1 or len(rows.X) <= at_once  # NumPy takes one thread
        if not keeps_bits and double.on_host is not None and is_for_one:
            firsts = range(0, len(rows.X), at_once)
            found = [double.on_host(rows.X[k : k + at_once].astype(np.float64)) for k in firsts]
            outputs = found[0] if len(found) == 1 else np.concatenate(found)
        else:
            outputs = self._by_torch(rows, double, row_bytes=8 * width)
        self._check_finite(outputs)
        return outputs

    def _by_torch(self, rows: PreparedSplit, double: InDouble, *, row_bytes: int) -> Floats:
        inputs = [rows.X] if rows.context is None else [rows.X, rows.context]
        network, device = double.module, double.device
        with thread_count(self.threads_), torch.no_grad():
            parts = [
                network(*(torch.from_numpy(a[part].astype(np.float64)).to(device) for a in inputs))
                for part in row_passes(len(rows.X), row_bytes=row_bytes, device=device)
            ]
            outputs: Floats = (parts[0] if len(parts) == 1 else torch.cat(parts)).cpu().numpy()
            return outputs

    def _decisions(self, rows: PreparedSplit, held: Tensor | None = None) -> Tensor:
        """Actions ``(N, M)`` of rows, by what is held before the first where the policy sees it."""
        options = self._fitted_hisso()
        transform = transform_of(options)
        if not options.held_weights:
            return transform.function(torch.from_numpy(self._outputs(rows)), _codes(rows))
        prices = prices_seen(rows.prices, shape=(len(rows.X), self._n_outputs_of(rows.X)))
        double, X = in_double(self.network_), torch.from_numpy(rows.X).double()
        network, device = double.module, double.device
        with thread_count(self.threads_), torch.no_grad():

            def outputs_of(x: Tensor) -> Tensor:
                outputs: Tensor = network(x.to(device)).cpu()
                self._check_finite(outputs.numpy())
                return outputs

            return decided_in_turn(outputs_of, X, prices, transform, held=held)

    def _check_finite(self, outputs: Floats) -> None:
        """Refuse outputs that are not: no transform makes a weight of NaN."""
        if np.isfinite(outputs).all():
            return
        is_bad = ~np.isfinite(outputs).all(axis=1)
        raise ValueError(
            f"the network's outputs are not finite for {int(is_bad.sum())} of {len(outputs)} "
            f"rows, the first of them row {int(is_bad.argmax())}. Give rows within the "
            "range of those in fit, or a scaler to fit."
        )

    @property
    def _device(self) -> torch.device:
        return next(self.network_.parameters()).device

    @pinned_numbers()
    def predict(self, X: ArrayLike, *, context: ArrayLike | None = None) -> Floats:
        """Raw outputs, in the units of the targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows like those of `fit`.
        context : array-like of shape (n_samples, n_context), optional
            Needed where `fit` had one.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        options = self.hisso_options_ if hasattr(self, "network_") else None
        if options is not None and options.enabled and options.held_weights:
            raise ValueError(
                "predict knows nothing of what the policy holds (hisso.held_weights). Use "
                "predict_actions with prices."
            )
        rows = self._prepared(X, context=context)
        return self._in_target_units(rows.X, self._outputs(rows, keeps_bits=False))

    def _in_target_units(self, X: Array, outputs: Floats) -> Floats:
        values = outputs[:, : self._n_outputs_of(X)]
        if self.target_scaler_ is not None:
            scaler = self.target_scaler_
            unscaled = transformed(values, scaler, who="target_scaler", inverse=True)
            values = unscaled.astype(np.float64, copy=False)
        return values[:, 0] if self.y_ndim_ == 1 else values

    @pinned_numbers()
    def predict_actions(
        self,
        X: ArrayLike,
        *,
        context: ArrayLike | None = None,
        active: ArrayLike | None = None,
        prices: ArrayLike | None = None,
        held: ArrayLike | None = None,
    ) -> Floats:
        """Actions of the policy: the transformed outputs.

        Parameters
        ----------
        X, context
            As for `predict`.
        active : array-like of shape (n_samples, n_outputs), optional
            Who can be held, as in `fit`; None for all. The actions of all others are 0.
        prices : array-like of shape (n_samples, n_outputs), optional
            Needed where the policy sees what it holds (``hisso.held_weights``), and read there
            alone: each row's actions then follow from those before it.
        held : array-like of shape (n_outputs,), optional
            Weights before the first row, for such a policy; None for cash.

        Returns
        -------
        ndarray of shape (n_samples, n_outputs)

        Raises
        ------
        ValueError
            If the estimator was not fitted by HISSO, or needs prices.
        """
        own = self._fitted_hisso().held_weights
        seen = prices if own else None
        rows = self._prepared(X, context=context, active=active, prices=seen, is_in_time=own)
        if held is not None and not own:
            raise ValueError(
                "held has no effect: this policy does not see what it holds. Leave it out, or fit "
                "with hisso.held_weights."
            )
        before = None
        if held is not None:
            names = self._known_assets({"X": X, "prices": prices}) or labels_of(prices).columns
            before = weights_before(held, self._n_outputs_of(rows.X), names)
        return self._decisions(rows, before).numpy()

    def action_function(self) -> Callable[[Tensor, Tensor | None], Tensor]:
        """What makes actions of the network's outputs ``(N, n_out)`` and of who can be held.

        Raises
        ------
        ValueError
            If the estimator was not fitted by HISSO.
        """
        return transform_of(self._fitted_hisso()).function

    def columns_of(self, X: Floats) -> Floats:
        """Rows ``(N, F)`` in the order in which scaler and network see their columns."""
        columns: Floats = self._checked_split({"X": X}, reset=False, requires_y=False)["X"]
        return columns

    def _fitted_hisso(self) -> HISSOOptions:
        check_is_fitted(self, "network_")
        options: HISSOOptions | None = self.hisso_options_
        if options is None or not options.enabled:
            raise ValueError(
                f"this {type(self).__name__} was trained on targets and has no actions; give "
                "hisso= to fit."
            )
        return options

    @pinned_numbers()
    def evaluate_loss(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        context: ArrayLike | None = None,
        outputs: ArrayLike | None = None,
    ) -> float:
        """Mean loss over rows, in the units of training: targets are scaled where they were.

        Parameters
        ----------
        X, y : array-like
            Rows and targets like those of `fit`.
        context : array-like of shape (n_samples, n_context), optional
            Needed where `fit` had one.
        outputs : array-like of shape (n_samples,) or (n_samples, n_outputs), optional
            What to judge in place of the estimator's own `predict`, such as the mean of several.

        Returns
        -------
        float
            ``mean over rows and outputs of loss(o, y)``.
        """
        rows = self._prepared(X, y=y, context=context, requires_y=True)
        if outputs is None:
            judged = torch.from_numpy(self._outputs(rows))[:, : self._n_outputs_of(rows.X)]
        else:
            judged = self._given(outputs, rows, X=X, who="outputs")
            if self.target_scaler_ is not None:
                scaled = transformed(judged.numpy(), self.target_scaler_, who="target_scaler")
                judged = torch.from_numpy(scaled)
        return float(self._loss()(judged, torch.from_numpy(rows.y).double()).mean())

    def _given(self, array: ArrayLike, rows: PreparedSplit, *, X: ArrayLike, who: str) -> Tensor:
        """Outputs or actions that a caller gave, as a matrix ``(N, M)`` in the order of X."""
        split, _ = converted_split({"X": X, who: array}, prefix="", assets=self.asset_names_)
        given = split[who].astype(np.float64)
        matrix = given[:, None] if given.ndim == 1 else given
        wanted = (len(rows.X), self._n_outputs_of(rows.X))
        if matrix.shape != wanted or not np.isfinite(matrix).all():
            raise ValueError(
                f"{who} must be finite and have shape {wanted}, a row for "
                f"each of X; got shape {given.shape}."
            )
        return torch.from_numpy(matrix)

    @pinned_numbers()
    def evaluate_reward(
        self,
        X: ArrayLike,
        prices: ArrayLike | None = None,
        *,
        y: ArrayLike | None = None,
        context: ArrayLike | None = None,
        active: ArrayLike | None = None,
        reward_inputs: Mapping[str, ArrayLike] | None = None,
        evaluation: EvaluationOptions | Mapping[str, Any] | None = None,
        actions: ArrayLike | None = None,
    ) -> float:
        """Reward of the policy over the whole span as a single episode.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows in time order, at least 2.
        prices : array-like of shape (n_samples, n_outputs), optional
            Reward context, as in `fit`.
        y : array-like, optional
            Targets, for the reward ``negative_mse``.
        context : array-like, optional
            Conditioning input of the network.
        active : array-like of shape (n_samples, n_outputs), optional
            Who can be held and traded, as in `fit`.
        reward_inputs : mapping of str to array-like, optional
            What the reward is given by name, as in `fit`.
        evaluation : EvaluationOptions or mapping, optional
            Cost and first holdings; None takes those of `fit`.
        actions : array-like of shape (n_samples, n_outputs), optional
            What to judge in place of the policy's own actions, such as the mean of several.

        Returns
        -------
        float
            Reward per step, in the units of the reward.

        Raises
        ------
        ValueError
            If the estimator was not fitted by HISSO, or what the reward needs is missing.
        """
        options = self._fitted_hisso()
        judging = self.evaluation_options_
        if evaluation is not None:
            judging = read_options(EvaluationOptions, evaluation, who="evaluation")
        given: Any = {"y": y, "prices": prices, "context": context, "active": active}
        rows = self._prepared(X, **given, reward_inputs=reward_inputs, is_in_time=True)
        cost = judging_cost(options, judging)
        reward, judged = self._judged(rows, judging, has_prices=prices is not None)
        weights = (
            self._decisions(rows)
            if actions is None
            else self._given(actions, rows, X=X, who="actions")
        )
        weights, judged, active, inputs = _executed(options.delay, rows, weights, judged)
        validation = judge_actions(
            weights,
            judged,
            reward=reward.told(as_one_episode(inputs)),
            transition_penalty=penalty_of(cost, inputs, like=judged),
            initial=judging.initial,
            cash=transform_of(options).holds_cash,
            active=active,
            carry=carry_in(judging, options, inputs),
        )
        assert validation.reward is not None
        return validation.reward

    def evaluate_episodes(
        self,
        X: ArrayLike,
        prices: ArrayLike | None = None,
        *,
        y: ArrayLike | None = None,
        context: ArrayLike | None = None,
        active: ArrayLike | None = None,
        reward_inputs: Mapping[str, ArrayLike] | None = None,
    ) -> Floats:
        """Reward of each of the consecutive episodes that a span is cut into, on training's terms.

        Episodes have ``hisso.window`` rows, begin invested and trade at
        ``hisso.transition_penalty``; the last one ends at the last row and may overlap.

        Parameters
        ----------
        X, prices, y, context, active, reward_inputs
            As for `evaluate_reward`; at least ``hisso.window`` rows.

        Returns
        -------
        ndarray of shape (n_episodes,)
            Reward per step of each.
        """
        options = self._fitted_hisso()
        given: Any = {"y": y, "prices": prices, "context": context, "active": active}
        rows = self._prepared(X, **given, reward_inputs=reward_inputs, is_in_time=True)
        terms = self.evaluation_options_.model_copy(update={"trans_cost": None})
        reward, judged = self._judged(rows, terms, has_prices=prices is not None)
        if len(rows.X) < options.window + options.delay:
            late = f", {options.delay} more than which are needed" if options.delay else ""
            raise ValueError(
                f"an episode has hisso.window = {options.window} rows{late}; X has {len(rows.X)}."
            )
        actions = self._decisions(rows)  # (N, M)
        actions, judged, active, named = _executed(options.delay, rows, actions, judged)
        last = len(actions) - options.window
        first = torch.tensor([*range(0, last, options.window), last])
        at = first[:, None] + torch.arange(options.window)  # (B, T)
        windows, context_in = actions[at], beside_actions(judged, actions)[at]  # (B, T, M)
        inputs = {name: each[at] for name, each in named.items()}
        carry = carry_in(self.evaluation_options_, options, inputs)
        penalty = penalty_of(options.transition_penalty, inputs, like=judged)
        if is_limited(carry):
            codes = None if active is None else active[at]
            windows = held_weights(windows, context_in, codes, carry=carry)
        elif active is not None and reward.takes_active:
            halts = Halts.of(active, judged.expand_as(actions), window=options.window)
            windows = windows if halts is None else halts.held(windows, first)
        with torch.no_grad():
            rewards = reward.told(inputs)(
                windows,
                context_in,
                transition_penalty=penalty,
                initial="invested",
                cash=transform_of(options).holds_cash or active is not None,
                active=None if active is None else active[at],
                carry=carry,
            )
        return rewards.numpy()

    def _judged(
        self, rows: PreparedSplit, judging: EvaluationOptions, *, has_prices: bool
    ) -> tuple[Reward, Tensor]:
        """The reward, and its context ``(N, M)`` or ``(N, 1)`` in float64."""
        options = self._fitted_hisso()
        reward = resolve_reward_for(options, has_prices=has_prices)
        if len(rows.X) < (least := reward.min_rows + options.delay):
            raise ValueError(
                f"reward {reward.name} needs at least {least} rows; got {len(rows.X)}."
            )
        n_actions = self._n_outputs_of(rows.X)
        told: Any = {"hisso": options, "evaluation": judging, "n_assets": n_actions}
        if problems := input_problems(rows.reward_inputs, reward=reward, **told):
            raise ValueError("\n".join(problems))
        source = reward_source(reward, options, has_prices=has_prices)
        judged = judged_against(rows, source, reward, options)
        check_context_width(judged, n_actions, reward=reward, hisso=options)
        return reward, torch.from_numpy(judged)
