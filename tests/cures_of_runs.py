"""What a run is asked for, and what its messages say to ask instead."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Asked:
    """What a run is asked for: overrides, in which files are `{npz}` and the like, and the rest."""

    overrides: tuple[str, ...] = ()
    how: dict[str, Any] = field(default_factory=dict)


def ask(*overrides: str, **how: Any) -> Asked:
    return Asked(overrides, how)


TUNE: dict[str, Any] = {"mode": "fine_tune", "init_from": "{parent}"}
JUDGE: dict[str, Any] = {"mode": "evaluate", "init_from": "{parent}"}
USUAL = ask()
NO_VALIDATION = "data.kwargs={without: [X_val, y_val, prices_val, time_val]}"
NO_TEST = "without: [X_test, y_test, prices_test, time_test]"
TABLE = "data={prices: '{prices}', split: {val: 0.2, test: 0.2}}"
BESIDE = "data={prices: '{table with spreads}', split: {val: 0.2, test: 0.2}}"
OFF = "hisso={enabled: false}"


OWN = (
    *("hisso.reward=user_rewards:scaled", "hisso.primary_transform=bounded"),
    *("hisso.low=-1", "hisso.high=1"),
)
EXCESS = (
    *("hisso.reward=excess", "hisso.reward_inputs=[benchmark]"),
    "data.loader=trials.market_with_benchmark",
)
SPREADS = ("data.loader=trials.market_with_spreads", "evaluation.trans_cost=spread")


def odd(change: str) -> str:
    return f"data={{loader: odd_loaders.odd, kwargs: {{change: {change}}}}}"


# Text of the message: what meets it, then everything that it says to do instead.
CURES: dict[str, tuple[Asked, ...]] = {
    "or the process more memory (ulimit -v, that of the job)": (
        ask("data={loader: odd_loaders.with_scratch, kwargs: {n_numbers: 1000000000000000}}"),
        ask("data={loader: odd_loaders.with_scratch, kwargs: {n_numbers: 1000}}"),
    ),
    # Configurations.
    "give prices (a table), npz (a file) or loader (a function)": (
        ask("data={}"),
        ask(TABLE),
        ask("data={npz: '{npz}'}"),
        ask("data={loader: trials.market}"),
    ),
    "remove one of the two sources (on the command line: --set 'data={": (
        ask("data.npz={npz}"),
        ask("data={npz: '{npz}'}"),
        USUAL,
    ),
    "say how prices are read: give prices, or remove it": (
        ask("data.split={val: 0.2, test: 0.2}"),
        ask(TABLE),
        USUAL,
    ),
    "remove mmap; a loader may return numpy.load(path, mmap_mode='r')": (
        ask("data.mmap=true"),
        USUAL,
        ask("data={loader: odd_loaders.mapped, kwargs: {folder: '{folder}'}}"),
    ),
    "has no effect in mode train; remove it, or write mode: fine_tune": (
        ask("init_from={parent}"),
        USUAL,
        ask("init_from={parent}", "mode=fine_tune"),
    ),
    "restore the file, or remove this key if the change is meant": (
        ask("data={npz: '{npz}'}", f"recorded.npz_sha256='{'0' * 64}'"),
        ask("data={npz: '{npz}'}", "recorded.npz_sha256='{sha256}'"),
        ask("data={npz: '{npz}'}"),
    ),
    "is set by psann, from {}; remove it": (
        ask("hisso.reward={target: trials.log_growth, kwargs: {transition_penalty: 0.1}}"),
        ask("hisso.reward={target: trials.log_growth}", "hisso.transition_penalty=0.1"),
    ),
    "holds a masked secret (***); give it by --set {}=VALUE": (
        ask("estimator.params.scaler='***'"),
        ask("estimator.params.scaler=standard"),
    ),
    "an unset one is empty: write the path out": (
        ask("data={npz: '$NOWHERE/market.npz'}"),
        ask("data={npz: '{npz}'}"),
    ),
    "n_trials has no effect in mode {}, which counts them: remove it": (
        ask("evaluation.n_trials=3"),
        USUAL,
    ),
    "withhold_test leaves rows shut that walk_forward and placebo judge; remove": (
        ask("evaluation.withhold_test=true", "evaluation.placebo=1"),
        ask("evaluation.placebo=1"),
        ask("evaluation.withhold_test=true"),
    ),
    "(hisso.n_actions, or the transform): remove it": (
        ask(*OWN, "evaluation.portfolio_prices_key=prices_val"),
        ask(*OWN),
    ),
    "write those or train from scratch": (
        ask(*OWN, "hisso.high=2", mode="fine_tune", init_from="{parent of own actions}"),
        ask(*OWN, mode="fine_tune", init_from="{parent of own actions}"),
        ask(*OWN, "hisso.high=2"),
    ),
    "would not go any more. Write placebo: 0": (
        ask("evaluation.placebo=1", *EXCESS),
        ask("evaluation.placebo=0", *EXCESS),
    ),
    "Write a number, or use another reward": (
        ask(*SPREADS, "hisso.reward=negative_mse"),
        ask(*SPREADS, "hisso.reward=negative_mse", "evaluation.trans_cost=0.001"),
        ask(*SPREADS, "hisso.reward=sharpe"),
    ),
    "Write `arrays: [{}]` in data, or take it out there": (
        ask(BESIDE, "evaluation.trans_cost=spread", "data.assets=[AAA, BBB]"),
        ask(BESIDE, "evaluation.trans_cost=spread", "data.arrays=[spread]"),
        ask(BESIDE, "evaluation.trans_cost=0.001", "data.assets=[AAA, BBB]"),
    ),
    # Targets.
    "reaches into Python's inner names (__...__); name a class or a function": (
        ask("hisso.reward=trials:log_growth.__globals__"),
        ask("hisso.reward=trials:log_growth"),
    ),
    "belongs to Python itself, which no target may call. Write a function": (
        ask("hisso.reward=os.system"),
        ask("hisso.reward=trials.log_growth"),
    ),
    "belongs to the library {}. Write a function in a module of your own": (
        ask("hisso.reward=scipy.stats.gmean"),
        ask("hisso.reward=trials.log_growth"),
    ),
    # Data.
    "Give more rows or lower hisso.window": (
        ask("hisso.window=40"),
        ask("hisso.window=39"),
        ask("hisso.window=40", odd("longer")),
    ),
    "Name another array, or cut it to the same assets": (
        ask("hisso.supervised={y_key: labels}", odd("labels of three columns")),
        ask("hisso.supervised={y_key: y_train}", odd("labels of three columns")),
        ask("hisso.supervised={y_key: labels}", odd("labels cut to two")),
    ),
    'Write it as numpy.array(["AAPL", "XOM", ...])': (
        ask("data.kwargs={names: [1, 2]}"),
        ask("data.kwargs={names: [AAPL, XOM]}"),
    ),
    "Add X_{} or set the key to null": (
        ask(
            f"data.kwargs={{copies: {{closing: prices_test}}, {NO_TEST}}}",
            "evaluation.portfolio_prices_key=closing",
        ),
        ask(
            "data.kwargs={copies: {closing: prices_test}}",
            "evaluation.portfolio_prices_key=closing",
        ),
        ask(
            f"data.kwargs={{copies: {{closing: prices_test}}, {NO_TEST}}}",
            "evaluation.portfolio_prices_key=null",
        ),
    ),
    "Add X_{} or leave {}_{} out": (
        ask("data.kwargs={without: [X_val, prices_val, time_val]}"),
        USUAL,
        ask(NO_VALIDATION),
    ),
    "Add it, or leave the {} split out": (
        ask("hisso.reward=negative_mse", "data.kwargs={without: [y_val]}"),
        ask("hisso.reward=negative_mse"),
        ask("hisso.reward=negative_mse", NO_VALIDATION),
    ),
    "Use the same columns in every split": (
        ask(odd("other columns")),
        ask(odd("the same columns")),
    ),
    "must be one column of prices; got {}. Choose one of them": (
        ask(odd("two benchmarks")),
        ask(odd("one of two benchmarks")),
    ),
    "Give prices of the same assets in the same order": (ask(odd("three prices")), USUAL),
    "Check for splits of shares and wrong ticks": (ask(odd("a jump")), ask(odd("a jump adjusted"))),
    "Write it so, or take data.mmap away": (
        ask("data={npz: '{packed}', mmap: true}"),
        ask("data={npz: '{npz}', mmap: true}"),
        ask("data={npz: '{packed}'}"),
    ),
    "must return a mapping of array names to arrays": (ask(odd("a list")), USUAL),
    "Use names such as 'X_train'": (ask(odd("numbered")), USUAL),
    # What only data and configuration together tell.
    "Give validation rows, or write monitor: auto": (
        ask("training.monitor=val_loss", NO_VALIDATION),
        ask("training.monitor=val_loss"),
        ask("training.monitor=auto", NO_VALIDATION),
    ),
    "Add it, or leave the validation split out": (
        ask("data.kwargs={without: [prices_val]}"),
        USUAL,
        ask(NO_VALIDATION),
    ),
    "Write val_loss, train_loss or auto": (
        ask("training.monitor=val_reward", OFF),
        *(ask(f"training.monitor={name}", OFF) for name in ("val_loss", "train_loss", "auto")),
    ),
    "must not be given in mode fine_tune: the parent may have seen": (
        ask("evaluation.placebo=1", **TUNE),
        ask("evaluation.placebo=1", mode="train"),
    ),
    "makes of X. Write placebo: 0.": (
        ask("evaluation.placebo=1", "hisso.context_extractor=trials.cumulative_features"),
        ask("evaluation.placebo=0", "hisso.context_extractor=trials.cumulative_features"),
    ),
    "which halts and ends do not survive. Write placebo: 0.": (
        ask("evaluation.placebo=1", odd("halted")),
        ask("evaluation.placebo=0", odd("halted")),
    ),
    "Judge or validate fewer rows": (
        ask(
            "evaluation.walk_forward={folds: 1, validation: 60}", "data={loader: trials.continuous}"
        ),
        ask(
            "evaluation.walk_forward={folds: 1, validation: 20}", "data={loader: trials.continuous}"
        ),
    ),
    "got none. Add them, or say": (
        ask("evaluation.walk_forward={folds: 1, every: month}"),
        ask("evaluation.walk_forward={folds: 1, every: month}", "data={loader: trials.dated}"),
        ask("evaluation.walk_forward={folds: 1}", "data={loader: trials.continuous}"),
    ),
    # Parents.
    "write that (one row later is shown beside it), or train from scratch": (
        ask("hisso.delay=1", **TUNE),
        ask("hisso.delay=0", **TUNE),
        ask("hisso.delay=1"),
    ),
    "remove the key or train from scratch": (
        ask("estimator.params.activation=tanh", **TUNE),
        ask(**TUNE),
        ask("estimator.params.activation=tanh"),
    ),
    "write that or train from scratch": (
        ask("hisso.primary_transform=tanh", **TUNE),
        ask("hisso.primary_transform=softmax", **TUNE),
        ask("hisso.primary_transform=tanh"),
    ),
    "Write hisso: {enabled: true, primary_transform: {}}, or mode: train": (
        ask(OFF, mode="fine_tune", init_from="{parent with cash}"),
        ask(
            "hisso.enabled=true",
            "hisso.primary_transform=softmax_cash",
            mode="fine_tune",
            init_from="{parent with cash}",
        ),
        ask(OFF, mode="train"),
    ),
    "Write another transform, such as softmax, or mode: train": (
        ask(
            "hisso.primary_transform=softmax_cash",
            mode="fine_tune",
            init_from="{parent of targets}",
        ),
        ask("hisso.primary_transform=softmax", mode="fine_tune", init_from="{parent of targets}"),
        ask("hisso.primary_transform=softmax_cash", mode="train"),
    ),
    "has no actions to evaluate; write hisso: {enabled: false}": (
        ask(mode="evaluate", init_from="{parent of targets}"),
        ask(OFF, mode="evaluate", init_from="{parent of targets}"),
    ),
    "Give seed and training.seeds as that run had them, or training.seeds: 1": (
        ask("seed=5", "training.seeds=2", mode="evaluate", init_from="{parent of seeds}"),
        ask("seed=3", "training.seeds=2", mode="evaluate", init_from="{parent of seeds}"),
        ask("training.seeds=1", mode="evaluate", init_from="{parent of seeds}"),
    ),
    "Restore them, or start a new run": (
        ask("data={npz: '{npz}'}", name="stopped", resume=True, spoil="npz"),
        ask("data={npz: '{npz}'}", name="stopped", resume=True),
        ask("data={npz: '{npz}'}", name="another", spoil="npz"),
    ),
    "{}: remove it": (
        ask("recorded.init_from_sha256='{sha256}'"),
        USUAL,
    ),
    "Rows are time; reshape it.": (
        ask(odd("targets in a cube")),
        ask(odd("targets in a matrix")),
    ),
    "Set evaluation.periods_per_year to": (
        ask("data={loader: trials.dated}"),
        ask("data={loader: trials.dated}", "evaluation.periods_per_year=365"),
    ),
    # Run directories.
    "must be a manifest of checkpoints": (
        ask(name="stopped", resume=True, spoil="checkpoints/manifest.json"),
        ask(name="stopped"),
    ),
    "Put back a sound copy of it, or move it away": (
        ask(name="stopped", resume=True, spoil="events.csv"),
        ask(name="stopped", resume=True),
        ask(name="stopped", resume=True, without="events.csv"),
    ),
    "cannot be gone on with: {}. Move the run directory away and start anew": (
        ask(name="stopped", resume=True, spoil="provenance.json"),
        ask(name="stopped"),
    ),
    "give --resume to go on with it, or --overwrite to set it aside": (
        ask(name="parent"),
        ask(name="another"),
        ask("training.epochs=1", name="parent", resume=True),
        ask(name="parent", overwrite=True),
    ),
    "which --init-from reads. Choose another --run-name": (
        ask(**TUNE, name="parent", overwrite=True),
        ask(**TUNE, name="tuned", overwrite=True),
    ),
    "nothing is written through links. Choose another --run-name or remove": (
        ask(name="link"),
        ask(name="another"),
    ),
    "is a file. Choose another --run-name": (ask(name="file"), ask(name="another")),
    # What is said of a training that went through.
    "give it primary_transform tanh or softmax_cash": (
        ask("data.kwargs={assets: 1}"),
        ask("data.kwargs={assets: 1}", "hisso.primary_transform=tanh"),
        ask("data.kwargs={assets: 1}", "hisso.primary_transform=softmax_cash"),
    ),
    "raise hisso.updates_per_epoch, or read epochs as updates": (
        ask("hisso.updates_per_epoch=1", "training.epochs=4"),
        ask("hisso.updates_per_epoch=2", "training.epochs=4"),
    ),
    "at 4 they are too large: lower it": (
        # Rates from 1 on end elsewhere on every processor.
        ask("hisso.temperature_scaling=true", "training.lr=0.1", "training.epochs=4"),
        ask("hisso.temperature_scaling=true", "training.lr=0.001", "training.epochs=4"),
    ),
    "the outputs are too small: raise training.lr": (
        ask("hisso.temperature_scaling=true", "training.lr=0.01", "training.epochs=4"),
        ask("hisso.temperature_scaling=true", "training.lr=0.05", "training.epochs=4"),
    ),
    "The best epoch is the last one: raise training.epochs": (
        ask("training.epochs=2"),
        ask("training.epochs=30", "training.lr=0.5"),
    ),
}

WITH_CONTEXT = ("estimator.target=psann.WaveResNetRegressor; data.kwargs={context: true}",)
# What a published key's message says to write, written.
WRITTEN: dict[str, tuple[str, ...]] = {
    "name the section hisso": ("hisso={window: 6}",),
    "write data.prices": ("data={prices: prices.csv}",),
    "write hisso.primary_transform": ("hisso.primary_transform=tanh",),
    "write hisso.mixed_precision": ("hisso.mixed_precision=true",),
    "write hisso.batch_episodes": ("hisso.batch_episodes=4",),
    "write hisso.window": ("hisso.window=6",),
    "remove it: extra outputs are no part of psann": (),
    "write hisso.input_noise": ("hisso.input_noise=0.1",),
    "give prices_train, prices_val and prices_test in the data": (),
    "write hisso.reward": ("hisso.reward=sharpe",),
    "write hisso.reward: {target: ..., kwargs: {...}}": (
        "hisso.reward={target: trials.log_growth, kwargs: {scale: 2.0}}",
    ),
    "write hisso.supervised": ("hisso.supervised=true",),
    "write hisso.enabled": ("hisso.enabled=true",),
    "write training.lr": ("training.lr=0.01",),
    "write training.lr_schedule: {name: linear, lr_min: ...}": (
        "training.lr_schedule={name: linear, lr_min: 0.001}",
    ),
    "write hisso.input_noise, or the estimator's parameter input_noise": (
        "hisso.input_noise=0.1",
        "estimator.params.input_noise=0.1",
    ),
    "write hisso.context_extractor": ("hisso.context_extractor=trials.cumulative_features",),
    "write hisso.transition_penalty": ("hisso.transition_penalty=0.001",),
    "write hisso.updates_per_epoch": ("hisso.updates_per_epoch=2",),
    "write activation: psann, tanh or relu": tuple(
        f"estimator.params.activation={kind}" for kind in ("psann", "tanh", "relu")
    ),
    "write hisso.amp_dtype": ("hisso.amp_dtype=bfloat16",),
    "choose the class: psann.PSANNRegressor, psann.ResPSANNRegressor or "
    "psann.WaveResNetRegressor": tuple(
        f"estimator.target=psann.{name}"
        for name in ("PSANNRegressor", "ResPSANNRegressor", "WaveResNetRegressor")
    ),
    "remove it: this release has no attention layer": (),
    "write training.engine": ("training.engine=eager",),
    "compute the context and give it: context_train, context_val and context_test in the data of "
    "a configuration, context of fit": WITH_CONTEXT,
    "compute the context and give it, as for context_builder": WITH_CONTEXT,
    "remove it: it is the width of the context that is given": WITH_CONTEXT,
    "remove it: this release flattens its inputs and has no convolutional body": (),
    "write hidden_units": ("estimator.params.hidden_units=6",),
    "remove it: this release has no LSM expander": (),
    "write input_noise": ("estimator.params.input_noise=0.1",),
    "remove it: the data stay on the device, there is no data loader": (),
    "remove it: this release has no streaming updates": (),
    "remove it: this release has no sparse geometric network": (),
    "remove it: this release has no spectral gate": (),
    "remove it: this release has no spectral gate; psann.AssetwiseRegressor has pooling": (
        "estimator={target: psann.AssetwiseRegressor, params: {pooling: mean, hidden_layers: 1}}; "
        "data={loader: trials.by_asset}",
    ),
    "remove it: this release drops no paths": (),
    "remove it: a loss gives one number per output, and their mean counts": (),
    "remove it: it follows from y": (),
    "write clip_norm": ("estimator.params.clip_norm=1.0",),
    "write a function (outputs, targets) with these values as loss": (
        "estimator.params.loss=user_rewards:quartic; hisso={enabled: false}",
    ),
    "put a transformer before the estimator in a Pipeline, or give it as scaler": (
        "estimator.params.scaler=standard",
    ),
    "write first_layer_w0 of psann.WaveResNetRegressor, or w0": (
        "estimator={target: psann.WaveResNetRegressor, params: {first_layer_w0: 20.0}}",
        "estimator.params.w0=20.0",
    ),
    "write w0": ("estimator.params.w0=20.0",),
    "give the scaler itself, with its parameters; a configuration names it, standard or minmax": (
        "estimator.params.scaler=standard",
        "estimator.params.scaler=minmax",
    ),
}

# Text of the message: what a file says, and what it says after the cure.
FILES: dict[str, tuple[str, str]] = {
    "({}); keep one of them.": (
        "estimator: {target: psann.PSANNRegressor, params: {lr: 0.1}}\ntraining: {lr: 0.02}",
        "estimator: {target: psann.PSANNRegressor}\ntraining: {lr: 0.02}",
    ),
    "the tag {} is not accepted; write plain values, and text between quotation": (
        "device: !!python/name:os.system cpu",
        'device: "cpu"',
    ),
    "merge keys (<<) are not accepted; write the keys out": (
        "training: {<<: {epochs: 1}}",
        "training: {epochs: 1}",
    ),
    "not UTF-8 (byte {}); save the file in the encoding UTF-8": (
        "# über\ndevice: cpu",
        "# über\ndevice: cpu",
    ),
    "is written twice (first in line {}); keep one of them": (
        "seed: 1\nseed: 2",
        "seed: 1",
    ),
    "a key of {} must be text; got {}. Put it in quotation marks": (
        "training: {epochs: 1}\nhisso: {reward: {target: trials.log_growth, kwargs: {1: 2}}}",
        "training: {epochs: 1}\nhisso: {reward: {target: trials.log_growth, kwargs: {'scale': 2}}}",
    ),
}
