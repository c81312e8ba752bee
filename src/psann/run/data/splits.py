"""The data of a run: read from an archive or a loader, checked as a whole, then frozen."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Protocol

import numpy as np

from psann._digest import new_digest, sha256_of
from psann._frames import frames_as_arrays
from psann._inputs import array_of, numbers, times
from psann._mapped import is_mapped, memory_bytes
from psann._npz import NpzContent, read_npz
from psann._process import put_back
from psann._typing import Array
from psann.errors import DataError
from psann.market.lines import digest_of, files_of
from psann.market.recipe import KEY as RECIPE
from psann.market.recipe import read_recipe
from psann.plausibility.doubts import find_doubts, find_untested
from psann.run.data.checks import find_problems
from psann.run.data.oddities import find_leaps, find_oddities
from psann.run.data.requirements import KINDS, NOTES, DataRequirements, split_of

# An archive of more than this share of the machine's memory stays in its file: reading, checking
# and scaling would need it twice or three times over.
_MAPPED_SHARE = 0.25


class DataSource(Protocol):
    """Where the arrays come from: the `data` section of a config."""

    @property
    def npz(self) -> str | None:
        """Absolute path of an archive, or None."""

    @property
    def mmap(self) -> Literal["auto"] | bool:
        """Whether the archive's arrays stay in the file; auto decides by its size."""

    @property
    def loader(self) -> str | None:
        """Import path of a function that returns the arrays, or None where a table has them."""

    @property
    def arguments(self) -> Mapping[str, object]:
        """Keyword arguments of the function that is called."""


@dataclass(frozen=True, kw_only=True)
class DataSplits:
    """Arrays that passed every check, read-only.

    The digests are of the arrays as a run uses them (row-major floats): they depend neither on
    how the source stored them nor on the config.
    """

    arrays: Mapping[str, Array]
    """By key: `X_train`, `prices_test`, `asset_names`, extras. Numbers are float32 or float64,
    dates datetime64[us]."""
    key_sha256: Mapping[str, str]
    """SHA-256 of each array: key, dtype, shape and bytes."""
    sha256: str
    """SHA-256 over all keys."""
    files_sha256: Mapping[str, str]
    """SHA-256 of what the files of the source hold, by the key of `data` that names them; nothing
    when a loader made the arrays."""
    warnings: tuple[str, ...]
    """What is allowed but odd, one sentence each."""
    doubts: tuple[str, ...] = ()
    """What is hard to believe, one sentence each: a verdict of these data carries them."""
    notes: tuple[str, ...] = ()
    """What the source tells of itself, line by line: texts that came as `notes`."""
    recipe: str | None = None
    """How a table of prices became these arrays; None of any other source."""
    untested: str | None = None
    """What nobody can tell of these data, in one sentence; None where everything was looked at."""

    def split(self, name: str, inputs: Collection[str] = ()) -> dict[str, Array]:
        """Return the arrays of a split by kind (`KINDS`), absent kinds left out.

        Parameters
        ----------
        name : {"train", "val", "test"}
        inputs : collection of str
            What else there is by name: `config.reward_inputs`.

        Returns
        -------
        dict of str to ndarray
            Empty when the split is not given; else `X (n, F...)`, `y (n,)` or `(n, M)`,
            `prices (n, M)`, `context (n, C)`, `time (n,)`, `active (n, M)`, `benchmark (n, 1)`.
        """
        keys = {kind: f"{kind}_{name}" for kind in (*KINDS, *inputs)}
        return {kind: self.arrays[key] for kind, key in keys.items() if key in self.arrays}


def load_splits(
    data: DataSource, *, load_function: Callable[..., object] | None, requirements: DataRequirements
) -> DataSplits:
    """Read the arrays of a run and check them.

    Parameters
    ----------
    data : DataSource
        Archive path, or loader name and its keyword arguments.
    load_function : callable or None
        The imported loader; None reads `data.npz`. What it raises is not caught.

    Returns
    -------
    DataSplits
        The arrays. bool, integer and other float types become float64; float32 stays. One-column
        prices and context may be given as vectors and become `(n, 1)`.

    Raises
    ------
    DataError
        With one sentence for every problem found.
    """
    if load_function is None:
        content = _read(data)
        broken, files_sha256 = dict(content.broken), {"npz": content.sha256}
        raw: Mapping[str, object] = content.arrays
    else:
        broken, files_sha256 = {}, {}
        raw, told = frames_as_arrays(
            _call(load_function, data), lambda key: split_of(key) or requirements.input_of(key)
        )
        broken.update({f"frames {number}": problem for number, problem in enumerate(told)})
    notes, recipe = _notes_of(raw), _recipe_of(raw, data)
    if recipe is not None:
        files_sha256 = _tables_sha256(recipe, data)
    told_of = {NOTES: notes, RECIPE: recipe}
    numeric: dict[str, Array] = {}
    for key, value in raw.items():
        if told_of.get(key):
            continue
        try:
            numeric[key] = _as_array(key, value, is_used=requirements.role(key) is not None)
        except DataError as error:
            broken[key] = str(error)
    given = frozenset(raw) | frozenset(broken)
    problems = [*broken.values(), *find_problems(numeric, given, requirements)]
    if problems:
        raise DataError(problems)
    arrays = {key: _freeze(array) for key, array in sorted(numeric.items())}
    key_sha256 = {key: _digest(key, array) for key, array in arrays.items()}
    return DataSplits(
        arrays=MappingProxyType(arrays),
        key_sha256=MappingProxyType(key_sha256),
        sha256=sha256_of("".join(key_sha256.values()).encode()),
        files_sha256=MappingProxyType(files_sha256),
        warnings=tuple(find_oddities(arrays, requirements)),
        doubts=tuple(_doubts(arrays, requirements)),
        notes=notes,
        recipe=recipe,
        untested=find_untested(arrays, is_portfolio=requirements.earns_moves),
    )


