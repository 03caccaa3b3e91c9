"""`countersign policy`: check a policy file, tell it in words, compare two, explain a case."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from countersign.errors import ConfigError
from countersign.policy import Policy, PolicyError, Problem, describe, diff, load_policy
from workers.console import AsJson, Config, new_app, show_json
from workers.warrants import By, Key

if TYPE_CHECKING:
    from datetime import datetime

    from countersign.assessment import Assessment, Unassessed
    from countersign.bundles import Role
    from countersign.decision import Facts
    from countersign.local_readings import LocalReadingBook
    from countersign.promises import Standing
    from workers.parts import Ledger

app = new_app("Check a policy file, tell it in words, compare two, explain a case.")
File = Annotated[Path, typer.Argument(metavar="FILE", help="Policy file, as policies/alert-triage.yaml.")]
Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Policy files.")]


@app.callback()
def policy() -> None:
    """The written boundary of a use case."""


@app.command()
def check(files: Files) -> None:
    """Say what is wrong with policy files, by line, or that nothing is."""
    wrong = 0
    for file in files:
        try:
            loaded = read(file)
        except (PolicyError, ConfigError) as problem:
            wrong += 1
            typer.echo(str(problem), err=True)
        else:
            typer.echo(f"{file}: {loaded.use_case} v{loaded.version} ({loaded.fingerprint}) is in order.")
    if wrong:
        raise typer.Exit(1)


@app.command()
def tell(file: File) -> None:
    """Tell a policy in plain words."""
    typer.echo("\n".join(describe(read(file))))


@app.command("diff")
def diff_(old: File, new: File) -> None:
    """Tell in words what a new version of a policy changes, and whether it narrows or widens."""
    from countersign.bundles import widens

    before, after = read(old), read(new)
    said = diff(before, after)
    if not said:
        typer.echo("They allow the same.")
        return
    last = [_MAY_WIDEN if widens(before, after) else _NARROWS]
    if before.use_case == after.use_case and after.version <= before.version:
        last.append(_NOT_HIGHER)
    typer.echo("\n".join((*said, *last)))


_MAY_WIDEN = (
    "It may do more than before; where policies are signed, its author and another who approves sign it."
)
_NOT_HIGHER = "Its version is not higher than before; raise `version`, or it may be refused."
_NARROWS = "It does no more than before; where policies are signed, one signature is enough."


@app.command()
def explain(
    case: Annotated[
        str, typer.Argument(metavar="CASE", help="A case's id, its beginning, or a ticket's key.")
    ],
    config: Config = None,
    file: Annotated[
        Path | None,
        typer.Option("--policy", help="Explain it under this policy instead of the one in force."),
    ] = None,
) -> None:
    """Tell why a case was decided as it was: each rule, each objection, the lane."""
    from countersign.explanation import as_decided
    from countersign.explanation import explain as explained
    from workers.in_force import in_force
    from workers.settings import load_settings
    from workers.wiring import now, open_ledger

    settings = load_settings(config)
    with closing(open_ledger(settings)) as ledger:
        story = ledger.reading.story(case)
        found = (
            read(file)
            if file
            else in_force(settings, ledger.promises, now(), keep=False).policies.get(story.case.use_case)
        )
        standing = ledger.promises.standing(story.case.use_case)
    if not story.decisions:
        raise ConfigError(
            f"Case {story.case.id} is not decided yet; `countersign case show` tells where it is."
        )
    last, use_case = story.decisions[-1], story.case.use_case
    if found is None:
        raise ConfigError(f"There is no policy for use case {use_case}; name one with --policy FILE.")
    typer.echo(f"Case {story.case.id} - {story.case.lead.summary}")
    if last.facts is None:
        typer.echo("Its facts were not recorded (an older release): the cautious ones are taken.")
    then, facts = as_decided(story.case, last)
    if last.policy_hash not in (found.fingerprint, found.content_hash):
        typer.echo(
            f"It was decided under version {last.policy_version} ({last.policy_hash}): "
            f'{last.decision.outcome} by "{last.decision.rule}". This is another policy, on the same facts, with '
            "what is certified and demoted of it now."
        )
        facts = _as_of_now(facts, found, standing, last.assessment)
    typer.echo("\n".join(explained(then, last.assessment, found, facts)))


def _as_of_now(facts: Facts, policy: Policy, standing: Standing, answer: Assessment | Unassessed) -> Facts:
    """The facts of a decision under another policy: what was certified and demoted then was not of this one."""
    from dataclasses import replace

    from countersign.assessment import Assessment
    from countersign.boundary import versions_of
    from countersign.certification import covered
    from countersign.guards import demoted

    versions = versions_of(policy, answer) if isinstance(answer, Assessment) else None
    certified = covered(policy, standing, versions) if versions else {}
    return replace(facts, certified=certified, demoted=demoted(policy, standing))


@app.command()
def certify(
    config: Config = None,
    use_case: Annotated[str, typer.Option(help="Only this use case; all of them if left out.")] = "",
) -> None:
    """Put the promises of the rules to the labels: each look spends a part of what may go wrong."""
    from workers.in_force import chosen
    from workers.settings import load_settings
    from workers.wiring import now, open_ledger

    settings = load_settings(config)
    with closing(open_ledger(settings)) as ledger:
        for policy in chosen(settings, ledger.promises, now(), use_case):
            _certify(ledger, policy, at=now())


@app.command()
def calibrate(
    config: Config = None,
    use_case: Annotated[str, typer.Option(help="Only this use case; all of them if left out.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    by: By = "",
    key: Key = None,
) -> None:
    """Let labels say what a model's confidence is worth. A new scale of risk: certificates of the old one fall."""
    from workers.calibrating import asked_for, put_in_force
    from workers.in_force import chosen
    from workers.settings import load_settings
    from workers.warrants import ask
    from workers.wiring import now, open_ledger

    settings = load_settings(config)
    with closing(open_ledger(settings)) as ledger:
        for policy in chosen(settings, ledger.promises, now(), use_case):
            found = asked_for(ledger.scales, policy)
            if not found:
                typer.echo(f"{policy.use_case}: no labels yet; confidences are taken at their word.")
            elif dry_run:
                typer.echo("\n".join(f"{policy.use_case}: {one.words}" for one in found))
            else:
                what = f"calibrate the confidences of {policy.use_case} by its labels"
                who = ask(settings, ledger.controls, [policy], "retrain", what=what, at=now(), by=by, key=key)
                typer.echo("\n".join(put_in_force(ledger.scales, policy, found, by=who)))


