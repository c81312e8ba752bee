"""The Dockerfile, as far as it can be checked without a daemon: parsed, held against the tree."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[1]
_KNOWN = {
    *("ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "FROM", "RUN", "STOPSIGNAL", "USER", "WORKDIR"),
}


@dataclass
class Stage:
    """One FROM and what follows it."""

    image: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def of(self, keyword: str) -> list[str]:
        return [rest for key, rest in self.steps if key == keyword]


def parsed(text: str) -> tuple[dict[str, str], list[Stage]]:
    """Arguments before the first stage, and the stages; raises on what is no Dockerfile."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    before: dict[str, str] = {}
    stages: list[Stage] = []
    for line in joined.splitlines():
        keyword, _, rest = line.strip().partition(" ")
        assert keyword in _KNOWN, f"{keyword} is no instruction of the Dockerfile"
        if keyword == "FROM":
            words = rest.split()
            assert len(words) == 3 and words[1] == "AS", rest
            stages.append(Stage(image=words[0], name=words[2]))
        elif stages:
            stages[-1].steps.append((keyword, rest.strip()))
        else:
            assert keyword == "ARG", "only ARG may stand before the first FROM"
            name, _, value = rest.partition("=")
            before[name] = value
    return before, stages


@pytest.fixture(scope="module")
def text() -> str:
    return (ROOT / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def stages(text: str) -> dict[str, Stage]:
    return {stage.name: stage for stage in parsed(text)[1]}


def test_the_parser_refuses_what_is_no_dockerfile() -> None:
    for wrong in ("RUN true", "FROM a AS b\nCOPPY x y", "FROM a"):
        with pytest.raises(AssertionError):
            parsed(wrong)


def test_there_are_two_stages_of_one_official_image_that_psann_supports(text: str) -> None:
    before, stages = parsed(text)
    assert [stage.name for stage in stages] == ["build", "run"]
    assert {stage.image for stage in stages} == {"python:${PYTHON_VERSION}-slim"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    least = tuple(map(int, project["requires-python"].removeprefix(">=").split(".")))
    assert tuple(map(int, before["PYTHON_VERSION"].split("."))) >= least


def test_what_is_copied_exists_and_reaches_the_build(stages: dict[str, Stage]) -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    copied = [
        source
        for stage in stages.values()
        for rest in stage.of("COPY")
        if not rest.startswith("--from=")
        for source in shlex.split(rest)[:-1]
    ]
    assert set(copied) >= {"constraints.txt", "pyproject.toml", "src", "configs"}
    for source in copied:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in ignored
    for rest in (rest for stage in stages.values() for rest in stage.of("COPY")):
        if rest.startswith("--from="):
            assert rest.split()[0].removeprefix("--from=") in stages


def test_everything_that_setuptools_reads_is_copied(stages: dict[str, Stage]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    copied = " ".join(stages["build"].of("COPY")).split()
    assert {project["readme"], *project["license-files"]} <= set(copied)


def test_every_version_is_that_of_the_constraints(text: str, stages: dict[str, Stage]) -> None:
    installs = [run for run in stages["build"].of("RUN") if "pip install" in run]
    torch, rest = installs
    assert "grep '^torch==' constraints.txt" in torch and "--no-deps" in torch
    assert "--constraint constraints.txt" in rest
    # No version is written down a second time.
    assert not re.findall(r"[=<>]=\s*[0-9]", text.replace("PYTHON_VERSION=", ""))
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line]
    assert len([pin for pin in pins if pin.startswith("torch==")]) == 1


def test_the_extras_that_are_installed_exist(stages: dict[str, Stage]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (found,) = re.findall(r"\.\[([a-z,]+)\]", " ".join(stages["build"].of("RUN")))
    assert set(found.split(",")) <= project["optional-dependencies"].keys()


def test_a_build_argument_chooses_the_variant_and_another_torch_is_refused(
    stages: dict[str, Stage],
) -> None:
    arguments = dict(rest.split("=", 1) for rest in stages["build"].of("ARG"))
    assert arguments == {"VARIANT": "cpu", "TORCH_INDEX": ""}
    (check,) = [run for run in stages["build"].of("RUN") if "torch.version.cuda" in run]
    code = shlex.split(check)[2]
    for variant, has in (("cpu", None), ("cuda", "13.0")):
        for given in ("cpu", "cuda"):
            torch = SimpleNamespace(version=SimpleNamespace(cuda=has))
            program = code.replace("import torch; ", "").replace("$VARIANT", given)
            if given == variant:
                exec(program, {"torch": torch})
            else:
                with pytest.raises(AssertionError, match=f"this torch is for {variant}: give"):
                    exec(program, {"torch": torch})


def test_it_runs_the_command_as_nobody_special(stages: dict[str, Stage]) -> None:
    run = stages["run"]
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    (command,) = json.loads(run.of("ENTRYPOINT")[0])
    assert command in scripts
    assert json.loads(run.of("CMD")[0]) == ["--help"]
    assert run.of("USER") == ["psann"] and run.of("STOPSIGNAL") == ["SIGTERM"]
    assert [key for key, _ in run.steps].index("USER") > [key for key, _ in run.steps].index("RUN")


def test_no_host_is_named_but_in_words(text: str) -> None:
    assert "://" not in text and not re.search(r"[a-z]\.(org|com|io)\b", text)


def test_the_page_names_the_arguments_and_nothing_that_is_not_there(text: str) -> None:
    page = (ROOT / "docs" / "from_node_to_paper.md").read_text()
    for argument in re.findall(r"--build-arg ([A-Z_]+)=", page):
        assert f"ARG {argument}=" in text
    assert "/opt/psann/configs" in page and "COPY configs /opt/psann/configs" in text
