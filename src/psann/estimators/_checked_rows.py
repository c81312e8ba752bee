"""Rows that a fitted estimator is given: checked against those of `fit`, and scaled alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted, validate_data

from psann._labels import in_order_of, labels_of
from psann._typing import Array
from psann.estimators._arrays import check_order, converted_split, flatten_rows, named_inputs
from psann.estimators._fit_utils import PreparedSplit, prepare_inputs_and_scaler, prepared_split
from psann.estimators._parameters import ParametrisedEstimator
from psann.hisso.options import HISSOOptions

_FLOATS = [np.float64, np.float32]
# Numbers whose squares sum to less are finite, also in float32.
_SURELY_SINGLE = 1e76


class CheckedRows(ParametrisedEstimator):
    """Methods of an estimator that read what users give."""

    n_features_in_: int
    feature_names_in_: Array
    input_shape_: tuple[int, ...] | None
    y_ndim_: int
    n_outputs_: int
    n_context_: int
    asset_names_: tuple[str, ...] | None
    _context_names: tuple[str, ...] | None = None
    """Of the columns of the context in `fit`, where a frame told them."""
    scaler_: Any
    target_scaler_: Any
    hisso_options_: HISSOOptions | None

    def _checked_split(
        self, split: Mapping[str, Any], *, reset: bool, requires_y: bool, prefix: str = ""
    ) -> dict[str, Any]:
        """Validated X and y of a split in scikit-learn's manner, with the rest beside them."""
        known = None if reset else self._known_assets(split)
        of_context = labels_of(split.get("context")).columns
        split, names = converted_split(split, prefix=prefix, assets=known)
        if reset:
            self.asset_names_, self._context_names = names, of_context
        elif of_context is not None and self._context_names is not None:
            told: Any = {"who": f"{prefix}context", "whose": "fit"}
            split["context"] = in_order_of(
                self._context_names, split["context"], of_context, **told
            )
        X, y = split["X"], split.get("y")
        rank, shape = np.ndim(X), None
        if rank > 2:
            shape = tuple(np.shape(X)[1:])
            X = flatten_rows(X, self._as_fitted("data_format"))
        if not reset and shape != self.input_shape_:
            raise ValueError(
                f"rows of X must have the shape {self.row_shape} of those in fit; got "
                f"{shape or tuple(np.shape(X)[1:])}."
            )
        has_y = requires_y or y is not None
        if self._needs_no_validation(X, reset=reset) and (not has_y or _are_targets(y, X)):
            if reset:
                self._note_width(X)
        elif has_y:
            more = {"multi_output": True, "y_numeric": True}
            X, y = validate_data(self, X, y, dtype=_FLOATS, reset=reset, **more)
        else:
            X = validate_data(self, X, dtype=_FLOATS, reset=reset)
        if reset:
            self.input_shape_ = shape
            self.y_ndim_ = 2 if y is None else np.ndim(y)
        return {**split, "X": X, "y": y}

    def _note_width(self, X: Array) -> None:
        """Note what scikit-learn would of rows without names."""
        self.n_features_in_ = X.shape[1]
        if hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _ordered(self, split: dict[str, Any]) -> dict[str, Any]:
        """A checked split whose columns of X are in the order in which the network sees them."""
        return split

    def _known_assets(self, split: Mapping[str, Any]) -> tuple[str, ...] | None:
        """Names of the assets of `fit`, in whose order those of the split are to be."""
        return self.asset_names_

    def _needs_no_validation(self, X: ArrayLike, *, reset: bool = False) -> bool:
        """Whether scikit-learn would give these rows back as they are.

        That takes it ten times as long, and the first time in a process a hundredth of a second
        besides: to look for names of columns it reads what every installed package says of itself.
        """
        if not _is_sound(X, rank=2):
            return False
        if reset:
            return bool(np.asarray(X).flags.c_contiguous)  # others would be copied to be looked at
        if self.input_shape_ is not None or hasattr(self, "feature_names_in_"):
            return False
        return bool(np.shape(X)[1] == self.n_features_in_)

    def _prepared(
        self,
        X: ArrayLike,
        *,
        y: ArrayLike | None = None,
        prices: ArrayLike | None = None,
        context: ArrayLike | None = None,
        active: ArrayLike | None = None,
        reward_inputs: Mapping[str, ArrayLike] | None = None,
        requires_y: bool = False,
        is_in_time: bool = False,
    ) -> PreparedSplit:
        """Rows like those of `fit`, checked and scaled; in time, each must come after the last."""
        if not hasattr(self, "network_"):
            check_is_fitted(self, "network_")
        given = {"X": X, "y": y, "prices": prices, "context": context, "active": active}
        is_alone = y is None and prices is None and context is None and active is None
        has_more = requires_y or reward_inputs is not None or self.n_context_
        if is_alone and not has_more and self._needs_no_validation(X):
            return prepared_split(self._ordered({"X": X}), self.scaler_, None, self.n_scaled)
        given |= named_inputs(reward_inputs)
        if is_in_time:
            check_order({"": given})
        is_portfolio = self.hisso_options_ is None or self.hisso_options_.is_portfolio
        prepared = prepare_inputs_and_scaler(
            self._checked_split(given, reset=False, requires_y=requires_y),
            None,
            scaler=self.scaler_,
            target_scaler=self.target_scaler_,
            fitted=True,
            n_scaled=self.n_scaled,
            is_portfolio=is_portfolio,
        )
        rows = prepared.train
        if prepared.n_context != self.n_context_:
            raise ValueError(
                f"context must have the {self.n_context_} columns of that in fit; got "
                f"{prepared.n_context}."
            )
        n_outputs = self._n_outputs_of(rows.X)
        of_assets = {"y": rows.y, "prices": rows.prices if is_portfolio else None}
        for name, array in (of_assets | {"active": rows.active}).items():
            if array is not None and array.shape[1] != n_outputs:
                raise ValueError(
                    f"{name} must have {n_outputs} columns, one per output; got {array.shape[1]}."
                )
        return rows

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of a row of X in fit."""
        return self.input_shape_ or (self.n_features_in_,)

    @property
    def n_scaled(self) -> int:
        """Columns that the scaler of X knows: every so many are scaled alike."""
        return self.n_features_in_

    def _n_outputs_of(self, X: Array) -> int:
        """Outputs for such rows, M."""
        return self.n_outputs_


def _is_sound(array: Any, *, rank: int) -> bool:
    """Whether it is a plain array of numbers with which scikit-learn would find no fault."""
    if type(array) is not np.ndarray or array.dtype not in _FLOATS:
        return False
    is_whole = array.ndim == rank and array.size > 0
    return is_whole and float(np.vdot(array, array)) < _SURELY_SINGLE  # not so of NaN


def _are_targets(y: Any, X: Array) -> bool:
    return _is_sound(y, rank=np.ndim(y)) and np.ndim(y) in (1, 2) and len(y) == len(X)
