"""A policy as one program of torch: scaler, network and transform, without anything of psann."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from psann.estimators._base import BasePSANNRegressor
from psann.nn.state import without_memory


class PolicyProgram(nn.Module):
    """Actions of rows in float64, the mean of several estimators; a copy that learns no more.

    Parameters
    ----------
    members : sequence of estimator
        Fitted by HISSO, alike.

    Raises
    ------
    ValueError
        If one has no actions.
    """

    def __init__(self, members: Sequence[BasePSANNRegressor]) -> None:
        super().__init__()
        self.members = nn.ModuleList(_Member(each) for each in members)
        self.requires_grad_(False)

    def forward(
        self, X: Tensor, context: Tensor | None = None, active: Tensor | None = None
    ) -> Tensor:
        """Actions ``(rows, M)``.

        Parameters
        ----------
        X : torch.Tensor
            Features ``(rows, ...)`` as in training, float64.
        context : torch.Tensor, optional
            ``(rows, C)``, float64, where training had one.
        active : torch.Tensor, optional
            ``(rows, M)``, 1 for who can be held, where training had holes.
        """
        actions = [member(X, context, active) for member in self.members]
        return torch.stack(actions).mean(0) if len(actions) > 1 else actions[0]


class _Member(nn.Module):
    """One estimator; what `predict_actions` does step by step."""

    order: Tensor
    slope: Tensor
    offset: Tensor
    lowest: Tensor | None
    highest: Tensor | None

    def __init__(self, estimator: BasePSANNRegressor) -> None:
        super().__init__()
        self.to_actions = estimator.action_function()
        self.network = without_memory(copy.deepcopy(estimator.network_)).cpu().double().eval()
        n_features = estimator.n_features_in_
        columns = np.arange(n_features, dtype=np.float64)
        rows = columns.reshape(1, *estimator.row_shape)
        self.register_buffer("order", torch.from_numpy(estimator.columns_of(rows)[0]).long())
        n_folds = n_features // estimator.n_scaled
        for name, values in _affine(estimator.scaler_, estimator.n_scaled).items():
            tensor = None if values is None else torch.from_numpy(np.tile(values, n_folds))
            self.register_buffer(name, tensor)

    def forward(self, X: Tensor, context: Tensor | None, active: Tensor | None) -> Tensor:
        x = X.double().flatten(1)[:, self.order] * self.slope + self.offset
        if self.lowest is not None and self.highest is not None:
            x = torch.minimum(torch.maximum(x, self.lowest), self.highest)
        # Rounded as in training, where rows are float32.
        inputs = [x.float().double()]
        if context is not None:
            inputs.append(context.float().double())
        actions: Tensor = self.to_actions(self.network(*inputs), active)
        return actions


def _affine(scaler: Any, n_columns: int) -> dict[str, Any]:
    """Slope and offset of a fitted scaler of scikit-learn, and its bounds where it clips."""
    nothing: dict[str, Any] = {"lowest": None, "highest": None}
    if scaler is None:
        return {"slope": np.ones(n_columns), "offset": np.zeros(n_columns), **nothing}
    clips = bool(getattr(scaler, "clip", False))  # of a MinMaxScaler
    linear = copy.copy(scaler)
    if clips:
        linear.clip = False
    offset = linear.transform(np.zeros((1, n_columns)))[0]
    slope = linear.transform(np.ones((1, n_columns)))[0] - offset
    if clips:
        lowest, highest = scaler.feature_range
        nothing = {"lowest": np.full(n_columns, lowest), "highest": np.full(n_columns, highest)}
    return {"slope": slope, "offset": offset, **nothing}
