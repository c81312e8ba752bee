"""The estimator whose network is shared by all assets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from numbers import Integral
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval, StrOptions

from psann._labels import labels_of
from psann._published import answers_published
from psann._typing import Array, Floats
from psann.estimators._arrays import converted_split, flatten_rows
from psann.estimators._base import BasePSANNRegressor
from psann.estimators._fit_utils import PreparedInputs, PreparedSplit
from psann.estimators._parameters import POSITIVE
from psann.hisso.options import HISSOOptions
from psann.holdings import MEMBER
from psann.nn.assetwise import AssetwiseNetwork, Pooling
from psann.nn.network import Network, NetworkShape
from psann.nn.units import UnitOptions
from psann.training.engine_choice import EngineName
from psann.training.loop import MonitorName
from psann.training.optimizer import OptimizerName

_FLAT = ("data_format", "preserve_shape", "target_scaler")


class AssetwiseRegressor(BasePSANNRegressor):
    """One network for every asset, ``z_i = f(x_i)``: few weights, and any number of assets.

    Parameters
    ----------
    hidden_layers : int
        Depth, at least 0: a linear score of K weights.
    hidden_units : int
        Width, at least 1.
    pooling : {"none", "mean"}
        With mean a layer also sees the mean over the assets: how an asset differs from the others.
    layout : {"asset_major", "feature_major"} or None
        Order of the M * K columns of a table: K columns for each asset, or M for each feature.
        Needed there; rows of shape (M, K) say it themselves.
    scaler : {"standard", "minmax"}, transformer or None
        scikit-learn transformer of the K features, fitted on the training rows of all assets.
    activation, activation_params, w0, epochs, batch_size, lr, lr_schedule, optimizer, \
