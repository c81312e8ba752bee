"""Configurations for tests: a whole one, the least one, and many that are refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from psann.run.config.load import load_run_config
from psann.run.config.model import RunConfig

SAMPLE = """\
mode: train
estimator:
  target: psann.WaveResNetRegressor
  params: {hidden_layers: 1, hidden_units: 4, w0_warmup_epochs: 2, weight_decay: 0.01}
hisso:
  enabled: true
  window: 8
  batch_episodes: 2
  updates_per_epoch: 2
  reward: {target: mean_variance, kwargs: {risk_aversion: 2.0}}
  context_extractor: null
  primary_transform: softmax
  transition_penalty: 0.001
  input_noise: 0.0
  supervised:
    y_key: y_train
    epochs: 2
    batch_size: 16
    lr: 0.01
    weight_decay: 0.0
    shuffle: true
  mixed_precision: false
  amp_dtype: float16
data:
  loader: psann.datasets.make_toy_hisso
  kwargs:
    steps: 96
    features: 4
    seed: 3
training:
  epochs: 3
  batch_size: 16
  patience: 2
  lr: 0.01
  lr_schedule: {name: cosine, lr_min: 1e-5, warmup_epochs: 1}
  monitor: auto
  seeds: 1
  engine: auto
  threads: 1
  on_nonfinite: stop
  checkpoint_every_s: 30
evaluation:
  portfolio_prices_key: prices_test
  trans_cost: 0.001
  initial: cash
  periods_per_year: 252
