"""One network for every asset: what it does for one, it does for all."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from psann.nn.network import Network, NetworkShape
from psann.nn.sine import initialised_linear, weight_bound
from psann.nn.units import UnitOptions, pre_activation

Pooling = Literal["none", "mean"]


class AssetwiseNetwork(Network):
    """Scores of assets, each from its own features by the same weights.

    ``h'_i = act(w0 (L h_i + G mean(h) + b))`` in each layer, ``z_i = v . h_i`` at the head.

    Permuting the assets permutes the scores, and there may be any number of them.

    Parameters
    ----------
    shape : NetworkShape
        Rows hold the K features of the first asset, then those of the second, and so on. An extra
        output is the score of cash, from the mean over the assets.
    hidden_layers : int
        Depth, at least 0: a linear score.
    hidden_units : int
        Width, at least 1.
    w0 : float
        Factor of every pre-activation, greater than 0.
    pooling : {"none", "mean"}
        Whether a layer also sees the mean over the assets (``G``).
    units : UnitOptions
        Nonlinearity of the hidden layers.
    rng : numpy.random.Generator or None
        Source of the initial weights of the hidden layers; the head begins at zero.

    Raises
    ------
    ValueError
        If the features are no multiple of the assets, or pooling cannot have an effect.

    References
    ----------
    Zaheer et al., "Deep Sets" (2017), https://arxiv.org/abs/1703.06114; Jiang, Xu, Liang (2017),
    https://arxiv.org/abs/1706.10059, for the evaluators that are the same for every asset.
    """

    head: _Head

    def __init__(
        self,
        shape: NetworkShape,
        *,
        hidden_layers: int,
        hidden_units: int,
        w0: float,
        pooling: Pooling,
        units: UnitOptions,
        rng: np.random.Generator | None,
    ) -> None:
        super().__init__()
        self.n_assets = shape.n_actions
        self.n_features, rest = divmod(shape.n_in, shape.n_actions)
        if rest:
            raise ValueError(
                f"X has {shape.n_in} features, which is no multiple of {shape.n_actions} assets."
            )
        if pooling == "mean" and not hidden_layers and shape.ignores_shift:
            raise ValueError(
                "pooling='mean' adds the same number to every score, which softmax does not see; "
                "write pooling='none', or give hidden layers."
            )
        self.w0 = w0
        self.linears, self.means = nn.ModuleList(), nn.ModuleList()
        self.activations = nn.ModuleList()
        width = self.n_features
        for layer in range(hidden_layers):
            bound = weight_bound(width, w0=w0, kind=units.kind, is_first=layer == 0)
            self.linears.append(initialised_linear(width, hidden_units, bound=bound, rng=rng))
            if pooling == "mean":
                self.means.append(
                    initialised_linear(width, hidden_units, bound=bound, rng=rng, bias=False)
                )
            self.activations.append(units.activation(hidden_units))
            width = hidden_units
        self.head = _Head(width, shape, pooling=pooling, device="meta" if rng is None else "cpu")

    @property
    def width(self) -> int:
        """Numbers of a row where it is widest."""
        return self.n_assets * super().width

    @property
    def n_products(self) -> int:
        """Multiply-adds of a row: every weight is used for every asset."""
        return self.n_assets * super().n_products

    @property
    def pools(self) -> bool:
        """Whether a layer, or the score of cash, sees the mean over the assets."""
        return bool(self.means) or self.head.mean is not None or self.head.cash is not None

    def forward(
        self, x: Tensor, context: Tensor | None = None, dropout_key: Tensor | None = None
    ) -> Tensor:
        """Scores ``(rows, M)``, or with that of cash ``(rows, M + 1)``, of ``(rows, M * K)``."""
        h = x.unflatten(-1, (-1, self.n_features))  # (rows, M, K)
        for layer, (linear, unit) in enumerate(zip(self.linears, self.activations, strict=True)):
            z = pre_activation(linear, h, self.w0)
            if self.means:
                pooled = h.mean(dim=-2, keepdim=True)
                z = z + pre_activation(self.means[layer], pooled, self.w0)
            h = unit(z)  # (rows, M, hidden_units)
        out: Tensor = self.head(h)
        return out


class _Head(nn.Module):
    """Scores from features, zero at first; no bias where nobody sees what all scores share.

    In that direction there is no gradient but rounding noise, on which Adam walks.
    """

    def __init__(self, width: int, shape: NetworkShape, *, pooling: Pooling, device: str) -> None:
        super().__init__()
        sees_shift = not shape.ignores_shift
        self.score = _zero_linear(width, bias=sees_shift, device=device)
        has_mean = sees_shift and pooling == "mean"
        self.mean = _zero_linear(width, bias=False, device=device) if has_mean else None
        self.cash = _zero_linear(width, bias=True, device=device) if shape.n_extra else None

    def forward(self, h: Tensor) -> Tensor:
        """Scores ``(rows, M)`` of ``(rows, M, width)``, and one of cash where there is one."""
        scores: Tensor = self.score(h).squeeze(-1)
        pooled = h.mean(dim=-2)  # (rows, width)
        if self.mean is not None:
            scores = scores + self.mean(pooled)
        return scores if self.cash is None else torch.cat((scores, self.cash(pooled)), dim=-1)


def _zero_linear(width: int, *, bias: bool, device: str) -> nn.Linear:
    layer = nn.Linear(width, 1, bias=bias, device=device)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
