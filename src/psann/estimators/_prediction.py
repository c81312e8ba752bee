"""What a fitted estimator answers: outputs, actions, and the reward they earn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor
from torch.func import functional_call

from psann._device import thread_count
from psann.estimators._fit_utils import (
    DataFormat,
    check_context_width,
    flatten_rows,
    prepare_inputs_and_scaler,
    resolve_context_extractor,
    resolve_reward_for,
    reward_context,
    scale_rows,
)
from psann.hisso.inference import judge_actions
from psann.hisso.options import EvaluationOptions, HISSOOptions
from psann.hisso.transforms import TRANSFORMS
from psann.losses import Loss
from psann.nn.network import Network

_PREDICT_ROWS = 65_536  # rows per forward pass of a prediction, to bound memory


class PredictionMixin:
    """Methods of a fitted estimator that read its attributes and change none."""

    data_format: DataFormat
    network_: Network
    input_shape_: tuple[int, ...] | None
    y_ndim_: int
    n_outputs_: int
    n_context_: int
    scaler_: Any
    target_scaler_: Any
    threads_: int
    hisso_options_: HISSOOptions | None
    evaluation_options_: EvaluationOptions

    def _loss(self) -> Loss:
        raise TypeError(f"{type(self).__name__} must say what its loss is.")

    def _checked_split(
        self, split: Mapping[str, Any], *, reset: bool, requires_y: bool
    ) -> dict[str, Any]:
        """Validated X and y of a split in scikit-learn's manner, with the rest as given."""
        unknown = set(split) - {"X", "y", "prices", "context"}
        if unknown or split.get("X") is None:
            raise ValueError(
                "validation_data must have X and may have y, prices and context; got "
                f"{', '.join(sorted(map(str, split)))}."
            )
        X, y = split["X"], split.get("y")
        shape = np.shape(X)[1:] if not hasattr(X, "columns") and np.ndim(X) > 2 else None
        if shape is not None:
            X = flatten_rows(X, self.data_format)
        checks = {"dtype": [np.float64, np.float32], "reset": reset}
        if y is None and not requires_y:
            X = validate_data(self, X, **checks)
        else:
            X, y = validate_data(self, X, y, multi_output=True, y_numeric=True, **checks)
        if reset:
            self.input_shape_ = shape
            self.y_ndim_ = 2 if y is None else np.ndim(y)
        elif shape != self.input_shape_:
            raise ValueError(f"rows of X must have the shape {self.input_shape_}; got {shape}.")
        return {**split, "X": X, "y": y}

    def _outputs(self, X: ArrayLike, context: ArrayLike | None) -> Tensor:
        """Network outputs ``(N, n_out)`` in float64: a row's result depends on no other row."""
        check_is_fitted(self, "network_")
        split = self._checked_split({"X": X, "y": None}, reset=False, requires_y=False)
        rows = torch.from_numpy(scale_rows(split["X"], self.scaler_)).double()
        given = None if context is None else torch.as_tensor(np.asarray(context)).double()
        self._check_context(given, len(rows))
        device = next(self.network_.parameters()).device
        tensors = {name: t.double() for name, t in self.network_.state_dict().items()}
        parts = []
        with torch.no_grad(), thread_count(self.threads_):
            for start in range(0, len(rows), _PREDICT_ROWS):
                part = slice(start, start + _PREDICT_ROWS)
                inputs = (
                    rows[part].to(device),
                    None if given is None else given[part].to(device),
                )
                parts.append(functional_call(self.network_, tensors, inputs).cpu())
        return torch.cat(parts)

    def _check_context(self, context: Tensor | None, n_rows: int) -> None:
        shape = None if context is None else tuple(context.shape)
        wanted = (n_rows, self.n_context_) if self.n_context_ else None
        if shape != wanted:
            raise ValueError(
                f"context must have the shape {wanted or 'of nothing: fit had none'}; got {shape}."
            )

    def predict(self, X: ArrayLike, *, context: ArrayLike | None = None) -> NDArray[np.float64]:
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
        outputs = self._outputs(X, context)[:, : self.n_outputs_].numpy()
        return self._in_target_units(outputs)

    def _in_target_units(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.target_scaler_ is not None:
            outputs = self.target_scaler_.inverse_transform(outputs)
        return outputs[:, 0] if self.y_ndim_ == 1 else outputs

    def predict_actions(
        self, X: ArrayLike, *, context: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Actions of the policy: the transformed outputs.

        Parameters
        ----------
        X, context
            As for `predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_outputs)

        Raises
        ------
        ValueError
            If the estimator was not fitted by HISSO.
        """
        options = self._fitted_hisso()
        outputs = self._outputs(X, context)
        return TRANSFORMS[options.primary_transform].function(outputs).numpy()

    def _fitted_hisso(self) -> HISSOOptions:
        check_is_fitted(self, "network_")
        options: HISSOOptions | None = self.hisso_options_
        if options is None or not options.enabled:
            raise ValueError(
                f"this {type(self).__name__} was trained on targets and has no actions; give "
                "hisso= to fit."
            )
        return options

    def evaluate_loss(
        self, X: ArrayLike, y: ArrayLike, *, context: ArrayLike | None = None
    ) -> float:
        """Mean loss over rows, in the units of training: targets are scaled where they were.

        Parameters
        ----------
        X, y : array-like
            Rows and targets like those of `fit`.
        context : array-like of shape (n_samples, n_context), optional
            Needed where `fit` had one.

        Returns
        -------
        float
            ``mean over rows and outputs of loss(o, y)``.
        """
        outputs = self._outputs(X, context)
        split = self._checked_split({"X": X, "y": y}, reset=False, requires_y=True)
        targets = np.asarray(split["y"], dtype=np.float64).reshape(len(outputs), -1)
        if self.target_scaler_ is not None:
            targets = self.target_scaler_.transform(targets)
        per_element = self._loss()(outputs[:, : self.n_outputs_], torch.from_numpy(targets))
        return float(per_element.mean())

    def evaluate_reward(
        self,
        X: ArrayLike,
        prices: ArrayLike | None = None,
        *,
        y: ArrayLike | None = None,
        context: ArrayLike | None = None,
        evaluation: EvaluationOptions | Mapping[str, Any] | None = None,
    ) -> float:
        """Reward of the policy over the whole span as a single episode.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows in time order, at least 2.
        prices : array-like of shape (n_samples, n_outputs) or (n_samples, 1), optional
            Reward context, as in `fit`.
        y : array-like, optional
            Targets, for the reward ``negative_mse``.
        context : array-like, optional
            Conditioning input of the network.
        evaluation : EvaluationOptions or mapping, optional
            Cost and first holdings; None takes those of `fit`.

        Returns
        -------
        float
            Reward per step, in the units of the reward.
        """
        options = self._fitted_hisso()
        judging = self.evaluation_options_
        if evaluation is not None:
            judging = EvaluationOptions.model_validate(evaluation)
        split = self._checked_split({"X": X, "y": y}, reset=False, requires_y=False)
        prepared = prepare_inputs_and_scaler(
            {**split, "prices": prices},
            None,
            scaler=self.scaler_,
            target_scaler=self.target_scaler_,
            fitted=True,
        ).train
        reward = resolve_reward_for(options, has_prices=prices is not None)
        judged = reward_context(
            X_raw=prepared.X_raw,
            y=prepared.y,
            prices=prepared.prices,
            reward=reward,
            extractor=resolve_context_extractor(options.context_extractor),
        )
        check_context_width(judged, self.n_outputs_)
        cost = judging.trans_cost
        validation = judge_actions(
            torch.from_numpy(self.predict_actions(X, context=context)),
            torch.from_numpy(judged),
            reward=reward,
            transition_penalty=options.transition_penalty if cost is None else cost,
            initial=judging.initial,
            cash=TRANSFORMS[options.primary_transform].holds_cash,
        )
        assert validation.reward is not None
        return validation.reward
