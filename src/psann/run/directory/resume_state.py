"""What a commit keeps for going on, as its file says it: plain values and arrays, without torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from psann._tensor_file import decode_arrays
from psann._typing import Array
from psann.errors import FileFormatError


@dataclass(frozen=True, kw_only=True)
class RunIdentity:
    """What makes a run this run: to go on with it, all of this must be as it was."""

    config: dict[str, str]
    """Every key of the configuration, dotted, as JSON with secrets masked."""
    data_sha256: str
    init_from_sha256: str | None
    environment: dict[str, Any]
    """What a bit of the result may depend on besides; it may differ, at that price."""

    @property
    def epochs(self) -> int:
        """Planned epochs."""
        return int(self.config["training.epochs"])


@dataclass(frozen=True, kw_only=True)
class ResumeState:
    """Where a run stood at a commit; values and arrays by seed."""

    values: tuple[dict[str, Any], ...]
    arrays: tuple[dict[str, Array], ...]
    identity: RunIdentity
    log_bytes: int
    done: tuple[str, ...]


def read_state(data: bytes, *, who: str) -> ResumeState:
    """Read the file of a commit.

    Raises
    ------
    FileFormatError
        If the file is damaged, or no resume state; `who` names it.
    """
    description, arrays = decode_arrays(data, who=who)
    try:
        facts = description["resume"]
        every_value = json.loads(bytes(arrays.pop("values").tolist()))
        own = [(*name.partition(".")[::2], array) for name, array in arrays.items()]
        return ResumeState(
            values=tuple(every_value),
            arrays=tuple(
                {name: array for number, name, array in own if number == str(k)}
                for k in range(len(every_value))
            ),
            identity=RunIdentity(**facts["identity"]),
            log_bytes=int(facts["log_bytes"]),
            done=tuple(str(name) for name in facts["done"]),
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise FileFormatError(f"{who} is no resume state.") from error