def _certify(ledger: Ledger, chosen: Policy, *, at: datetime) -> None:
    from countersign.certification import promising

    rules, local = list(promising(chosen)), chosen.model.sure_enough_locally is not None
    if not rules and not local:
        typer.echo(
            f"{chosen.use_case}: no rule closes on a promise (wrong_closes_at_most); nothing to certify."
        )
        return
    tuning = ledger.promises.begin_certification(chosen.use_case)
    if rules:
        _certify_rules(ledger, chosen, tuning=tuning, at=at)
    if local:
        _certify_local(ledger.local_readings, chosen, tuning=tuning, at=at)


def _certify_rules(ledger: Ledger, chosen: Policy, *, tuning: int, at: datetime) -> None:
    from countersign.certification import covered, examine
    from countersign.thresholds import Certificate, certificate_words

    book, use_case = ledger.promises, chosen.use_case
    labels, standing = book.labels(use_case), book.standing(use_case)
    in_force = ledger.scales.in_force(use_case)
    for versions, scale in in_force.items():
        resting = f"is calibrated by {scale.labels} labels (scale {scale.name})"
        typer.echo(f"{use_case}: {versions.model} {resting}.")
    found = examine(chosen, labels, standing, tuning=tuning, at=at, scales=in_force)
    # A category's newest certificate stands: that of the strictest promise comes last.
    for one in sorted(found, key=lambda one: (-one.result.promise.alpha, -one.result.promise.delta)):
        typer.echo(f"{use_case}, rule {one.rule}: {certificate_words(one.result)}")
        if isinstance(one.result, Certificate):
            book.issue(use_case, one.rule, one.result, one.monitor(chosen.control_lane))
    held = covered(chosen, book.standing(use_case))
    for one in found:
        if isinstance(one.result, Certificate) and one.result.category not in held:
            typer.echo(
                f"{use_case}, rule {one.rule}: {one.result.category} is not closed yet, "
                "as another rule promises more of it."
            )


