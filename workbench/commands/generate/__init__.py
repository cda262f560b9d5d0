"""`negwb generate`: propose negated captions, judge them, and store candidates and verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.commands.options import RunBlindJudgesOption, RunCostOption, RunRequestsOption, RunTokensOption
from workbench.console.key_values import pairs

_EPILOG = """\b
Examples:
  negwb generate --limit 20 --dry-run               print the prompts and an estimate of the cost
  negwb generate --limit 1000                       with the engines of negwb.toml
  negwb generate --proposer openai:http://localhost:8000/v1 --judge openai:http://localhost:8001/v1
  negwb generate --pipeline P2                      from questions answered with no
  negwb generate --compare negwb-p1-1 mine.toml --limit 400   half of the captions for each; then: negwb prompts compare
  negwb generate --shard 2/8 --max-cost 20          one part of the images, at a cost of at most 20
  negwb generate --emit-requests requests.jsonl     batch files: negwb generate batch submit requests.jsonl, or run
                                                    them elsewhere and then --ingest-responses responses.jsonl

\b
Every answer is stored as it arrives: after Ctrl-C, a kill or a power cut the same command continues and sends (and
pays for) no request twice. Engines are defined in negwb.toml, for example:
  [engines.llava]
  kind = "openai"
  url = "http://localhost:8001/v1"
  [generate]
  proposer = "llama"
  judges = ["llava", "annotations"]

\b
Exit codes: 0 all items went through (kept or dropped), 1 some failed or nearly all verdicts are unclear, 4 none could
be processed or a server is gone, 5 nothing is left to do, 6 a cap is reached.
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
        str, typer.Option(metavar="P1|P2", help="P1: absent concepts; P2: questions answered with no.")
    ] = "P1",
    proposer: Annotated[
        str | None,
        typer.Option(metavar="ENGINE", help="Engine that proposes and rewrites.", show_default="as in negwb.toml"),
    ] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ENGINE[:QUESTION]", help="Engine that judges, for :present or :acceptable only; repeatable."
        ),
    ] = None,
    judge_rule: Annotated[
        str | None, typer.Option(metavar="RULE", help="How to combine verdicts: mean, any, all, official (published).")
    ] = None,
    prompts: Annotated[
        str | None, typer.Option(metavar="SET", help="Prompt set or its file; see: negwb generate prompts.")
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="A B",
            help="Divide the items between two prompt sets or files at random, evenly within each image.",
        ),
    ] = None,
    mix: Annotated[str | None, typer.Option(help="Requested cues and positions: balanced, negrefcocog, free.")] = None,
    random_concept: Annotated[
        bool, typer.Option("--random-concept", help="Propose a random object, not a likely one (an ablation).")
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Seed of all random choices.", show_default="0")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any setting of [generate]; repeatable.")
    ] = None,
    source: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this source; repeatable.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of captions (or questions) in this run.")
    ] = None,
    shard: Annotated[str, typer.Option(metavar="I/N", help="Only part I of N of the images.")] = "1/1",
    retry: Annotated[bool, typer.Option("--retry", help="Retry failed items.")] = False,
    allow_blind: RunBlindJudgesOption = False,
    max_requests: RunRequestsOption = None,
    max_tokens: RunTokensOption = None,
    max_cost: RunCostOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the prompts and an estimate; send no requests.")
    ] = False,
    emit_requests: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the next requests as OpenAI batch JSONL; send nothing.")
    ] = None,
    max_lines: Annotated[
        int | None, typer.Option(min=1, help="Most requests in a batch file.", show_default="50,000, OpenAI's limit")
    ] = None,
    max_bytes: Annotated[
        int | None, typer.Option(min=1, help="Largest batch file.", show_default="200,000,000, OpenAI's limit")
    ] = None,
    ingest_responses: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Store the responses of a batch; repeatable.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print no progress.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object about the run.")] = False,
) -> None:
    """Propose negated captions for the images, judge them, and store candidates and verdicts for annotation."""
    if context.invoked_subcommand is not None:
        return
    from workbench.commands.generate.run import run_generate  # imports httpx and asyncio

    sizes = {"max_lines": max_lines, "max_bytes": max_bytes}
    file_limits = {name: value for name, value in sizes.items() if value is not None}
    options = {"rule": judge_rule, "mix": mix, "seed": seed}
    # fmt: off
    run_generate(
        context.obj,
        changes={name: value for name, value in options.items() if value is not None} | pairs(settings or []),
        plan={
            "pipeline": pipeline, "proposer": proposer or "", "judges": judge or [], "prompts": prompts or "",
            "random_concept": random_concept, "allow_blind": allow_blind,
        },
        options={"sources": tuple(source or ()), "limit": limit, "shard": shard, "retry": retry},
        caps={"max_requests": max_requests, "max_tokens": max_tokens, "max_cost": max_cost},
        compare=compare, dry_run=dry_run, emit=emit_requests,
        file_limits=file_limits, ingest=ingest_responses or [], quiet=quiet, as_json=as_json,
    )
    # fmt: on
