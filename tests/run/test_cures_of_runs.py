"""What a run says to do is done to the very run that it is about, and then it goes through."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

import trials
from cures_of_runs import CURES, FILES, OFF, OWN, USUAL, WRITTEN, Asked
from faults import stopped_after
from made_tables import prices, wide
from psann._published import CONFIG_KEYS, PARAMETERS
from psann.errors import ConfigError
from psann.run.config.load import load_run_config
from psann.run.directory.metrics import read_metrics
from psann.run.execution.context import Outcome
from psann.run.reading.sentences import result_sentences
from thinning import thinned
from trials import CONFIG, market, rows_of, trial, write_config

FEW = "training.epochs=1"  # where nothing else is asked for and nothing is stopped
PARENTS = {
    "parent": (),
    "parent with cash": ("hisso.primary_transform=softmax_cash",),
    "parent of targets": (OFF,),
    "parent of seeds": ("seed=3", "training.seeds=2"),
    "parent of own actions": OWN,
}


class Place:
    """A folder with the files that a row names, made when it names them."""

    def __init__(self, folder: Path, parents: Path) -> None:
        folder.mkdir()
        self.folder, self.parents = folder, parents
        self.name = ""  # of the run that is asked for

    def filled(self, text: str) -> str:
        return re.sub(r"\{([a-z0-9 ]+)\}(?!\})", lambda found: self.file(found[1]), text)

    def file(self, name: str) -> str:
        if name in PARENTS:
            return str(self.parent(name))
        npz = self.folder / "market.npz"
        if name in ("npz", "packed", "sha256"):
            (np.savez if name != "packed" else np.savez_compressed)(npz, **market())
        if name == "sha256":
            import hashlib

            return hashlib.sha256(npz.read_bytes()).hexdigest()
        if name == "table with spreads":
            table = np.column_stack([prices(300, 2), np.full(300, 0.002)])
            return str(wide(self.folder / "beside.csv", table, ["AAA", "BBB", "spread"]))
        if name == "prices":
            return str(wide(self.folder / "prices.csv", prices(300, 2), ["AAA", "BBB"]))
        return str({"npz": npz, "packed": npz, "folder": self.folder}[name])

    def parent(self, name: str) -> Path:
        """A run to go on from, made once for all; a copy of its own where it is what is run."""
        root = self.parents / "out" / name.replace(" ", "_")
        if not root.exists():
            trials.finished(self.parents, FEW, *PARENTS[name], name=root.name)
        if name != self.name:
            return root
        own = self.folder / "out" / name
        return own if own.exists() else Path(shutil.copytree(root, own))

    def run(self, asked: Asked) -> Outcome:
        self.name = name = asked.how.get("name", "run")
        how = {key: self.filled(v) if isinstance(v, str) else v for key, v in asked.how.items()}
        how.pop("name", None)
        out = self.folder / "out"
        spoilt, lost = how.pop("spoil", None), how.pop("without", None)
        if name == "parent":
            self.parent(name)
        overrides = [self.filled(each) for each in asked.overrides]
        if name != "stopped":
            overrides.insert(0, FEW)
        elif how:  # else it was moved away
            with stopped_after(6):
                trial(self.folder, *overrides, name=name)
        if spoilt == "npz":
            np.savez(self.folder / "market.npz", **market(seed=1))
        elif spoilt is not None:
            (out / name / spoilt).write_text("{}\n")
        if lost is not None:
            (out / name / lost).unlink()
        out.mkdir(parents=True, exist_ok=True)
        if name == "link" and not (out / name).is_symlink():
            (out / name).symlink_to(self.folder)
        if name == "file":
            (out / name).touch()
        return trial(self.folder, *overrides, name=name, **how)


def said(outcome: Outcome) -> str:
    """All that a run tells of: why it ended, warnings, and sentences beside the verdict."""
    told = [outcome.message or ""]
    if outcome.paths is not None and outcome.paths.metrics.is_file():
        told += result_sentences(read_metrics(outcome.paths.metrics)[0])
    if outcome.paths is not None and outcome.paths.events.is_file():
        told += [row["message"] for row in rows_of(outcome.paths) if row["level"] == "WARNING"]
    return "\n".join(told)


def says(text: str, told: str) -> bool:
    return all(part in told for part in text.split("{}"))


@pytest.fixture(scope="module")
def parents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("parents")


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Of what many messages come down to: a run without any setting."""
    outcome = trial(tmp_path_factory.mktemp("usual"), FEW)
    assert outcome.exit_code == 0
    return outcome


@pytest.mark.parametrize("text", thinned(CURES, 2))
def test_what_a_run_says_is_said(text: str, tmp_path: Path, parents: Path, usual: Outcome) -> None:
    wrong, *cures = CURES[text]
    assert says(text, told := said(Place(tmp_path / "wrong", parents).run(wrong))), told
    assert USUAL not in cures or not says(text, said(usual))


@pytest.mark.parametrize(
    ("text", "cure"),
    thinned(
        ((text, cure) for text, each in CURES.items() for cure in each[1:] if cure != USUAL), 6
    ),
)
def test_what_a_run_says_to_do_is_done_and_works(
    text: str, cure: Asked, tmp_path: Path, parents: Path
) -> None:
    outcome = Place(tmp_path / "cure", parents).run(cure)
    assert outcome.exit_code == 0, outcome.message
    assert not says(text, said(outcome))


PUBLISHED = {".".join(path): cure for path, cure in CONFIG_KEYS.items()}
PUBLISHED |= {f"estimator.params.{name}": cure for name, cure in PARAMETERS.items()}


@pytest.mark.parametrize("key", thinned(PUBLISHED, 6))
def test_a_published_key_is_written_as_its_message_says(key: str, tmp_path: Path) -> None:
    file = write_config(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_run_config(file, overrides=[f"{key}=1"])
    hint = str(caught.value).partition("is a key of psann 0.12; ")[2].rstrip(".")
    for written in WRITTEN[hint] or ("seed=1",):  # left out, or given in the data
        load_run_config(file, overrides=written.split("; "))


@pytest.mark.filterwarnings("default:mixed_precision has no effect")
@pytest.mark.parametrize(
    "written",
    thinned(
        sorted({w for each in WRITTEN.values() for w in each if w != "data={prices: prices.csv}"}),
        8,
    ),
)
def test_what_is_written_for_a_published_key_trains(written: str, tmp_path: Path) -> None:
    assert trial(tmp_path, *written.split("; "), FEW).exit_code == 0


QUICK = (FEW, "hisso.window=6", "hisso.batch_episodes=4")
QUICK += ("hisso.updates_per_epoch=2",)


@pytest.mark.parametrize("text", thinned(FILES, 3))
def test_what_is_said_of_a_file_is_done_and_works(text: str, tmp_path: Path) -> None:
    file, (wrong, cured) = tmp_path / "run.yaml", FILES[text]
    rest = {key: CONFIG[key] for key in ("estimator", "data") if f"{key}:" not in wrong}
    for content, is_wrong in ((wrong, True), (cured, False)):
        encoding = "latin-1" if is_wrong and "UTF-8" in text else "utf-8"
        file.write_text(yaml.safe_dump(rest) + content + "\n", encoding=encoding)
        outcome = trial(tmp_path, *QUICK, config=file, name="run", overwrite=True)
        assert says(text, outcome.message or "") == is_wrong, outcome.message
        assert is_wrong or outcome.exit_code == 0, outcome.message
