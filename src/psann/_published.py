"""What the published psann 0.12 and 2.0 called otherwise, or had: what to write instead.

One table for everybody who comes from there: names of the package, keywords of constructors and
of `fit`, keys of a configuration, files. Nothing here makes an old spelling work; each is answered
with the new one.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_SEE = "See docs/migration.md, which has both spellings side by side"
_NO_CONVOLUTION = "this release flattens its inputs and has no convolutional body"
_NO_EXPANDER = "this release has no LSM expander"
_NO_LANGUAGE = "language models are no part of psann"
_NO_GATE = "this release has no spectral gate"
_NO_GRAPH = "this release has no sparse geometric network"
_CLASSES = "psann.PSANNRegressor, psann.ResPSANNRegressor or psann.WaveResNetRegressor"
_REWARD = "name the reward as hisso.reward, by its name, by pkg.mod:function, or give a function"
_OPTIONS = "write psann.HISSOOptions, or the mapping of its keys that fit takes as hisso"
_COUNT = "write sum(p.numel() for p in estimator.network_.parameters())"
_PIPELINE = "put a transformer before the estimator in a Pipeline, or give it as scaler"

NAMES: dict[str, str] = {
    "hisso_infer_series": "write estimator.predict_actions(X)",
    "hisso_evaluate_reward": "write estimator.evaluate_reward(X, prices)",
    "HISSOConfig": _OPTIONS,
    "EpisodeConfig": _OPTIONS,
    "EpisodeScheduleConfig": _OPTIONS,
    "SupervisedWarmStartConfig": "write psann.WarmStartOptions, as hisso.supervised",
    **dict.fromkeys(
        ("EpisodeTrainer", "EpisodicTrainer", "make_episode_trainer_from_estimator"),
        "write estimator.fit(X, prices=prices, hisso={}), which trains on episodes",
    ),
    **dict.fromkeys(
        ("multiplicative_return_reward", "portfolio_log_return_reward"),
        "write hisso.reward: portfolio",
    ),
    **dict.fromkeys(
        (
            "RewardStrategyBundle",
            "FINANCE_PORTFOLIO_STRATEGY",
            "get_reward_strategy",
            "register_reward_strategy",
        ),
        _REWARD,
    ),
    "ArchitectureConfig": f"choose the class: {_CLASSES}",
    "ResConvPSANNRegressor": f"write psann.ResPSANNRegressor; {_NO_CONVOLUTION}",
    "SGRPSANNRegressor": f"write psann.WaveResNetRegressor; {_NO_GATE}",
    "GeoSparseRegressor": f"write psann.ResPSANNRegressor; {_NO_GRAPH}",
    "AttentionConfig": "do without: this release has no attention layer",
    **dict.fromkeys(
        (
            *("LSM", "LSMExpander", "LSMConv2d", "LSMConv2dExpander"),
            *("LSMConfig", "LSMPretrainingConfig"),
        ),
        f"do without: {_NO_EXPANDER}",
    ),
    **dict.fromkeys(
        ("PreprocessorConfig", "ModulePreprocessorConfig", "PreprocessorTrainingConfig"), _PIPELINE
    ),
    "SineParam": "import it from psann.nn",
    "WaveResNet": "import it from psann.nn",
    "build_wave_resnet": "write psann.nn.WaveResNet",
    **dict.fromkeys(
        ("WaveEncoder", "WaveRNNCell", "scan_regimes"),
        "do without: this release has psann.nn.WaveResNet and no recurrent network",
    ),
    "ReLUSigmoidPSANN": "write activation='relu'",
    "ActivationConfig": "write the estimator's activation_params, or psann.nn.SineOptions",
    **dict.fromkeys(
        ("StateConfig", "StateController", "ensure_state_config"),
        "write the estimator's stateful=True and state={...}",
    ),
    **dict.fromkeys(("SimpleWordTokenizer", "SineTokenEmbedder"), f"do without: {_NO_LANGUAGE}"),
    **dict.fromkeys(
        ("apply_siren_init", "siren_uniform_"),
        "do without: the networks of psann.nn draw such first weights themselves",
    ),
    **dict.fromkeys(
        (
            *("jacobian_spectrum", "ntk_eigens", "participation_ratio", "mutual_info_proxy"),
            *("fit_linear_probe", "encode_and_probe"),
        ),
        "compute it from estimator.network_, a torch module; this release has no diagnostics",
    ),
    **dict.fromkeys(
        (
            *("make_context_rotating_moons", "make_drift_series", "make_shock_series"),
            "make_regime_switch_ts",
        ),
        "make series of your own, or take one of psann.datasets",
    ),
    **dict.fromkeys(
        ("count_params", "dense_mlp_params", "geo_sparse_net_params", "match_dense_width"), _COUNT
    ),
}
"""Name that `psann` had -> what to do instead."""

RENAMED_KEYS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("hisso", "trans_cost"): ("hisso", "transition_penalty"),
    ("hisso", "episodes_per_batch"): ("hisso", "batch_episodes"),
}
"""Key of a configuration -> its name now; a configuration is translated, Python is not."""

CONFIG_KEYS: dict[tuple[str, ...], str] = {
    ("episodic",): "name the section hisso",
    **{("data", name): "write data.prices" for name in ("csv", "file", "parquet", "path")},
    ("hisso", "allocation_transform"): "write hisso.primary_transform",
    ("hisso", "amp"): "write hisso.mixed_precision",
    ("hisso", "episode_batch_size"): "write hisso.batch_episodes",
    ("hisso", "episode_length"): "write hisso.window",
    ("hisso", "extras"): "remove it: extra outputs are no part of psann",
    ("hisso", "input_noise_std"): "write hisso.input_noise",
    ("hisso", "noisy"): "write hisso.input_noise",
    ("hisso", "price_matrix"): "give prices_train, prices_val and prices_test in the data",
    ("hisso", "reward_fn"): "write hisso.reward",
    ("hisso", "reward_kwargs"): "write hisso.reward: {target: ..., kwargs: {...}}",
    ("hisso", "use_amp"): "write hisso.mixed_precision",
    ("hisso", "warm_start"): "write hisso.supervised",
    ("training", "amp"): "write hisso.mixed_precision",
    ("training", "hisso"): "write hisso.enabled",
    ("training", "lr_max"): "write training.lr",
    ("training", "lr_min"): "write training.lr_schedule: {name: linear, lr_min: ...}",
    ("training", "noisy"): "write hisso.input_noise, or the estimator's parameter input_noise",
    **{
        (section, f"hisso_{name}"): f"write hisso.{instead}"
        for section in ("hisso", "training")
        for name, instead in (
            ("batch_episodes", "batch_episodes"),
            ("context_extractor", "context_extractor"),
            ("primary_transform", "primary_transform"),
            ("reward_fn", "reward"),
            ("supervised", "supervised"),
            ("trans_cost", "transition_penalty"),
            ("transition_penalty", "transition_penalty"),
            ("updates_per_epoch", "updates_per_epoch"),
            ("window", "window"),
        )
    },
}
"""Key of a configuration -> what to do instead."""

PARAMETERS: dict[str, str] = {
    "activation_type": "write activation: psann, tanh or relu",
    "amp": "write hisso.mixed_precision",
    "amp_dtype": "write hisso.amp_dtype",
    "architecture": f"choose the class: {_CLASSES}",
    "attention": "remove it: this release has no attention layer",
    "bias": f"remove it: {_NO_GRAPH}",
    "compute_mode": f"remove it: {_NO_GRAPH}",
    "context_builder": "compute the context and give it: context_train, context_val and "
    "context_test in the data of a configuration, context of fit",
    "context_builder_params": "compute the context and give it, as for context_builder",
    "context_dim": "remove it: it is the width of the context that is given",
    "drop_path_max": "remove it: this release drops no paths",
    "extras": "remove it: extra outputs are no part of psann",
    "grad_clip_norm": "write clip_norm",
    "hidden_width": "write hidden_units",
    "loss_params": "write a function (outputs, targets) with these values as loss",
    "loss_reduction": "remove it: a loss gives one number per output, and their mean counts",
    "noisy": "write input_noise",
    "num_workers": "remove it: the data stay on the device, there is no data loader",
    "output_shape": "remove it: it follows from y",
    "preprocessor": _PIPELINE,
    "stream_lr": "remove it: this release has no streaming updates",
    "w0_first": "write first_layer_w0 of psann.WaveResNetRegressor, or w0",
    "w0_hidden": "write w0",
    **dict.fromkeys(
        ("compile", *(f"compile_{x}" for x in ("backend", "dynamic", "fullgraph", "mode"))),
        "write training.engine",
    ),
    **dict.fromkeys(
        ("conv_channels", "conv_kernel_size", "per_element"), f"remove it: {_NO_CONVOLUTION}"
    ),
    **dict.fromkeys(
        (
            *("gate_groups", "gate_init", "gate_strength", "gate_type", "k_fft"),
            *("phase_init", "phase_trainable", "use_spectral_gate"),
        ),
        f"remove it: {_NO_GATE}",
    ),
    **dict.fromkeys(
        ("geo_seed", "k", "offsets", "pattern", "radius", "shape", "wrap_mode"),
        f"remove it: {_NO_GRAPH}",
    ),
    **dict.fromkeys(
        ("lsm", "lsm_lr", "lsm_pretrain_epochs", "lsm_train"), f"remove it: {_NO_EXPANDER}"
    ),
    "pool": f"remove it: {_NO_GATE}; psann.AssetwiseRegressor has pooling",
    **dict.fromkeys(
        ("scaler_params", "target_scaler_params"),
        "give the scaler itself, with its parameters; a configuration names it, standard or minmax",
    ),
}
"""Parameter of the estimators, in Python and in a configuration -> what to do instead."""

_ONLY_IN_PYTHON: dict[str, str] = {
    # Translated in a configuration, or taken by another class.
    "early_stopping": "write patience, a number of epochs; None never stops early",
    "norm": "remove it, or take psann.WaveResNetRegressor, which has it",
    **dict.fromkeys(
        ("data_format", "preserve_shape"), "write layout, which says what the axes of X are"
    ),
    "residual_alpha_init": "take psann.ResPSANNRegressor, which has it",
    "w0": "write first_layer_w0 and hidden_w0",
    **dict.fromkeys(
        ("state", "state_reset", "stateful"),
        "take psann.PSANNRegressor or psann.ResPSANNRegressor, which have it",
    ),
    **dict.fromkeys(
        (
            *("dropout", "first_layer_w0", "first_layer_w0_initial", "hidden_w0"),
            *("hidden_w0_initial", "progressive_depth_growth", "progressive_depth_initial"),
            *("progressive_depth_interval", "use_film", "use_phase_shift", "w0_warmup_epochs"),
        ),
        "take psann.WaveResNetRegressor, which has it",
    ),
}

_FIT_KEYWORDS: dict[str, str] = {
    **{
        path[-1]: cure
        for path, cure in CONFIG_KEYS.items()
        if path[0] == "training" and path[-1].startswith(("hisso_", "lr_"))
    },
    "noisy": "write input_noise of the constructor, or hisso.input_noise",
    "verbose": "leave it out; observers=[...] watch a fit (psann.training.observers)",
}

_KEYWORDS = {"__init__": {**PARAMETERS, **_ONLY_IN_PYTHON}, "fit": _FIT_KEYWORDS}
_HISSO_KEY = re.compile(r"\bhisso\.(\w+)(: \w+)?")


def name_answer(name: str) -> str | None:
    """What to say to somebody who asks the package for a published name; None for other names."""
    cure = NAMES.get(name)
    if cure is None:
        return None
    return f"psann.{name} is of psann 0.12 or 2.0; {_in_python(cure)}. {_SEE}."


def is_from_import(frame: FrameType) -> bool:
    """Whether `frame`, which asked a package for a name, is that of ``from package import name``.

    Python takes an AttributeError there for "look for a file of that name", and loses its words.
    """
    return frame.f_code.co_name == "_handle_fromlist"


def hisso_key_answer(key: str) -> str | None:
    """The cure for a published key of the mapping `hisso`; None for other keys."""
    renamed = RENAMED_KEYS.get(("hisso", key))
    if renamed is not None:
        return f"write {'.'.join(renamed)}"
    cure = CONFIG_KEYS.get(("hisso", key))
    return _in_python(CONFIG_KEYS["training", key]) if key.startswith("lr_") else cure


def answers_published(function: Callable[P, R]) -> Callable[P, R]:
    """Let a constructor or `fit` answer keywords of the published package with the new spelling.

    Keywords that the function takes are its own. What is called with none of the others, and its
    signature, stay what they are.

    Raises
    ------
    TypeError
        When the function returned is called with such keywords: one line for each, and for those
        of `fit` that became keys of ``hisso`` one mapping to copy.
    """
    own = inspect.signature(function).parameters.keys()
    answers = {k: v for k, v in _KEYWORDS[function.__name__].items() if k not in own}

    @functools.wraps(function)
    def answering(*args: P.args, **kwargs: P.kwargs) -> R:
        is_switch = "hisso" in own and isinstance(kwargs.get("hisso"), bool)
        if is_switch or not answers.keys().isdisjoint(kwargs):
            name = type(args[0]).__name__
            called = name if function.__name__ == "__init__" else f"{name}.fit"
            raise TypeError("\n".join(_keyword_problems(called, answers, kwargs)))
        return function(*args, **kwargs)

    return answering


def _keyword_problems(
    called: str, answers: Mapping[str, str], given: Mapping[str, Any]
) -> list[str]:
    """One sentence for each keyword, and one for all that are keys of `hisso` now."""
    taken = {k: answers[k] for k in given if k in answers}
    moved = {k: cure for k, cure in taken.items() if k.startswith("hisso_")}
    switch = given.get("hisso")
    cures = {k: _in_python(cure) for k, cure in taken.items() if k not in moved}
    if moved or isinstance(switch, bool):
        new = {cure.removeprefix("write hisso."): given[k] for k, cure in moved.items()}
        mapping = ", ".join(f"{key!r}: {_shown(value)}" for key, value in new.items())
        old = [f"hisso={switch}"] * isinstance(switch, bool) + list(moved)
        cures[", ".join(old)] = (
            "leave it out: that trains on targets"
            if switch is False
            else f"write hisso={{{mapping}}}"
        )
    problems = [f"{called} takes no {k}, as psann 0.12 did; {cure}." for k, cure in cures.items()]
    return [*problems, f"{_SEE}."]


def _shown(value: object) -> str:
    """A value as it can be typed again; dots for what has no short spelling."""
    is_plain = value is None or isinstance(value, bool | int | float | str)
    return repr(value) if is_plain else "..."


def _in_python(cure: str) -> str:
    """A cure with keys of a configuration spelt as arguments."""
    cure = _HISSO_KEY.sub(lambda m: f"hisso={{'{m[1]}': {_value(m[2])}}} of fit", cure)
    cure = cure.replace("{name: linear, lr_min: ...}", "{'name': 'linear', 'lr_min': ...}")
    return re.sub(r"(?<![.\w])training\.(\w+)", r"\1 of the constructor", cure)


def _value(given: str | None) -> str:
    return "..." if given is None else repr(given.removeprefix(": "))


def is_checkpoint_of_torch(data: bytes) -> bool:
    """Whether a file begins as `torch.save` makes them, as the published package did.

    Its archives begin with the entry ``NAME/data.pkl``; before torch 1.6 there was a pickle alone.
    """
    n_name = int.from_bytes(data[26:28], "little")
    is_archive = data[:4] == b"PK\x03\x04" and data[30 : 30 + n_name].endswith(b"/data.pkl")
    return is_archive or data[:2] == b"\x80\x02"


CHECKPOINT_ANSWER = (
    "is a file of torch.save, as psann 0.12 and 2.0 wrote their checkpoints (.pt). Such files hold "
    "code, which is never run here. Train anew with the same settings; what is saved then is a "
    f".safetensors file. {_SEE}"
)
