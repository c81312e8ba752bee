"""A sealed record cannot be changed unnoticed; an unsealed one hardly."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from psann.errors import UsageError
from psann.run.directory.paths import RunPaths
from psann.run.directory.record import seal_of
from psann.run.execution.claim import claim_directory
from psann.run.reading.archive import pack, unpack
from psann.run.verification import verify
from psann.run.verification.seal import problem_of_seal, read_key, seal
from psann.run.verification.verify import verify_run
from psann.scripts.hisso_runs import main
from thinning import slow
from trials import finished, metrics_of

KEY = b"0123456789abcdef"
# What no other file tells: times, the machine, and what needs the data, a split or a series that
# the run does not keep. `docs/security.md` lists them with the reasons.
UNTOLD = (
    *("phase", "run_id", "run_name", "temperature", "val_loss", "test_loss", "val_reward_mean"),
    *("test_reward_mean", "episodes", "throughput_eps_per_sec", "device", "duration_seconds"),
    *("started_utc", "updated_utc", "finished_utc", "heartbeat", "resumes", "data_sha256"),
    *("min_significance", "train_figures_of", "judged.split", "cautions"),
    *("portfolio_metrics_delay_1.turnover", "versus_uniform_delay_1.", "timing.", "hardware."),
)


@pytest.fixture
def run(runs_of_now: Path, tmp_path: Path) -> RunPaths:
    return RunPaths(Path(shutil.copytree(runs_of_now / "dense", tmp_path / "dense")))


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list) and value:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*path, key))
    else:
        yield path


def other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * 1.001 if value else 0.001
    if isinstance(value, str):
        return value[:-1] + ("c" if value.endswith("b") else "b")
    return 1


def changes(metrics: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every record that differs in a single value, until the next one, with its dotted name."""
    for path in list(leaves(metrics)):
        holder: Any = metrics
        for key in path[:-1]:
            holder = holder[key]
        whole = holder[path[-1]]
        holder[path[-1]] = other(whole)
        yield ".".join(map(str, path)), metrics
        holder[path[-1]] = whole


@pytest.mark.parametrize(("key", "every"), [(None, 9), (KEY, 20), slow((None, 1))])
def test_every_single_change_of_a_sealed_record_is_noticed(
    run: RunPaths, key: bytes | None, every: int
) -> None:
    seal(run.root, key=key)
    assert problem_of_seal(run.root, key=key) is None
    for name, changed in itertools.islice(
        changes(json.loads(run.metrics.read_bytes())), 0, None, every
    ):
        run.metrics.write_text(json.dumps(changed))
        assert problem_of_seal(run.root, key=key) == "metrics.json is not what was sealed", name


def test_a_run_that_gets_to_its_end_seals_itself_so_that_verify_notices_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = finished(tmp_path)
    assert main(["verify", str(paths.root)]) == 0
    for name, changed in itertools.islice(changes(metrics_of(paths)), 0, None, 20):
        paths.metrics.write_text(json.dumps(changed))
        assert problem_of_seal(paths.root) == "metrics.json is not what was sealed", name
    assert main(["verify", str(paths.root)]) == 1
    assert "seal.json: metrics.json is not what was sealed" in capsys.readouterr().out


def test_a_run_that_was_stopped_is_not_sealed_and_a_resume_breaks_the_seal_of_a_torn_copy(
    runs_of_before: Path, tmp_path: Path
) -> None:
    paths = RunPaths(Path(shutil.copytree(runs_of_before / "stopped", tmp_path / "stopped")))
    assert not paths.seal.exists()
    paths.seal.write_text("{}")  # as a copy has it that was made while the run ended
    storage, _ = claim_directory(paths, overwrite=False, resume=True)
    storage.close()
    assert not paths.seal.exists()