def _doubts(arrays: Mapping[str, Array], needs: DataRequirements) -> list[str]:
    """What is hard to believe; of prices only where something hangs on their moves."""
    if needs.earns_moves:
        doubts = find_doubts(arrays, periods_per_year=needs.periods_per_year)
        return [*doubts, *find_leaps(arrays, needs)]
    return find_doubts({k: each for k, each in arrays.items() if not k.startswith("prices_")})


def _read(data: DataSource) -> NpzContent:
    """The archive, mapped where that was asked for or its size demands it."""
    path = Path(str(data.npz))
    mmap = data.mmap
    if mmap == "auto":
        mmap = os.path.isfile(path) and path.stat().st_size > _MAPPED_SHARE * memory_bytes()
    content = read_npz(path, mmap=mmap)
    if data.mmap is not True:
        return content
    broken = {
        key: f"{key} must be stored as it is used to be mapped (data.mmap: true): numpy.savez "
        "without compression, rows first, float32 or float64. Write it so, or take data.mmap away."
        for key, array in content.arrays.items()
        if key.startswith("X_") and not is_mapped(array)
    }
    return replace(content, broken={**content.broken, **broken})


def _call(load_function: Callable[..., object], data: DataSource) -> dict[str, object]:
    from psann._numerics import FOREIGN

    with put_back(FOREIGN, who=f"data.loader {data.loader}"):
        result = load_function(**data.arguments)
    if not isinstance(result, Mapping):
        size = f" of {len(result)} items" if isinstance(result, (tuple, list)) else ""
        raise DataError(
            f"data.loader ({data.loader}) must return a mapping of array names to arrays; got "
            f'{type(result).__name__}{size}. Return {{"X_train": ..., "y_train": ..., ...}}.'
        )
    odd = [key for key in result if not isinstance(key, str)]
    if odd:
        raise DataError(
            f"data.loader ({data.loader}) must name arrays by strings; got the key {odd[0]!r} "
            f"({len(odd)} such keys). Use names such as 'X_train'."
        )
    return dict(result)


def _notes_of(raw: Mapping[str, object]) -> tuple[str, ...]:
    lines = raw.get(NOTES)
    if isinstance(lines, np.ndarray) and lines.dtype.kind == "U":
        return tuple(str(line) for line in lines.flat)
    return ()


def _recipe_of(raw: Mapping[str, object], data: DataSource) -> str | None:
    """What reading a table of prices told; of another source an array of that name is an extra."""
    is_table = data.npz is None and data.loader is None
    return str(raw[RECIPE]) if is_table and RECIPE in raw else None


def _tables_sha256(recipe: str, data: DataSource) -> dict[str, str]:
    """Digests of the table, as reading it told, and of the file that says who may be held."""
    digests = {"prices": read_recipe(recipe, who=RECIPE).source_sha256}
    if isinstance(universe := data.arguments.get("universe"), str):
        digests["universe"] = digest_of(*files_of([Path(universe)]))
    return digests


def _as_array(key: str, value: object, *, is_used: bool) -> Array:
    """Convert numbers to native floats and times to dates; `DataError` if a used array holds none.

    What it returns depends on the key and the value only, so that the digests of the same data
    are the same for every config.
    """
    kind, _ = split_of(key) or ("", "")
    if kind == "time":
        return times(value, key)
    array = array_of(value, key)
    if array.dtype.kind not in "biuf" and not is_used:
        return array
    array = np.asarray(numbers(array, key), order="C")
    is_column = kind in ("prices", "context", "benchmark") and array.ndim == 1
    return array[:, np.newaxis] if is_column else array


def _freeze(array: Array) -> Array:
    view = array.view()  # the loader's own array stays as it is
    view.flags.writeable = False
    return view


def _digest(key: str, array: Array) -> str:
    little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
    head = json.dumps([key, little.dtype.str, list(little.shape)])
    digest = new_digest(head.encode())
    # Text has no buffer of its own kind; as bytes every dtype has one.
    digest.update(little.reshape(-1).view(np.uint8).data if little.size else b"")
    return digest.hexdigest()
