"""`countersign replay CASE`: a recorded decision made again from the record, offline."""

from __future__ import annotations

from typing import Annotated

import typer

from countersign.errors import NotFound
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
    revision: Annotated[int, typer.Option(help="Which decision of the case; its newest if left out.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Without --model and --prompt nothing is asked and no connection opened but the ledger's.

    Ends with 1 where the same policy and the same answer lead to another decision than the recorded one.
    """
    from countersign.replay import replay as again
    from workers.again import asked_again
    from workers.files import read_policies
    from workers.wiring import open_ledger, open_parts

    settings = load_settings(config)
    story = open_ledger(settings).reading.story(case_id)
    policy = read_policies(settings).get(story.case.use_case)
    if policy is None:
        raise NotFound(f"There is no policy for use case {story.case.use_case}; put its file back.")
    answer = asked_again(open_parts(settings), story, policy, model, prompt) if model or prompt else None
    replayed = again(story, policy, answer, revision=revision)
    if as_json:
        show_json(replayed)
    else:
        typer.echo(
            f"case {replayed.case_id}, decision {replayed.revision}: {replayed.then} then, {replayed.now} now"
        )
        for what, then, now in replayed.differences:
            typer.echo(f"  {what}: {then} -> {now}")
        typer.echo("  equal" if replayed.equal else "  not equal")
    changed = {what for what, _, _ in replayed.differences} & {"policy", "assessment"}
    if not replayed.equal and not changed:
        raise typer.Exit(1)