def _certify_local(book: LocalReadingBook, chosen: Policy, *, tuning: int, at: datetime) -> None:
    from countersign.certification import examine_local
    from countersign.monitors import Monitor
    from countersign.thresholds import Certificate, certificate_words

    use_case = chosen.use_case
    found = examine_local(chosen, book.labels(use_case), book.standing(use_case), tuning=tuning, at=at)
    for one in found:
        typer.echo(f"{use_case}, {one.versions.model} alone: {certificate_words(one)}")
        if isinstance(one, Certificate):
            book.issue(use_case, one, Monitor.start(allowed=one.promise.alpha))
    if not found:
        typer.echo(
            f"{use_case}: nobody has said yet whether the embedded model reads right; others are asked."
        )


@app.command()
def backtest(
    file: File,
    config: Config = None,
    against: Annotated[
        Path | None, typer.Option(help="The policy to compare with, as the one in force.")
    ] = None,
    since: Annotated[str, typer.Option(help="How far back, as 30d.")] = "90d",
    as_json: AsJson = False,
    page: Annotated[
        Path | None, typer.Option(help="Write the page with what-if curves to this file.")
    ] = None,
) -> None:
    """Decide the recorded cases again under a policy: closes, wrong ones, minutes, dollars, and what changes."""
    from countersign.backtest import backtest as run
    from countersign.certification import covered
    from countersign.guards import demoted
    from workers.backtest_words import tell, write_page
    from workers.figures import length
    from workers.settings import load_settings
    from workers.wiring import now, open_ledger

    new, old = read(file), read(against) if against else None
    with closing(open_ledger(load_settings(config))) as ledger:
        history = ledger.promises.history(new.use_case, since=now() - length(since))
        labels, standing = ledger.promises.labels(new.use_case), ledger.promises.standing(new.use_case)
    found = run(
        history,
        new,
        labels=labels,
        certified=covered(new, standing),
        demoted=demoted(new, standing),
        against=old,
        certified_before=covered(old, standing) if old else {},
        demoted_before=demoted(old, standing) if old else frozenset(),
    )
    if page:
        write_page(page, new, found, labels, standing, since=since)
    if as_json:
        show_json(found)
    else:
        typer.echo(tell(new, old, found, since=since))


@app.command()
def promote(file: File, config: Config = None) -> None:
    """Let a policy do one step more: observe, draft, act. Refused, with every reason, while something is missing."""
    from countersign.readiness import NEXT, answers, gaps
    from workers.settings import load_settings
    from workers.wiring import open_ledger

    found = read(file)
    if found.autonomy not in NEXT:
        raise ConfigError(f"{found.use_case} acts already; there is no further step.")
    step = f"{found.use_case} from {found.autonomy} to {NEXT[found.autonomy]}"
    with closing(open_ledger(load_settings(config))) as ledger:
        standing = ledger.promises.standing(found.use_case)
    if missing := gaps(found, standing):
        raise ConfigError("\n".join((f"{step} is refused:", *(f"- {reason}" for reason in missing))))
    for question, answer in answers(found, standing):
        typer.echo(f"{question} {answer or 'Not measured yet: it drafts, so that people can judge.'}")
    # Bytes, so that the ends of lines stay as they are.
    text = promoted(file.read_bytes().decode(), found, NEXT[found.autonomy])
    if not _says(text, version=found.version + 1, autonomy=NEXT[found.autonomy]):
        raise ConfigError(
            f"{file} can't be edited, as its keys are not plain lines; write version: {found.version + 1} and "
            f"autonomy: {NEXT[found.autonomy]} into it yourself."
        )
    file.write_bytes(text.encode())
    typer.echo(
        f"{step}: {file} is version {found.version + 1} now; where policies are signed, have it signed. "
        "Running workers take it up."
    )


