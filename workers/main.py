"""The `countersign` command: a table of commands, of which only the one that is asked for is imported."""

from __future__ import annotations

import sys
from importlib import import_module

from countersign import __version__

# command -> (module that holds its typer app, what it is for). Help is printed from this table, so that it costs
# no import; `tests/workers/test_command_line.py` holds it against the apps.
COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("run", "Run everything that production runs: workers, scheduler and health."),
    "worker": ("worker", "Run one worker, for containers: --queues names what it does."),
    "beat": ("beat", "Run the scheduler alone, for containers."),
    "alive": ("alive", "Say whether the roles that run here take work, for a container's probe."),
    "doctor": ("doctor", "Try every configured connection and say what is missing."),
    "migrate": ("migrate", "Bring the ledger's tables up to this version."),
    "pull": ("pull", "Read the sources once, now."),
    "status": ("status", "Count what came in, what was done and what waits."),
    "cases": ("cases", "List the cases, newest first."),
    "case": ("case", "Tell the whole story of one case: countersign case show ID."),
    "actions": ("actions", "List what was written, or waits to be, in other systems."),
    "policy": ("policy", "Check a policy file, tell it in words, compare two."),
    "stop": ("stop", "Write nothing anywhere until `countersign resume`; what is planned is kept."),
    "resume": ("resume", "Go on writing where `countersign stop` stopped."),
    "rollback": ("rollback", "Take back what was done, as far as no person has changed it since."),
    "audit": ("audit", "Verify the audit log, sign checkpoints of it, export it."),
    "verify": ("verify", "Check that the books balance: nothing lost, nothing without its record."),
    "dead-letters": ("dead_letters", "List, show, replay or dismiss what could not be handled."),
    "baseline": (
        "baseline",
        "Compute the figures from a ticket export, before starting: baseline EXPORT.csv.",
    ),
    "evals": ("evals", "Score a model and a prompt on labelled texts: evals --data FOLDER."),
    "replay": ("replay", "Make a recorded decision again, offline: countersign replay CASE."),
    "costs": ("costs", "Tell what model calls cost, by use case, category, model and day."),
    "tryout": (
        "tryout",
        "Try a policy on a ticket export, before connecting anything: tryout EXPORT.csv --policy P.",
    ),
    "feedback": (
        "feedback",
        "Make labels anew, look at and activate what was learnt, export corrections as data.",
    ),
    "report": ("report", "Compute the figures of the use cases from the ledger."),
    "docs": ("docs", "Write the generated pages, or check that they are up to date."),
    "version": ("", "Print the version."),
}

_HELP = f"""Usage: countersign COMMAND [OPTIONS]

AI drafts, engineers countersign: an operations worker that lives inside your ticket systems.

Commands:
{{commands}}

countersign COMMAND --help tells more. Settings: --config FILE or COUNTERSIGN_CONFIG; secrets: environment.
Version {__version__}.
"""


def main(arguments: list[str] | None = None) -> None:
    """Runs one command; ends the process with 0, or after one sentence that says what to do with another status."""
    given = sys.argv[1:] if arguments is None else arguments
    name = given[0] if given else "--help"
    if name in ("--help", "-h", "help"):
        sys.stdout.write(help_text())
    elif name in ("version", "--version"):
        sys.stdout.write(f"countersign {__version__}\n")
    elif name in COMMANDS:
        _run(name, given[1:])
    else:
        sys.stderr.write(
            f"countersign: there is no command {name!r}{_closest(name)}; see countersign --help.\n"
        )
        raise SystemExit(2)


def help_text() -> str:
    """What `countersign --help` prints."""
    width = max(map(len, COMMANDS))
    lines = (f"  {name:<{width}}  {what}" for name, (_, what) in COMMANDS.items())
    return _HELP.format(commands="\n".join(lines))


def _run(name: str, arguments: list[str]) -> None:
    from workers.console import run

    run(import_module(f"workers.commands.{COMMANDS[name][0]}").app, name, arguments)


def _closest(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, COMMANDS, 1)
    return f", did you mean {near[0]!r}?" if near else ""
