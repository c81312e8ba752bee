"""Estimators whose hidden units carry a state from batch to batch, or from row to row."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, ClassVar

import torch
from numpy.typing import ArrayLike
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted
from torch.func import functional_call

from psann._device import thread_count
from psann._numerics import pinned_numbers
from psann._typing import Floats
from psann.estimators._options import read_options
from psann.estimators._prediction import PredictionMixin
from psann.nn.state import StateOptions, initial_states, take_staged_states
from psann.training.engine import StateReset


class StatefulMixin(PredictionMixin):
    """Parameters ``stateful``, ``state`` and ``state_reset``, and prediction in time order."""

    stateful: bool
    state: dict[str, Any] | StateOptions | None
    state_reset: StateReset

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "stateful": ["boolean"],
        "state": [dict, StateOptions, None],
        "state_reset": [StrOptions({"batch", "epoch", "none"})],
    }

    @property
    def _state_reset(self) -> StateReset:
        return self.state_reset

    def _state_options(self) -> StateOptions | None:
        if not self.stateful and self.state is not None:
            raise ValueError("state has no effect without stateful=True; remove it.")
        return read_options(StateOptions, self.state or {}, who="state") if self.stateful else None

    @pinned_numbers()
    def predict_sequence(self, X: ArrayLike) -> Floats:
        """Raw outputs row by row in time order, moving the state after every row.

        `predict` uses the state and leaves it; this walks on from where the state is, so that two
        calls on two halves of a series equal one call on the whole. The estimator's own state moves
        when all rows are done: other threads may predict meanwhile, but not walk on too.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows in time order.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)

        Raises
        ------
        ValueError
            If the estimator is not stateful, or an output is not finite: the state stays then.
        """
        check_is_fitted(self, "network_")
        if not self.stateful:
            raise ValueError("predict_sequence needs stateful=True; use predict.")
        scaled, network = self._prepared(X).X, deepcopy(self.network_)
        rows = torch.from_numpy(scaled).to(self._device).double()
        tensors = {name: t.double() for name, t in network.state_dict().items()}
        outputs = []
        with torch.no_grad(), thread_count(self.threads_):
            for row in rows:
                outputs.append(functional_call(network, tensors, (row[None],)).cpu())
                # Rounded at every row, so that it does not matter where a call begins.
                states = {k: s.float() for k, s in take_staged_states(network).items()}
                tensors |= {name: state.double() for name, state in states.items()}
        values: Floats = torch.cat(outputs).numpy()
        self._check_finite(values)
        self.network_.load_state_dict(states, strict=False)
        return self._in_target_units(scaled, values)

    def reset_state(self) -> None:
        """Let the fitted network forget: every state returns to its first value."""
        check_is_fitted(self, "network_")
        self.network_.load_state_dict(initial_states(self.network_), strict=False)