weight_decay, clip_norm, loss, patience, monitor, input_noise, shuffle, on_nonfinite, \
max_skipped_updates, engine, threads, device, warm_start, random_state
        As for `psann.PSANNRegressor`.

    Notes
    -----
    `fit` takes X of shape ``(n_samples, M, K)``, or a table ``(n_samples, M * K)`` with `layout`
    and as many columns of y or prices as there are assets. Fitted on M assets, it predicts for
    any number of them from ``(n_samples, M', K)``.

    The head begins at zero, so that the first policy is 1/N under softmax, and seeds agree.

    References
    ----------
    Zaheer et al., "Deep Sets" (2017), https://arxiv.org/abs/1703.06114

    Examples
    --------
    >>> import numpy as np
    >>> from psann import AssetwiseRegressor
    >>> X = np.random.default_rng(0).normal(size=(300, 5, 2))
    >>> model = AssetwiseRegressor(hidden_layers=0, epochs=30, lr=5e-2, random_state=0)
    >>> model = model.fit(X, X[:, :, 0] - X[:, :, 1])
    >>> bool(np.allclose(model.predict(X[:, :3]), X[:, :3, 0] - X[:, :3, 1], atol=1e-2))
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **{
            name: allowed
            for name, allowed in BasePSANNRegressor._parameter_constraints.items()
            if name not in _FLAT
        },
        "hidden_layers": [Interval(Integral, 0, 256, closed="both")],
        "w0": [POSITIVE],
        "pooling": [StrOptions({"none", "mean"})],
        "layout": [StrOptions({"asset_major", "feature_major"}), None],
    }
    # Every asset is treated alike: rows keep their order, and targets their units.
    data_format = "channels_first"
    preserve_shape = False
    target_scaler = None

    @answers_published
    def __init__(
        self,
        *,
        hidden_layers: int = 0,
        hidden_units: int = 64,
        activation: Literal["psann", "tanh", "relu"] = "psann",
        activation_params: dict[str, Any] | None = None,
        w0: float = 1.0,
        pooling: Pooling = "none",
        layout: Literal["asset_major", "feature_major"] | None = None,
        epochs: int = 200,
        batch_size: int = 32,
        lr: float = 1e-3,
        lr_schedule: str | dict[str, Any] | None = None,
        optimizer: OptimizerName = "adam",
        weight_decay: float = 0.0,
        clip_norm: float | None = 1.0,
        loss: str | Callable[..., Any] = "mse",
        patience: int | None = None,
        monitor: MonitorName | Literal["auto"] = "auto",
        input_noise: float = 0.0,
        shuffle: bool = True,
        scaler: Any = None,
        on_nonfinite: Literal["stop", "skip"] = "stop",
        max_skipped_updates: int = 100,
        engine: EngineName = "auto",
        threads: int | None = None,
        device: str = "auto",
        warm_start: bool = False,
        random_state: Any = None,
    ) -> None:
        self._store(locals())

    acts_on_any_assets = True
    takes_held_weights = True

    @property
    def n_scaled(self) -> int:
        """Features of an asset, K."""
        return self.n_features_in_ // self.n_outputs_

    def _n_outputs_of(self, X: Array) -> int:
        return int(X.shape[1]) // self.n_scaled

    def _checked_split(
        self, split: Mapping[str, Any], *, reset: bool, requires_y: bool, prefix: str = ""
    ) -> dict[str, Any]:
        """As of every estimator, with rows that hold one asset after the other."""
        if not reset and self._has_other_assets(split["X"]):
            # The network is the same for every asset, so it does for any number of them.
            split, _ = converted_split(split, prefix=prefix, assets=None)
            checks: Any = {"dtype": [np.float64, np.float32]}
            X = check_array(flatten_rows(split["X"], self._as_fitted("data_format")), **checks)
            y = split.get("y")
            return {**split, "X": X, "y": y if y is None else check_array(y, ensure_2d=False)}
        checked = super()._checked_split(split, reset=reset, requires_y=requires_y, prefix=prefix)
        if reset:
            self.n_outputs_ = self._count_assets(checked)
        return self._ordered(checked)

    def _ordered(self, split: dict[str, Any]) -> dict[str, Any]:
        if self._as_fitted("layout") != "feature_major" or self.input_shape_ is not None:
            return split
        X = split["X"]
        by_feature = X.reshape(len(X), self.n_scaled, self.n_outputs_)
        return {**split, "X": by_feature.swapaxes(1, 2).reshape(len(X), -1)}

    def _known_assets(self, split: Mapping[str, Any]) -> tuple[str, ...] | None:
        """Names of `fit` where the split has the same ones; others are judged as they come."""
        named = (labels_of(split.get(kind)).columns for kind in ("prices", "y", "active"))
        names = next((columns for columns in named if columns is not None), None)
        known = self.asset_names_
        return known if names is None or known is None or {*names} == {*known} else None

    def _prepared_inputs(
        self,
        train: Mapping[str, Any],
        validation: Mapping[str, Any] | None,
        *,
        options: HISSOOptions | None,
        continues: bool,
        is_pass: bool,
    ) -> PreparedInputs:
        if continues:
            if self._has_other_assets(train["X"]):
                # The weights fit; what tells of the number of assets is told anew.
                self.input_shape_ = np.asarray(train["X"]).shape[1:]
                self.n_outputs_, self.n_features_in_ = self.input_shape_[0], prod(self.input_shape_)
                self.asset_names_ = None
            if self._known_assets(train) is None:
                _, self.asset_names_ = converted_split(train, prefix="", assets=None)
        return super()._prepared_inputs(
            train, validation, options=options, continues=continues, is_pass=is_pass
        )

    def _first_network(
        self, prepared: PreparedInputs, options: HISSOOptions | None, *, continues: bool
    ) -> Network:
        network = super()._first_network(prepared, options, continues=continues)
        for split in filter(None, (prepared.train, prepared.validation)):
            _check_members(network, split)
        return network

    def _outputs(self, rows: PreparedSplit, *, keeps_bits: bool = True) -> Floats:
        _check_members(self.network_, rows)
        return super()._outputs(rows, keeps_bits=keeps_bits)

    def _has_other_assets(self, X: Any) -> bool:
        if self.input_shape_ is None:
            return False
        shape = np.asarray(X).shape[1:]
        return shape[1:] == (self.n_scaled,) and shape[0] != self.n_outputs_

    def _count_assets(self, split: Mapping[str, Any]) -> int:
        """Assets of the training rows, M."""
        if self.input_shape_ is not None:
            if len(self.input_shape_) == 2:
                return self.input_shape_[0]
            raise ValueError(
                f"X must have shape (n_samples, M, K), K features for each of M assets; its rows "
                f"have shape {self.input_shape_}."
            )
        acted_on = split["y"] if split.get("y") is not None else split.get("prices")
        n_assets = 1 if acted_on is None or np.ndim(acted_on) == 1 else np.shape(acted_on)[1]
        n_features = self.n_features_in_
        if n_features % n_assets:
            raise ValueError(
                f"X must have as many features for each of the {n_assets} assets; it has "
                f"{n_features} columns."
            )
        if n_assets > 1 and self.layout is None:
            raise ValueError(
                f"the order of the {n_features} columns of X cannot be told. Give X of shape "
                f"(n_samples, {n_assets}, {n_features // n_assets}), or set "
                f"layout='asset_major' (all features of an asset side by side) or 'feature_major'."
            )
        return int(n_assets)

    def _build_network(self, shape: NetworkShape, rng: np.random.Generator | None) -> Network:
        self._refuse_context(shape.n_context)
        if rng is not None and self.n_outputs_ != shape.n_actions:
            raise ValueError(
                f"X must have an asset for each of the {shape.n_actions} columns of y or prices; "
                f"its rows have {self.n_outputs_}."
            )
        return AssetwiseNetwork(
            shape,
            hidden_layers=self.hidden_layers,
            hidden_units=self.hidden_units,
            w0=self.w0,
            pooling=self.pooling,
            units=UnitOptions(kind=self.activation, params=self.activation_params),
            rng=rng,
        )


def _check_members(network: Network, rows: PreparedSplit) -> None:
    """Refuse to mix who cannot be held, perhaps not even listed yet, into the others' scores."""
    if network.pools and rows.active is not None and (rows.active != MEMBER).any():
        raise ValueError(
            "active has assets that cannot be held, whose features pooling='mean', and the score "
            "of cash, would mix into the scores of the others. Write pooling='none' and a "
            "primary_transform without cash, such as softmax."
        )
