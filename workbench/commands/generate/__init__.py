"""`negwb generate`: proposes negated captions, has them judged, and stores both as they come."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.console.key_values import pairs

_EPILOG = """\b
Examples:
  negwb generate --limit 20 --dry-run               what would be asked, and what it would cost
  negwb generate --limit 1000                       by the engines that negwb.toml names
  negwb generate --proposer openai:http://localhost:8000/v1 --judge openai:http://localhost:8001/v1
  negwb generate --pipeline P2                      from questions that people answered with no
  negwb generate --shard 2/8 --max-cost 20          a part of the work, and no more than 20
  negwb generate --emit-requests ask.jsonl          for a batch farm; then --ingest-responses told.jsonl

\b
Every answer is stored as it arrives: after Ctrl-C, a kill or a power cut the same command goes on where it was, and
never asks (or pays for) anything twice. Engines stand in negwb.toml, as in:
  [engines.llava]                                   [generate]
  kind = "openai"                                   proposer = "llama"
  url = "http://localhost:8001/v1"                  judges = ["llava", "annotations"]
"""
_HELP = {"help_option_names": ["-h", "--help"]}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    from workbench.commands.generate import subcommands

    group = typer.Typer(rich_markup_mode=None, context_settings=_HELP)
    group.callback(invoke_without_command=True, epilog=_EPILOG)(generate)
    subcommands.register(group)
    app.add_typer(group, name="generate")


def generate(
    context: typer.Context,
    pipeline: Annotated[
        str, typer.Option(metavar="P1|P2", help="P1: concepts that are absent; P2: questions answered with no.")
    ] = "P1",
    proposer: Annotated[
        str | None, typer.Option(metavar="ENGINE", help="Who proposes and rewrites.", show_default="as in negwb.toml")
    ] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option(metavar="ENGINE[:QUESTION]", help="Who judges (:present or :acceptable only); several times."),
    ] = None,
    judge_rule: Annotated[
        str | None, typer.Option(metavar="RULE", help="mean, any, all, or official: the published one.")
    ] = None,
    prompts: Annotated[
        str | None, typer.Option(metavar="SET", help="A prompt set or a file of one; see: negwb generate prompts.")
    ] = None,
    mix: Annotated[str | None, typer.Option(help="Cues and positions asked for: balanced, negrefcocog, free.")] = None,
    random_concept: Annotated[
        bool, typer.Option("--random-concept", help="Any object, not a likely one: the ablation arm.")
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Of everything that is drawn.", show_default="0")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any setting of [generate].")
    ] = None,
    source: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this source; several times.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="So many captions (or questions) now.")] = None,
    shard: Annotated[str, typer.Option(metavar="I/N", help="Part I of N of the pictures.")] = "1/1",
    retry: Annotated[bool, typer.Option("--retry", help="Try again what failed.")] = False,
    max_requests: Annotated[int | None, typer.Option(min=1, help="Stop after so many requests.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="... tokens, as the servers count.")] = None,
    max_cost: Annotated[float | None, typer.Option(min=0.0, help="... money, by the engines' prices.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the prompts and an estimate; ask nothing.")] = False,
    emit_requests: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the requests that are next as OpenAI batch JSONL.")
    ] = None,
    ingest_responses: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Store a batch's responses; several times.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object about the run.")] = False,
) -> None:
    """Propose negated captions for the pictures, judge them, and put both into the record for people to decide."""
    if context.invoked_subcommand is not None:
        return
    from workbench.commands.generate.run import run_generate  # httpx, asyncio

    told = {"rule": judge_rule, "mix": mix, "seed": seed}
    # fmt: off
    run_generate(
        context.obj,
        asked={name: value for name, value in told.items() if value is not None} | pairs(settings or []),
        plan={
            "pipeline": pipeline, "proposer": proposer or "", "judges": judge or [], "prompts": prompts or "",
            "random_concept": random_concept,
        },
        options={"sources": tuple(source or ()), "limit": limit, "shard": shard, "retry": retry},
        caps={"max_requests": max_requests, "max_tokens": max_tokens, "max_cost": max_cost},
        dry_run=dry_run, emit=emit_requests, ingest=ingest_responses or [], quiet=quiet, as_json=as_json,
    )
    # fmt: on