def promoted(text: str, found: Policy, autonomy: str) -> str:
    """The file with another autonomy and the next version, its comments kept."""
    text = re.sub(r"(?m)^version:[ \t]*\d+", f"version: {found.version + 1}", text, count=1)
    text, changed = re.subn(r"(?m)^autonomy:[ \t]*[\"']?\w+[\"']?", f"autonomy: {autonomy}", text, count=1)
    return text if changed else f"{text.rstrip()}\n\nautonomy: {autonomy}\n"


def _says(text: str, *, version: int, autonomy: str) -> bool:
    """Whether a text is a policy of this version and autonomy."""
    try:
        found = load_policy(text, name="promoted")
    except PolicyError:
        return False
    return (found.version, found.autonomy) == (version, autonomy)


@app.command("sign")
def sign_(
    file: File,
    key: Annotated[Path, typer.Option(help="Your Ed25519 private key, in PEM.")],
    by: Annotated[str, typer.Option(help="Who you are, as in `keys` of the configuration.")],
    role: Annotated[str, typer.Option(help="author or approver.")] = "author",
    config: Config = None,
) -> None:
    """Sign a policy and the text of the prompt that it names; the signatures lie beside it, in FILE.sig."""
    from datetime import UTC, datetime

    from countersign.bundles import sign
    from workers.files import bundle_of, signatures_of
    from workers.in_force import edition_of
    from workers.settings import load_settings
    from workers.warrants import private_key

    if role not in ("author", "approver"):
        raise ConfigError(f"--role is author or approver, not {role!r}.")
    edition, now = edition_of(file, load_settings(config)), datetime.now(UTC)
    bundle = sign(edition, bundle_of(file), by=by, role=cast("Role", role), key=private_key(key), at=now)
    signatures_of(file).write_text(bundle.model_dump_json(indent=2) + "\n", encoding="utf-8")
    asks = f" with its prompt {edition.prompt.name}" if edition.prompt else ""
    typer.echo(f"{signatures_of(file)}: {edition.name}{asks} is signed by {by} as {role}.")


@app.command("verify-bundle")
def verify_bundle(file: File, config: Config = None) -> None:
    """Say whether a policy and its signatures may take the place of the one in force."""
    from countersign.bundles import verify
    from workers.files import bundle_of
    from workers.in_force import edition_of, last_good
    from workers.settings import load_settings
    from workers.wiring import now, open_ledger

    settings = load_settings(config)
    new = edition_of(file, settings)
    with closing(open_ledger(settings)) as ledger:
        in_force = last_good(ledger.promises, file=str(file.resolve()), use_case=new.policy.use_case)
    verify(new, bundle_of(file), keys=settings.keys, in_force=in_force, now=now())
    was = f"v{in_force.policy.version} in force" if in_force else "nothing in force yet"
    typer.echo(f"{file}: {new.name} may take effect ({was}).")


def read(file: Path) -> Policy:
    """Raises ConfigError for a file that can't be opened, PolicyError for one that can't be used."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as problem:
        raise ConfigError(f"{file} can't be read ({problem.strerror}); name a policy file.") from None
    except UnicodeDecodeError as problem:
        before = problem.object[: problem.start]
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        sentence = f"byte 0x{problem.object[problem.start]:02X} is not UTF-8; save the file as UTF-8."
        raise PolicyError(
            (Problem(file=str(file), line=line, column=column, where="", sentence=sentence),)
        ) from None
    return load_policy(text, name=str(file))
