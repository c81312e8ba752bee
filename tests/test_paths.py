"""Paths as people write them."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from psann._paths import given_path, path_from


def test_a_tilde_is_a_home_and_other_paths_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert given_path("~/runs") == Path("/home/me/runs")
    me = pwd.getpwuid(os.getuid())
    assert given_path(f"~{me.pw_name}/runs") == Path(me.pw_dir, "runs")
    assert given_path("a/~b") == Path("a/~b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got an empty one"),
        ("  ", "got an empty one"),
        ("$SCRATCH/runs", r"leave \$SCRATCH as it is"),
        ("a/${SCRATCH}/runs", r"leave \$\{SCRATCH\} as it is"),
        ("~nobody-here/runs", "nobody is called 'nobody-here' here"),
    ],
)
def test_what_nothing_has_filled_in_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        given_path(text)


def test_a_file_that_is_really_called_so_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("$HOME", "~nobody-here"):
        Path(name).touch()
        assert given_path(name) == Path(name)


@pytest.mark.parametrize(
    ("folder", "table", "name"),
    [
        ("a", "a/p.csv", "p.csv"),
        ("a", "a/b/c/d/p.csv", "b/c/d/p.csv"),
        ("a/b", "a/p.csv", "../p.csv"),
        ("a/b/c", "a/data/p.csv", "../../data/p.csv"),
        ("a/b/c", "data/p.csv", None),
        ("a", "a/~p.csv", None),
        ("a", "a/$p.csv", None),
    ],
)
def test_a_file_is_named_as_seen_from_a_folder_that_is_not_far(
    folder: str, table: str, name: str | None, tmp_path: Path
) -> None:
    assert path_from(tmp_path / folder, tmp_path / table) == (name or str(tmp_path / table))


def test_what_has_but_the_root_in_common_is_named_absolutely() -> None:
    assert path_from(Path("/no-such"), Path("/data/p.csv")) == "/data/p.csv"
    assert path_from(Path("/"), Path("/data/p.csv")) == "data/p.csv"


def test_the_folder_that_a_link_leads_to_counts_and_a_linked_file_keeps_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "far/away/configs").mkdir(parents=True)
    (tmp_path / "near").symlink_to(tmp_path / "far/away/configs")
    (tmp_path / "blob").write_text("")
    (tmp_path / "far/away/p.csv").symlink_to(tmp_path / "blob")
    name = path_from(tmp_path / "near", tmp_path / "far/away/p.csv")
    assert name == "../p.csv"
    assert (tmp_path / "near" / name).samefile(tmp_path / "blob")
    monkeypatch.chdir(tmp_path / "far/away")
    assert path_from(Path("configs"), Path("p.csv")) == "../p.csv"
    assert path_from(Path(), Path(".")) == "."
    assert path_from(Path("configs"), Path("..")) == "../.."
