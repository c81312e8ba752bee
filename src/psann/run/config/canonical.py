"""One place for every value: published spellings translated, repeated values brought together.

Configurations written for psann 0.12 keep working with the keys translated here; every other
published key is refused by name. `training`, `seed` and `device` are the home of values that the
estimator's constructor takes too.
"""

from __future__ import annotations

from typing import Any

from psann._model_problems import show
from psann._published import CONFIG_KEYS, PARAMETERS, RENAMED_KEYS
from psann._tree import MISSING, ConfigTree, Path

_PARAMS: Path = ("estimator", "params")

_LOADERS = {
    f"psann.scripts.hisso_log_run{mark}toy_hisso_dataset": "psann.datasets.make_toy_hisso"
    for mark in ".:"
}

TRAINING_PARAMETERS = (
    *("epochs", "batch_size", "patience", "lr", "lr_schedule", "monitor", "engine", "threads"),
    *("on_nonfinite", "max_skipped_updates"),
)
"""Parameters of every constructor whose home is the section `training`."""
# Constructor parameter -> where its value lives.
_HOMES: dict[str, Path] = {
    **{name: ("training", name) for name in TRAINING_PARAMETERS},
    "random_state": ("seed",),
    "device": ("device",),
}

# An empty section (`training:` with nothing below) reads as null, and means its defaults; the
# published command took these single nulls for the default too.
_NULL_IS_ABSENT: tuple[Path, ...] = (
    ("hisso",),
    ("training",),
    ("evaluation",),
    ("recorded",),
    _PARAMS,
    ("data", "kwargs"),
    ("hisso", "supervised"),
    ("hisso", "input_noise"),
    ("hisso", "window"),
    ("hisso", "batch_episodes"),
    ("hisso", "primary_transform"),
    ("hisso", "transition_penalty"),
    *RENAMED_KEYS,
    (*_PARAMS, "random_state"),
)


def make_canonical(tree: ConfigTree) -> None:
    """Bring every value under its one canonical key, in place.

    Parameters
    ----------
    tree : ConfigTree
        A configuration, or a part of one; it gets `notes` on what was translated, and `problems`
        for published keys without a counterpart and for values that contradict each other.
    """
    for path in _NULL_IS_ABSENT:
        if tree.get(path) is None:
            tree.pop(path)
    _refuse_replaced(tree)
    for old, new in RENAMED_KEYS.items():
        if _move(tree, old, new):
            _note(tree, old, f"became {'.'.join(new)}")
    _translate_loader(tree)
    _translate_verbose(tree)
    _translate_early_stopping(tree)
    _translate_hisso_lr(tree)
    for path in (("training", "lr_schedule"), (*_PARAMS, "lr_schedule")):
        name = tree.get(path)
        if isinstance(name, str):
            tree.set(path, {"name": name}, origin=tree.where(path))
    for name, home in _HOMES.items():
        _move(tree, (*_PARAMS, name), home)


def _refuse_replaced(tree: ConfigTree) -> None:
    replaced = dict(CONFIG_KEYS)
    target = tree.get(("estimator", "target"))
    # A user's own estimator may call its parameters what it likes.
    if not isinstance(target, str) or target.startswith("psann.") or "." not in target:
        replaced |= {(*_PARAMS, name): cure for name, cure in PARAMETERS.items()}
    for path, cure in replaced.items():
        if tree.get(path) is not MISSING:
            tree.refuse(path, f"is a key of psann 0.12; {cure}")
            tree.pop(path)


def _move(tree: ConfigTree, old: Path, new: Path) -> bool:
    """Move a value to its home, refusing it if the home holds another one."""
    value, there = tree.get(old), tree.get(new)
    home = tree.get(new[:-1])
    if value is MISSING or not (home is MISSING or isinstance(home, dict)):
        return False
    origin = tree.where(old)
    tree.pop(old)
    if there is MISSING:
        tree.set(new, value, origin=origin)
    elif there != value:
        tree.problems.append(
            f"{origin}: {'.'.join(old)} is {show(value)}, but {'.'.join(new)} is {show(there)} "
            f"({tree.where(new)}); keep one of them."
        )
    return True


def _note(tree: ConfigTree, path: Path, what: str) -> None:
    tree.notes.append(f"{'.'.join(path)} of psann 0.12 {what}")


def _translate_loader(tree: ConfigTree) -> None:
    path = ("data", "loader")
    loader = tree.get(path)
    if isinstance(loader, str) and loader in _LOADERS:
        tree.set(path, _LOADERS[loader], origin=tree.where(path))
        _note(tree, path, f"{loader} became {_LOADERS[loader]}")


def _translate_verbose(tree: ConfigTree) -> None:
    path = ("training", "verbose")
    if tree.pop(path) is not MISSING:
        _note(tree, path, "has no counterpart and was left out: the console shows every epoch")


def _translate_early_stopping(tree: ConfigTree) -> None:
    """`patience` is the only switch: false means null, true means that it must be given."""
    old, home = (*_PARAMS, "early_stopping"), ("training", "patience")
    stops = tree.get(old)
    if stops is MISSING:
        return
    published = tree.get((*_PARAMS, "patience"))
    if stops is False:
        # The published patience had no effect then.
        tree.pop((*_PARAMS, "patience"))
        tree.set((*_PARAMS, "patience"), None, origin=tree.where(old))
        _note(tree, old, "false became training.patience: null")
    elif stops is not True:
        tree.refuse(old, f"must be true or false; got {show(stops)}")
    elif published in (MISSING, None) and tree.get(home) in (MISSING, None):
        tree.refuse(old, "true needs training.patience, a number of epochs")
    else:
        _note(tree, old, "true became training.patience")
    tree.pop(old)


def _translate_hisso_lr(tree: ConfigTree) -> None:
    """`lr_max` and `lr_min` of the episodes are a linear schedule."""
    highest, lowest = tree.get(("hisso", "lr_max")), tree.get(("hisso", "lr_min"))
    if highest is not MISSING:
        _keep_warm_start_lr(tree)
        if highest is None:
            tree.pop(("hisso", "lr_max"))
        elif _move(tree, ("hisso", "lr_max"), ("training", "lr")):
            _note(tree, ("hisso", "lr_max"), "became training.lr")
    if lowest is None:
        tree.pop(("hisso", "lr_min"))
    elif lowest is not MISSING:
        schedule: dict[str, Any] = {"name": "linear", "lr_min": lowest}
        tree.set(("hisso", "lr_min"), schedule, origin=tree.where(("hisso", "lr_min")))
        if _move(tree, ("hisso", "lr_min"), ("training", "lr_schedule")):
            _note(tree, ("hisso", "lr_min"), "became the linear training.lr_schedule")


def _keep_warm_start_lr(tree: ConfigTree) -> None:
    """The estimator's `lr` was the warm start's, where `lr_max` was that of the episodes."""
    lr, supervised = tree.get((*_PARAMS, "lr")), tree.get(("hisso", "supervised"))
    if lr is MISSING or tree.get(("hisso", "lr_max")) is None:
        return
    origin = tree.where((*_PARAMS, "lr"))
    tree.pop((*_PARAMS, "lr"))
    if supervised is True or (isinstance(supervised, dict) and supervised.get("lr") is None):
        tree.set(("hisso", "supervised", "lr"), lr, origin=origin)
        _note(tree, (*_PARAMS, "lr"), "beside hisso.lr_max became hisso.supervised.lr")
    else:
        _note(tree, (*_PARAMS, "lr"), "beside hisso.lr_max had no effect and was left out")
