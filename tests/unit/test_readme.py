"""The README: what it shows is true."""

from __future__ import annotations

import re
from pathlib import Path

from countersign.policy import load_policy

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_policy_in_the_readme_is_one() -> None:
    """It loads as it stands, in fifteen lines."""
    text = next(block for block in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL) if "use_case" in block)
    assert load_policy(text, name="README.md").use_case == "alert-triage"
    assert len(text.splitlines()) <= 15
