"""What is said to those who come from psann 0.12 or 2.0 in Python, and what does what it says.

`run/test_cures_of_runs.py` does it for every key of a configuration.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import psann
import user_rewards
from planted import Recorder
from psann import (
    AssetwiseRegressor,
    HISSOOptions,
    PSANNRegressor,
    ResPSANNRegressor,
    WarmStartOptions,
    WaveResNetRegressor,
)
from psann.datasets import make_toy_hisso
from psann.nn import SineOptions, WaveResNet
from psann.nn.wave_resnet import WaveOptions

N = 80
draws = np.random.default_rng(0)
X, Y = draws.standard_normal((N, 4)), draws.standard_normal((N, 2))
C = draws.standard_normal((N, 1))
PRICES = np.exp(0.02 * draws.standard_normal((N, 2)).cumsum(axis=0))
HISSO = {"window": 6, "batch_episodes": 4, "updates_per_epoch": 2}


def name(published: str) -> Callable[[], object]:
    """Ask the package for a name that it had."""
    return partial(getattr, psann, published)


def taught(cls: type = PSANNRegressor, *, how: dict[str, Any] | None = None, **params: Any) -> Any:
    """Fitted on targets."""
    given = {"hidden_layers": 1, "hidden_units": 4, "epochs": 1, "random_state": 0, **params}
    return cls(**given).fit(X, Y, **(how or {}))


def policy(options: Any = HISSO, **how: Any) -> Any:
    """Fitted by episodes."""
    model = PSANNRegressor(hidden_layers=1, hidden_units=4, epochs=1, random_state=0)
    return model.fit(X, hisso=options, **{"prices": PRICES, **how})


def by_asset(**params: Any) -> Any:
    model = AssetwiseRegressor(hidden_layers=1, hidden_units=4, epochs=1, random_state=0, **params)
    return model.fit(X.reshape(N, 2, 2), prices=PRICES, hisso=HISSO)


def squared(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return 2.0 * (outputs - targets) ** 2


def _load(folder: Path) -> Any:
    return PSANNRegressor.load(folder / "best.pt")


def _of_torch(folder: Path) -> Any:
    torch.save({"class": "PSANNRegressor"}, folder / "best.pt")
    return _load(folder)


def _saved_anew(folder: Path) -> Any:
    taught().save(folder / "estimator.safetensors")
    return PSANNRegressor.load(folder / "estimator.safetensors")


WITH_CONTEXT = partial(taught, WaveResNetRegressor, how={"context": C})
CLASSES = (PSANNRegressor, ResPSANNRegressor, WaveResNetRegressor)

# Text of the message: what meets it, then everything that it says to do instead.
CURES: dict[str, tuple[Callable[..., object], ...]] = {
    "write estimator.predict_actions(X)": (
        name("hisso_infer_series"),
        lambda: policy().predict_actions(X),
    ),
    "write estimator.evaluate_reward(X, prices)": (
        name("hisso_evaluate_reward"),
        lambda: policy().evaluate_reward(X, PRICES),
    ),
    "write psann.HISSOOptions, or the mapping of its keys that fit takes as hisso": (
        name("HISSOConfig"),
        lambda: policy(HISSOOptions(**HISSO)),
        policy,
    ),
    "write psann.WarmStartOptions, as ": (
        name("SupervisedWarmStartConfig"),
        lambda: policy({**HISSO, "supervised": WarmStartOptions()}, y=Y),
    ),
    "write estimator.fit(X, prices=prices, hisso={}), which trains on episodes": (
        name("EpisodeTrainer"),
        lambda: policy({}),
    ),
    "name the reward as ": (
        name("get_reward_strategy"),
        lambda: policy({**HISSO, "reward": "sharpe"}),
        lambda: policy({**HISSO, "reward": "user_rewards:mean_first"}),
        lambda: policy({**HISSO, "reward": user_rewards.mean_first}),
    ),
    "choose the class: {}": (
        name("ArchitectureConfig"),
        *(partial(taught, cls) for cls in CLASSES),
    ),
    "write psann.ResPSANNRegressor; {}": (
        name("ResConvPSANNRegressor"),
        lambda: taught(ResPSANNRegressor),
    ),
    "write psann.WaveResNetRegressor; {}": (
        name("SGRPSANNRegressor"),
        lambda: taught(WaveResNetRegressor),
    ),
    "put a transformer before the estimator in a Pipeline, or give it as scaler": (
        name("PreprocessorConfig"),
        lambda: make_pipeline(StandardScaler(), PSANNRegressor(epochs=1)).fit(X, Y),
        lambda: taught(scaler=StandardScaler()),
    ),
    "write psann.nn.WaveResNet": (
        name("build_wave_resnet"),
        lambda: WaveResNet(4, 2, options=WaveOptions(hidden_layers=1, hidden_units=4), rng=draws),
    ),
    "write activation='relu'": (name("ReLUSigmoidPSANN"), lambda: taught(activation="relu")),
    "write the estimator's activation_params, or psann.nn.SineOptions": (
        name("ActivationConfig"),
        lambda: taught(activation_params={"damping": 0.2}),
        lambda: SineOptions(damping=0.2),
    ),
    "write the estimator's stateful=True and state={...}": (
        name("StateConfig"),
        lambda: taught(stateful=True, state={"init": 0.5}),
    ),
    "compute it from estimator.network_, a torch module": (
        name("jacobian_spectrum"),
        lambda: torch.func.functional_call(
            (fitted := taught()).network_,
            dict(fitted.network_.named_parameters()),
            (torch.zeros(3, 4),),
        ),
    ),
    "make series of your own, or take one of psann.datasets": (
        name("make_drift_series"),
        lambda: make_toy_hisso(steps=40),
    ),
    "write sum(p.numel() for p in estimator.network_.parameters())": (
        name("count_params"),
        lambda: sum(p.numel() for p in taught().network_.parameters()),
    ),
    "remove it: {}": (lambda: PSANNRegressor(conv_channels=2), taught),
    "remove it: {}; psann.AssetwiseRegressor has pooling": (
        lambda: PSANNRegressor(pool="mean"),
        taught,
        lambda: by_asset(pooling="mean"),
    ),
    "compute the context and give it: context_train, context_val and context_test": (
        lambda: WaveResNetRegressor(context_builder=len),
        WITH_CONTEXT,
    ),
    "compute the context and give it, as for context_builder": (
        lambda: WaveResNetRegressor(context_builder_params={}),
        WITH_CONTEXT,
    ),
    "remove it: it is the width of the context that is given": (
        lambda: WaveResNetRegressor(context_dim=1),
        WITH_CONTEXT,
    ),
    "remove it: this release drops no paths": (
        lambda: PSANNRegressor(drop_path_max=0.1),
        taught,
    ),
    "write clip_norm": (lambda: PSANNRegressor(grad_clip_norm=1.0), lambda: taught(clip_norm=1.0)),
    "write a function (outputs, targets) with these values as loss": (
        lambda: PSANNRegressor(loss_params={"scale": 2.0}),
        lambda: taught(loss=squared),
    ),
    "remove it: a loss gives one number per output, and their mean counts": (
        lambda: PSANNRegressor(loss_reduction="mean"),
        taught,
    ),
    "remove it: it follows from y": (lambda: PSANNRegressor(output_shape=(2,)), taught),
    "write first_layer_w0 of psann.WaveResNetRegressor, or w0": (
        lambda: PSANNRegressor(w0_first=20.0),
        lambda: taught(WaveResNetRegressor, first_layer_w0=20.0),
        lambda: taught(w0=20.0),
    ),
    "write w0": (lambda: PSANNRegressor(w0_hidden=2.0), lambda: taught(w0=2.0)),
    "give the scaler itself, with its parameters": (
        lambda: PSANNRegressor(scaler_params={"feature_range": (-1, 1)}),
        lambda: taught(scaler=MinMaxScaler(feature_range=(-1, 1))),
    ),
    "write patience, a number of epochs; None never stops early": (
        lambda: PSANNRegressor(early_stopping=True),
        lambda: taught(patience=1, monitor="train_loss"),
        lambda: taught(patience=None),
    ),
    "write layout, which says what the axes of X are": (
        lambda: AssetwiseRegressor(data_format="channels_first"),
        lambda: by_asset(layout="asset_major"),
    ),
    "remove it, or take psann.WaveResNetRegressor, which has it": (
        lambda: PSANNRegressor(norm="rms"),
        taught,
        lambda: taught(WaveResNetRegressor, norm="rms"),
    ),
    "take psann.ResPSANNRegressor, which has it": (
        lambda: PSANNRegressor(residual_alpha_init=0.2),
        lambda: taught(ResPSANNRegressor, residual_alpha_init=0.2),
    ),
    "write first_layer_w0 and hidden_w0": (
        lambda: WaveResNetRegressor(w0=20.0),
        lambda: taught(WaveResNetRegressor, first_layer_w0=20.0, hidden_w0=2.0),
    ),
    "take psann.PSANNRegressor or psann.ResPSANNRegressor, which have it": (
        lambda: WaveResNetRegressor(stateful=True),
        lambda: taught(stateful=True),
        lambda: taught(ResPSANNRegressor, stateful=True),
    ),
    "take psann.WaveResNetRegressor, which has it": (
        lambda: PSANNRegressor(dropout=0.1),
        lambda: taught(WaveResNetRegressor, dropout=0.1),
    ),
    "leave it out; observers=[...] watch a fit (psann.training.observers)": (
        lambda: taught(how={"verbose": 1}),
        taught,
        lambda: taught(how={"observers": [Recorder()]}),
    ),
    "write {}": (
        lambda: policy({**HISSO, "trans_cost": 0.001}),
        lambda: policy({**HISSO, "transition_penalty": 0.001}),
    ),
    "leave it out: that trains on targets": (lambda: taught(how={"hisso": False}), taught),
    "write hisso={{}}": (lambda: policy(True), lambda: policy({})),
    "is a file of torch.save, as psann 0.12 and 2.0 wrote their checkpoints": (
        lambda tmp_path: _of_torch(tmp_path),
        lambda tmp_path: _saved_anew(tmp_path),
    ),
}

# What only looks like a message that tells what to do.
NONE: tuple[str, ...] = ("write hisso.",)
