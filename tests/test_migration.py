"""What the page for those who come from elsewhere says can be done."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"


def test_every_block_of_the_page_runs_after_the_ones_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "migration.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert len(blocks) >= 7 and page.count("```") == 2 * len(blocks)
    names: dict[str, Any] = {"__name__": "migration"}
    for block in blocks:
        exec(compile(block, "docs/migration.md", "exec"), names)
    assert names["actions"].shape == (240, 3)
    assert (tmp_path / "runs" / "first" / "metrics.json").is_file()
