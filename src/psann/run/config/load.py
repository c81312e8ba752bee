"""A configuration from file and command line, and the resolved form that is written back."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from psann._digest import sha256_of
from psann._lean_imports import unasked_packages
from psann._model_keys import later_keys
from psann._model_problems import in_order_of_the_file, readable_problems
from psann._paths import given_path
from psann._strict_yaml import parse_value, read_config_file
from psann._text import mask_secrets
from psann._tree import MISSING, ConfigTree, Origins, Path
from psann._yaml_text import to_yaml
from psann.errors import ConfigError
from psann.market.block import FILE_KEYS, with_absolute_files
from psann.run.config.canonical import make_canonical
from psann.run.config.model import RunConfig

# Written out, so that pydantic need not build a schema for each section by itself (20 ms).
_OPTIONAL_SECTIONS: tuple[Path, ...] = (
    ("hisso",),
    ("training",),
    ("training", "lr_schedule"),
    ("evaluation",),
    ("recorded",),
)
_DEFAULT_REWARD = (
    "hisso.reward is not named: the policy is trained by portfolio (psann 0.12 took minus the mean "
    "square of the actions)"
)
_DIGESTS: dict[Path, Path] = {
    **{("data", name): ("recorded", f"{name}_sha256") for name in ("npz", *FILE_KEYS)},
    ("init_from",): ("recorded", "init_from_sha256"),
}


def load_run_config(
    path: str | os.PathLike[str],
    *,
    overrides: Sequence[str] = (),
    mode: str | None = None,
    init_from: str | None = None,
    seed: int | None = None,
    device: str | None = None,
) -> RunConfig:
    """Read a configuration; the command line wins over the file, the file over the defaults.

    Parameters
    ----------
    path : str or path-like
        YAML file, or JSON if it is named `*.json`.
    overrides : sequence of str
        `key.path=value` in YAML syntax, as `--set` takes them; a mapping replaces what it names.
    mode, init_from, seed, device : optional
        Values of the options of the same names; None leaves the file's.

    Returns
    -------
    RunConfig
        Canonical names only, paths absolute: those in the file are relative to its folder, those
        on the command line to the current one.

    Raises
    ------
    ConfigError
        With every problem found, in the order of the file, each with its line or option, its key,
        and what it must be.
    """
    options = {"mode": mode, "init_from": init_from, "seed": seed, "device": device}
    return checked(read_config_file(path), path, overrides=overrides, options=options)


def checked(
    tree: ConfigTree,
    path: str | os.PathLike[str],
    *,
    overrides: Sequence[str] = (),
    options: Mapping[str, str | int | None] = MappingProxyType({}),
) -> RunConfig:
    """What `load_run_config` makes of a file, of which this is what was read; it is changed."""
    make_canonical(tree)
    _make_paths_absolute(tree, os.path.dirname(os.path.abspath(path)))
    for text in overrides:
        _override(tree, text)
    for name, value in options.items():
        if value is not None:
            _override_value(tree, (name,), value, origin=f"--{name.replace('_', '-')}")
    _record(tree)
    _refuse_masked(tree)
    for section in _OPTIONAL_SECTIONS:
        if tree.get(section) is MISSING and isinstance(tree.get(section[:-1]), dict):
            tree.set(section, {}, origin=tree.where(section))
    try:
        # As JSON, so that strict means what it says: text is no number and 1 is not true.
        with unasked_packages():
            config = RunConfig.model_validate_json(json.dumps(tree.values), strict=True)
    except ValidationError as error:
        problems = readable_problems(error, model=RunConfig, tree=tree)
        raise ConfigError(in_order_of_the_file([*tree.problems, *problems])) from None
    if tree.problems:
        raise ConfigError(in_order_of_the_file(tree.problems))
    config._origins = tree.origins
    return config


def _override(tree: ConfigTree, text: str) -> None:
    origin = f"--set {text}"
    name, equals, written = text.partition("=")
    path = tuple(name.split("."))
    if not equals or not all(path):
        tree.problems.append(f"--set must be key.path=value; got {text!r}.")
        return
    try:
        value = parse_value(written, source=origin)
    except ConfigError as error:
        tree.problems.extend(error.problems)
        return
    _override_value(tree, path, value, origin=origin)


def _override_value(tree: ConfigTree, path: Path, value: Any, *, origin: str) -> None:
    """Set a value, after the same translations as in a file."""
    given = ConfigTree({}, Origins(source=origin))
    given.set(path, value, origin=origin)
    make_canonical(given)
    if isinstance(value, dict) and given.get(path) is MISSING:
        given.set(path, {}, origin=origin)  # all of it found other homes
    _make_paths_absolute(given, os.getcwd())
    for place, inner in given.leaves(whole=path):
        tree.set(place, inner, origin=origin)
    for place, digest in _DIGESTS.items():
        if place[: len(path)] == path:
            tree.pop(digest)  # it was taken of another file
    tree.problems += given.problems
    tree.notes += given.notes


def _make_paths_absolute(tree: ConfigTree, folder: str) -> None:
    for path in (("data", "npz"), ("init_from",)):
        value = tree.get(path)
        if isinstance(value, str):
            try:
                absolute = os.path.abspath(os.path.join(folder, given_path(value)))
            except ValueError as error:
                tree.refuse(path, str(error))
            else:
                tree.set(path, absolute, origin=tree.where(path))
    values = tree.get(("data",))
    try:
        found = with_absolute_files(values if isinstance(values, dict) else {}, folder, given_path)
    except ValueError as error:
        tree.refuse(("data",), f"{' and '.join(FILE_KEYS)} {error}")
    else:
        for key, value in found.items():
            tree.set(("data", key), value, origin=tree.where(("data", key)))


def _record(tree: ConfigTree) -> None:
    """Note where the seed came from and what was translated, unless the file already says so."""
    recorded = tree.get(("recorded",))
    if recorded is not MISSING and not isinstance(recorded, dict):
        return  # the schema says what is wrong with it
    origin = tree.where(("recorded",))
    if tree.where(("seed",)).startswith("--"):
        tree.set(("recorded", "seed_from"), "command line", origin=origin)
    elif tree.get(("seed",)) is not MISSING and tree.get(("recorded", "seed_from")) is MISSING:
        tree.set(("recorded", "seed_from"), "config", origin=origin)
    known = tree.get(("recorded", "notes"))
    if known is MISSING:
        # Where there are notes, psann has resolved it already, and it stays as it is.
        tree.notes += [_DEFAULT_REWARD] * _leaves_reward_open(tree)
    if tree.notes and (known is MISSING or isinstance(known, list)):
        notes = [*(known if isinstance(known, list) else []), *tree.notes]
        tree.set(("recorded", "notes"), notes, origin=origin)


def _leaves_reward_open(tree: ConfigTree) -> bool:
    """Whether a policy is trained, and nothing says by which reward."""
    is_trained = tree.get(("mode",)) != "evaluate" and tree.get(("hisso", "enabled")) is not False
    return is_trained and tree.get(("hisso", "reward")) in (MISSING, None)


def _refuse_masked(tree: ConfigTree) -> None:
    for path, value in tree.leaves():
        if isinstance(value, str) and "***" in value:
            name = ".".join(path)
            tree.refuse(path, f"holds a masked secret (***); give it by --set {name}=VALUE")


def dump_resolved(config: RunConfig, **digests: str | None) -> str:
    """Write a configuration with all its defaults, so that feeding it back gives it again.

    Parameters
    ----------
    **digests : str or None
        Of the files that it names, by the keys of `recorded`; None keeps the recorded ones.
    """
    values = config.model_dump(mode="json")
    values["recorded"] |= {name: digest for name, digest in digests.items() if digest is not None}
    _leave_out(values, untold_only=True)
    masked: dict[str, Any] = mask_secrets(values)
    return to_yaml(masked)


def _leave_out(values: dict[str, Any], *, untold_only: bool = False) -> None:
    """Take out the keys that came later where they do what was done without them."""
    for key in later_keys(RunConfig, untold_only=untold_only):
        section = values
        for name in key.path[:-1]:
            section = section.get(name) or {}
        if section.get(key.path[-1], key) == key.default_value:
            del section[key.path[-1]]


def config_sha256(config: RunConfig) -> str:
    """Digest of what determines the result of training.

    Left out are what is recorded, the device, the commit interval, how a file is read, the two
    file names, whose contents have digests of their own, and keys of later releases that do what
    an earlier one did without them.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    values = config.model_dump(
        mode="json",
        exclude={
            "recorded": True,
            "device": True,
            "init_from": True,
            "data": {"npz", "mmap", *FILE_KEYS},
            "training": {"checkpoint_every_s"},
        },
    )
    _leave_out(values)
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return sha256_of(text.encode())