@pytest.mark.parametrize("every", [20, slow(1)])
def test_an_unsealed_record_gives_most_changes_away_by_itself(
    run: RunPaths, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    # The configuration stays as it is: reading and writing it each time takes half of the test.
    config = verify.load_run_config(run.config_resolved)
    resolved = verify.dump_resolved(config)
    monkeypatch.setattr(verify, "load_run_config", lambda path: config)
    monkeypatch.setattr(verify, "dump_resolved", lambda config: resolved)
    whole = json.loads(run.metrics.read_bytes())
    assert verify_run(run.root).errors == ()
    tried, unnoticed = [], []
    for name, changed in itertools.islice(changes(whole), every // 2, None, every):
        tried.append(name)
        run.metrics.write_text(json.dumps(changed))
        if not verify_run(run.root).errors:
            unnoticed.append(name)
    turnovers = [f"baselines.{name}.turnover" for name in whole["baselines"]]
    expected = [name for name in tried if name in turnovers]
    assert [name for name in unnoticed if not name.startswith(UNTOLD)] == expected, unnoticed
    assert len(unnoticed) < 0.2 * len(tried)


def test_what_means_the_same_keeps_the_seal(run: RunPaths) -> None:
    seal(run.root)
    metrics = json.loads(run.metrics.read_bytes())
    run.metrics.write_text(json.dumps(metrics, sort_keys=True))
    assert problem_of_seal(run.root) is None
    assert seal_of({"a": 1.0}) != seal_of({"a": 1})


def test_a_key_cannot_be_done_without(run: RunPaths) -> None:
    seal(run.root, key=KEY)
    wrong = problem_of_seal(run.root, key=b"0123456789abcdeg")
    assert wrong == "metrics.json is not what was sealed"
    assert "of kind 'hmac-sha256', not 'sha256'" in str(problem_of_seal(run.root))
    seal(run.root)  # by somebody without the key
    assert "of kind 'sha256', not 'hmac-sha256'" in str(problem_of_seal(run.root, key=KEY))
    run.metrics.rename(run.root / "away")
    alone = str(problem_of_seal(run.root, key=KEY))
    assert "there is no seal" not in alone and "metrics.json" in alone
    (run.root / "away").rename(run.metrics)
    run.seal.write_text("[]")
    assert "cannot be held against the record" in str(problem_of_seal(run.root, key=KEY))
    run.seal.unlink()
    assert "there is no seal" in str(problem_of_seal(run.root, key=KEY))


def test_a_seal_travels_with_the_run_and_breaks_no_promise(run: RunPaths, tmp_path: Path) -> None:
    seal(run.root, key=KEY)
    assert verify_run(run.root).findings == ()
    home = unpack(pack(run.root, tmp_path / "run.tar.gz").path, tmp_path / "home").path
    assert problem_of_seal(home, key=KEY) is None
    assert verify_run(home).findings == ()


def test_a_run_is_sealed_by_way_of_a_link_too(run: RunPaths, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(run.root)
    assert seal(tmp_path / "link", key=KEY) == tmp_path / "link" / "seal.json"
    assert problem_of_seal(run.root, key=KEY) is None


def test_only_a_run_that_has_ended_and_verifies_is_sealed(
    runs_of_before: Path, run: RunPaths
) -> None:
    with pytest.raises(UsageError, match="its status is preempted"):
        seal(runs_of_before / "stopped")
    run.events.unlink()
    with pytest.raises(UsageError, match=r"is none: .*events.csv"):
        seal(run.root)


def test_the_commands_seal_and_check(
    run: RunPaths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "key"
    key.write_bytes(KEY + b"\n")
    assert read_key(key) == KEY
    command = ["verify", str(run.root)]
    assert main([*command, "--key", str(key)]) == 1
    assert "the seal is of kind 'sha256', not 'hmac-sha256'" in capsys.readouterr().out
    run.seal.unlink()
    assert main([*command, "--key", str(key)]) == 1
    assert "seal.json: there is no seal" in capsys.readouterr().out
    assert main(["seal", str(run.root), "--key", str(key)]) == 0
    assert main([*command, "--key", str(key)]) == 0
    assert main(command) == 1  # a seal is never passed over
    capsys.readouterr()
    key.write_bytes(b"short")
    assert main([*command, "--key", str(key)]) == 2
    assert "openssl rand -hex 32" in capsys.readouterr().err


def test_a_run_that_came_by_archive_can_be_sealed_anew(run: RunPaths, tmp_path: Path) -> None:
    seal(run.root)
    pack(run.root, tmp_path / "run.tar.gz")
    unpack(tmp_path / "run.tar.gz", tmp_path / "home")
    home = tmp_path / "home" / run.root.name
    assert verify_run(home).errors == ()
    seal(home, key=KEY)
    assert verify_run(home).errors == ()
