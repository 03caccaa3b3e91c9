"""`countersign replay CASE`: a recorded decision made again from the record, offline."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from countersign.errors import NotFound, OverBudget
from workers.console import AsJson, Config, new_app, show_json
from workers.settings import load_settings

app = new_app("Make a recorded decision again: countersign replay CASE.")


@app.command()
def replay(
    case_id: Annotated[
        str, typer.Argument(metavar="CASE", help="Case id, the beginning of one, or a ticket's key.")
    ],
    config: Config = None,
    model: Annotated[str, typer.Option(help="Ask this model about the recorded prompt first.")] = "",
    prompt: Annotated[str, typer.Option(help="With this question and version, as triage/v1.")] = "",
    now: Annotated[
        bool, typer.Option("--now", help="Under the policy as it is now, not as it was when it decided.")
    ] = False,
    outside_budget: Annotated[
        bool,
        typer.Option("--outside-budget", help="Let --model spend what the policy's budget does not count."),
    ] = False,
    revision: Annotated[int, typer.Option(help="Which decision of the case; its newest if left out.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Without --model and --prompt nothing is asked and no connection opened but the ledger's.

    Ends with 1 where the same policy and the same answer lead to another decision than the recorded one.
    """
    from countersign.replay import policy_then
    from countersign.replay import replay as again
    from workers.again import asked_again
    from workers.in_force import in_force
    from workers.wiring import LOCAL, open_ledger, open_parts
    from workers.wiring import now as clock

    settings = load_settings(config)
    with closing(open_ledger(settings)) as ledger:
        story = ledger.reading.story(case_id)
        policy = None if now else policy_then(story, ledger.reading.policy_text, revision=revision)
        if policy is None:
            policy = in_force(settings, ledger.promises, clock(), keep=False).policies.get(
                story.case.use_case
            )
    if policy is None:
        raise NotFound(f"There is no policy for use case {story.case.use_case}; put its file back.")
    answer = None
    if model or prompt:
        if policy.model.budget.usd_per_day is not None and not outside_budget and model != LOCAL:
            raise OverBudget(
                f"{policy.use_case} has a budget, which counts no replays; say --outside-budget, or --model local.",
                where=model or prompt,
            )
        with closing(open_parts(settings)) as parts:
            answer = asked_again(parts, story, policy, model, prompt, revision=revision)
    replayed = again(story, policy, answer, revision=revision)
    if as_json:
        show_json(replayed)
    else:
        typer.echo(
            f"case {replayed.case_id}, decision {replayed.revision}: {replayed.then} then, {replayed.now} now"
        )
        for what, before, after in replayed.differences:
            typer.echo(f"  {what}: {before} -> {after}")
        typer.echo("  equal" if replayed.equal else "  not equal")
    changed = {what for what, _, _ in replayed.differences} & {"policy", "assessment"}
    if not replayed.equal and not changed:
        raise typer.Exit(1)
