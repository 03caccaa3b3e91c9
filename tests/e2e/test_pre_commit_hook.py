"""The pre-commit hook of policies, in a repository that isn't this one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
SOUND = ROOT / "policies" / "alert-triage.yaml"
TOOLS = Path(sys.executable).parent


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Somebody's repository that uses our hook as it is published, with this installation in place of a fresh one."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    config = {"repos": [{"repo": "local", "hooks": [{**hook, "language": "system"}]}]}
    folder = tmp_path / "elsewhere"
    (folder / "policies").mkdir(parents=True)
    (folder / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    _run(folder, "git", "init", "-q")
    return folder


def _run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    outside = {
        name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "COUNTERSIGN_"))
    }
    environment = {
        **outside, "PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}", "PRE_COMMIT_HOME": str(folder / ".cache"),
    }  # fmt: skip
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
    )


def _checked(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "policies" / "noise.yaml").write_text(text, encoding="utf-8")
    assert _run(folder, "git", "add", "policies").returncode == 0
    return _run(folder, "pre-commit", "run")


def test_a_policy_that_is_wrong_is_not_committed_and_told_by_line(repository: Path) -> None:
    """File, line and a sentence; exit code 1. Mended, it passes."""
    sound = SOUND.read_text(encoding="utf-8")
    line = sound[: sound.index("autonomy:")].count("\n") + 1
    refused = _checked(repository, sound.replace("autonomy: ", "autonomy: full-", 1))
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert f"policies/noise.yaml:{line}: autonomy: " in refused.stdout
    assert "Traceback" not in refused.stdout
    passed = _checked(repository, sound)
    assert passed.returncode == 0, passed.stdout


def test_files_that_are_no_policies_are_left_alone(repository: Path) -> None:
    """The hook looks at policies/*.yaml and at nothing else."""
    (repository / "compose.yaml").write_text("autonomy: full\n", encoding="utf-8")
    _run(repository, "git", "add", "compose.yaml")
    done = _run(repository, "pre-commit", "run")
    assert (done.returncode, "no files to check" in done.stdout) == (0, True)
