"""In which keys a configuration differs from that of a run, as its files tell before torch does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from psann._model_keys import later_keys
from psann._strict_yaml import read_config_file
from psann._text import mask_secrets
from psann._tree import ConfigTree, Origins, changes
from psann.errors import ConfigError
from psann.run.config.model import RunConfig

# Where files lie: their contents have digests.
_PLACES = ("recorded", "init_from", "data.npz", "data.prices", "data.universe")
# What may differ from the first start besides: where and how a run is watched, and for how long.
_FREE_KEYS = (*_PLACES, "device", "training.checkpoint_every_s", "training.epochs")


def config_keys(config: RunConfig) -> dict[str, str]:
    """Every key, dotted, as JSON with secrets masked."""
    return ConfigTree(mask_secrets(config.model_dump(mode="json")), Origins()).dotted()


def problems_of_change(was: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Why a run cannot go on: every key that differs and must not, with both values."""
    found = changes(_as_of_now(was, now), now, free=_FREE_KEYS)
    return [f"{each}; --resume goes on with the same configuration." for each in found]


def changes_since(resolved: Path, config: RunConfig) -> list[str]:
    """Each key that is not as in the `config_resolved.yaml` of a run, with both values."""
    now = config_keys(config)
    return changes(_as_of_now(_resolved_keys(resolved, now), now), now, free=_PLACES)


def check_resolved(resolved: Path, config: RunConfig) -> None:
    """Refuse to go on with another configuration than the file tells, where it tells anything."""
    now = config_keys(config)
    if problems := problems_of_change(_resolved_keys(resolved, now), now):
        raise ConfigError(problems)


def _resolved_keys(path: Path, otherwise: Mapping[str, str]) -> Mapping[str, str]:
    """Every key of a `config_resolved.yaml`, if it can be read."""
    try:
        return read_config_file(path).dotted()
    except ConfigError:
        return otherwise


def _as_of_now(was: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """With the keys that came later: an earlier release ran as if it had them."""
    later = {".".join(key.path): key.default for key in later_keys(RunConfig)}
    return {**{name: default for name, default in later.items() if name in now}, **was}