seed: 7
device: cpu
"""


TEMPLATES = sorted((Path(__file__).parents[1] / "configs" / "hisso").glob("*.yaml"))


def loaded(folder: Path, text: str, **options: Any) -> RunConfig:
    """Read a text as `run.yaml` is read."""
    file = folder / "run.yaml"
    file.write_text(text)
    return load_run_config(file, **options)


MINIMAL = "estimator: {target: psann.PSANNRegressor}\ndata: {npz: a.npz}\n"


# Changes of the sample (path -> value; None as path: text appended), and what must be said.
BAD: dict[str, tuple[str, str, str]] = {
    # name: (old text, new text, message)
    "unknown mode": ("mode: train", "mode: tune", "line 1: mode must be one of train, fine_tune"),
    "mode misspelt": ("mode: train", "mode: trian", "got \"trian\". Did you mean 'train'?"),
    "no mode": ("mode: train", "mode: null", "line 1: mode must be one of"),
    "fine_tune from nothing": ("mode: train", "mode: fine_tune", "init_from: mode fine_tune needs"),
    "evaluate nothing": ("mode: train", "mode: evaluate", "init_from: mode evaluate needs"),
    "train from something": (
        "mode: train",
        "init_from: a",
        "line 1: init_from: has no effect in mode train",
    ),
    "no target": ("target: psann.Wave", "goal: psann.Wave", "estimator.target is missing"),
    "target is a list": (
        "target: psann.WaveResNetRegressor",
        "target: [a]",
        'line 3: estimator.target must be text; got ["a"]',
    ),
    "params are a list": (
        "{hidden_layers: 1, hidden_units: 4, w0_warmup_epochs: 2, weight_decay: 0.01}",
        "[1]",
        "line 4: estimator.params must be a mapping; got [1]",
    ),
    "estimator is text": (
        "estimator:\n  target: psann.WaveResNetRegressor\n  params:",
        "estimator: psann.PSANNRegressor\nseed1:",
        "line 2: estimator must be a mapping",
    ),
    "window 1": (
        "window: 8",
        "window: 1",
        "line 7: hisso.window must be a whole number of at least 2 and of at most 10000000; got 1.",
    ),
    "window 8.5": ("window: 8", "window: 8.5", "line 7: hisso.window must be a whole number"),
    "window 8.0": ("window: 8", "window: 8.0", "line 7: hisso.window must be a whole number"),
    "window as text": ("window: 8", "window: '8'", "line 7: hisso.window must be a whole number"),
    "window true": ("window: 8", "window: true", "hisso.window must be a whole number of at least"),
    "window a list": ("window: 8", "window: [8]", "line 7: hisso.window must be a whole number"),
    "no episodes": ("batch_episodes: 2", "batch_episodes: 0", "line 8: hisso.batch_episodes must"),
    "no updates": (
        "updates_per_epoch: 2",
        "updates_per_epoch: 0",
        "line 9: hisso.updates_per_epoch must be a whole number of at least 1 and of at most",
    ),
    "yes": ("enabled: true", "enabled: yes", 'must be true or false; got "yes". Write true.'),
    "enabled 1": ("enabled: true", "enabled: 1", "line 6: hisso.enabled must be true or false"),
    "reward a number": (
        "reward: {target: mean_variance, kwargs: {risk_aversion: 2.0}}",
        "reward: 3",
        "line 10: hisso.reward must be text, or a mapping, or null; got 3.",
    ),
    "reward without target": (
        "reward: {target: mean_variance,",
        "reward: {",
        "line 10: hisso.reward.target is missing",
    ),
    "reward with another key": (
        "kwargs: {risk_",
        "kwarg: {risk_",
        "line 10: hisso.reward.kwarg is no known key. Did you mean 'kwargs'?",
    ),
    "unknown transform": (
        "primary_transform: softmax",
        "primary_transform: softmx",
        "Did you mean 'softmax'?",
    ),
    "negative penalty": (
        "transition_penalty: 0.001",
        "transition_penalty: -0.1",
        "hisso.transition_penalty must be a number of at least 0, or a list, or text; got -0.1.",
    ),
    "infinite penalty": (
        "transition_penalty: 0.001",
        "transition_penalty: .inf",
        "line 13: hisso.transition_penalty must be a finite number",
    ),
    "warm start of no epochs": (
        "    epochs: 2",
        "    epochs: 0",
        "line 17: hisso.supervised.epochs must be a whole number of at least 1 and of at most",
    ),
    "unknown warm-start key": (
        "    shuffle: true",
        "    shufle: true",
        "line 21: hisso.supervised.shufle is no known key. Did you mean 'shuffle'?",
    ),
    "amp type": ("amp_dtype: float16", "amp_dtype: float32", "hisso.amp_dtype must be one of"),
    "no source": (
        "loader: psann.datasets.make_toy_hisso",
        "loader: null",
        "data: give prices (a table), npz (a file) or loader (a function)",
    ),
    "two sources": (
        "loader: psann.datasets.make_toy_hisso",
        "loader: a.b\n  npz: a.npz",
        "data: npz cannot be combined with loader",
    ),
    "kwargs of an archive": (
        "loader: psann.datasets.make_toy_hisso",
        "npz: a.npz",
        "data: npz cannot be combined with kwargs",
    ),
    "a loader that is mapped": (
        "loader: psann.datasets.make_toy_hisso",
        "loader: psann.datasets.make_toy_hisso\n  mmap: true",
        "data: mmap has no effect on loader",
    ),
    "misspelt section": ("data:", "daat:", "daat is no known key. Did you mean 'data'?"),
    "no epochs": ("  epochs: 3", "  epochs: 0", "training.epochs must be a whole number of at"),
    "negative lr": (
        "  lr: 0.01",
        "  lr: -1",
        "hisso.supervised.lr must be a number greater than 0",
    ),
    "unknown schedule": (
        "name: cosine",
        "name: cosin",
        "training.lr_schedule.name must be one of constant, linear, cosine, one_cycle, step",
    ),
    "schedule a number": (
        "lr_schedule: {name: cosine, lr_min: 1e-5, warmup_epochs: 1}",
        "lr_schedule: 3",
        "one of constant, linear, cosine, one_cycle, step, or a mapping; got 3.",
    ),
    "idle schedule key": (
        "name: cosine, lr_min: 1e-5",
        "name: step, lr_min: 1e-5",
        "training.lr_schedule: lr_min has no effect on the schedule 'step'",
    ),
    "warm-up beyond the end": (
        "warmup_epochs: 1}",
        "warmup_epochs: 5}",
        "line 35: training.lr_schedule: warmup_epochs must be at most epochs, 3, or lr is never",
    ),
    "schedule that climbs": (
        "lr_min: 1e-5",
        "lr_min: 0.02",
        "lr_min must be at most lr, 0.01, from where the rate falls; got 0.02",
    ),
    "unknown monitor": ("monitor: auto", "monitor: valloss", "training.monitor must be one of"),
    "no seeds": ("seeds: 1", "seeds: 0", "training.seeds must be a whole number of at least 1"),
    "too many seeds": ("seeds: 1", "seeds: 1001", "training.seeds must be"),
    "unknown engine": (
        "engine: auto",
        "engine: fast",
        "training.engine must be one of auto, eager",
    ),
    "no threads": ("threads: 1", "threads: 0", "training.threads must be a whole number of at le"),
    "ignore nonfinite": ("on_nonfinite: stop", "on_nonfinite: ignore", "must be one of stop, skip"),
    "commits never": ("every_s: 30", "every_s: 0", "checkpoint_every_s must be a number greater"),
    "prices key a number": (
        "key: prices_test",
        "key: 3",
        "evaluation.portfolio_prices_key must be",
    ),
    "cost of everything": (
        "  trans_cost: 0.001",
        "  trans_cost: 1",
        "must be a number of at least 0 and less than 1, or a list, or text, or null; got 1.",
    ),
    "holdings": ("initial: cash", "initial: Cash", "got \"Cash\". Did you mean 'cash'?"),
    "no periods": ("per_year: 252", "per_year: 0", "evaluation.periods_per_year must be a number"),
    "negative seed": (
        "seed: 7",
        "seed: -1",
        "line 47: seed must be a whole number of at least 0 and of at most 4294967295; got -1.",
    ),
    "large seed": ("seed: 7", "seed: 4294967296", "seed must be a whole number"),
    "seed as text": ("seed: 7", "seed: '7'", "seed must be a whole number of at least 0"),
    "gpu": ("device: cpu", "device: gpu", "line 48: device must be text such as auto, cpu, cuda,"),
    "cuda:-1": ("device: cpu", "device: cuda:-1", "line 48: device must be text such as"),
    "key of another section": (
        "seed: 7",
        "window: 7",
        "line 47: window is no known key. Did you mean 'hisso.window'?",
    ),
    "unheard-of key": (
        "seed: 7",
        "zebra: 7",
        "run.yaml line 47: zebra is no known key. Known here: mode, estimator, hisso",
    ),
    "recorded digest": ("seed: 7", "recorded: {npz_sha256: abc}", "recorded.npz_sha256 must be"),
    "digest of no archive": (
        "seed: 7",
        f"recorded: {{npz_sha256: {'a' * 64}}}",
        "recorded: npz_sha256 has no effect without a file in data.npz: remove it.",
    ),
    "digest of no table": (
        "seed: 7",
        f"recorded: {{universe_sha256: {'a' * 64}}}",
        "recorded: universe_sha256 has no effect without a file in data.universe: remove it.",
    ),
    "digest of no parent": (
        "seed: 7",
        f"recorded: {{init_from_sha256: {'a' * 64}}}",
        "recorded: init_from_sha256 has no effect without init_from: remove it.",
    ),
    "masked secret": (
        "    steps: 96",
        "    password: '***'",
        "line 27: data.kwargs.password holds a masked secret (***); give it by --set",
    ),
    "contradiction": (
        "weight_decay: 0.01}",
        "lr: 0.5}",
        "line 4: estimator.params.lr is 0.5, but training.lr is 0.01 (run.yaml line 34)",
    ),
    "contradicting seed": (
        "weight_decay: 0.01}",
        "random_state: 5}",
        "estimator.params.random_state is 5, but seed is 7 (run.yaml line 47); keep one of them.",
    ),
}


def merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Put one configuration over another, as deep as both go."""
    content = dict(base)
    for key, value in own.items():
        both = isinstance(value, Mapping) and isinstance(content.get(key), Mapping)
        content[key] = merged(content[key], value) if both else value
    return content
