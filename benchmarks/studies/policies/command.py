"""``sfv bench policies``: evaluates, and writes ``results.json``, the results page, the README's
table, the learning curves, a contact sheet, an animated picture of each, and the evaluation into
each policy's card. What was measured of the same policy in the same environment is kept, so that
the same command goes on where it was stopped.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sfv_gym.benchmarks.studies.policies.cards import write_card
from sfv_gym.benchmarks.studies.policies.measure import measure_again, measure_all, shipped
from sfv_gym.benchmarks.studies.policies.page import README, page, readme, summary
from sfv_gym.benchmarks.studies.policies.pictures import draw, draw_sheet
from sfv_gym.benchmarks.studies.policies.records import Records
from sfv_gym.errors import SFVError
from sfv_gym.files import write_json
from sfv_gym.jobs.options import Address, ExecutorName, Workers, interruptible, make_executor
from sfv_gym.play.evaluation import PUBLISHED_EPISODES
from sfv_gym.play.policy import policies_folder

FIGURES = "results.json"


def write_docs(records: Records, docs: Path) -> None:
    """``results.json``, its page with the learning curves, and the table in the README beside the
    folder, where that has a place for it.

    Raises:
        OutputError: something cannot be written.
    """
    write_json(docs / FIGURES, records)
    page(records).write(docs)
    beside = docs.resolve().parent
    table, file = readme(records), beside / "README.md"
    if table is not None and file.is_file() and README[0] in file.read_text(encoding="utf-8"):
        table.write(beside)


def policies(
    env_ids: Annotated[
        list[str] | None, typer.Argument(help="Environment ids; every shipped policy by default.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Folder of the policies; the shipped ones by default.")
    ] = None,
    docs: Annotated[
        Path,
        typer.Option(help="Folder for page, figures and pictures; a README.md beside it with the "
                          "marks of the table is filled in, too."),
    ] = Path("out/results"),
    episodes: Annotated[
        int, typer.Option(help="Of each kind of start; fewer for a quick look.", min=1)
    ] = PUBLISHED_EPISODES,
    cards: Annotated[
        bool, typer.Option("--cards", help="Also write the evaluation into the policies' cards.")
    ] = False,
    executor: ExecutorName = "local",
    address: Address = None,
    workers: Workers = None,
    force: Annotated[
        bool, typer.Option("--force", help="Measure again what has not changed, too.")
    ] = False,
    again: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of a run of another seed, to compare; can be given several times."
        ),
    ] = None,
    pictures: Annotated[bool, typer.Option(help="Also draw every policy.")] = True,
    from_json: Annotated[
        bool, typer.Option("--from-json", help="Take the figures in results.json as they are.")
    ] = False,
) -> None:  # fmt: skip
    """Evaluate every shipped policy and write the results page.

    Figures of policies that have not changed are kept: the same command goes on where it was
    stopped.
    """
    folder = folder or policies_folder()
    known = shipped(folder)
    asked = env_ids or known
    if missing := [i for i in asked if i not in known]:
        raise SFVError(f"no policy in {folder} for {', '.join(missing)}")
    figures = docs / FIGURES
    if cards and episodes < PUBLISHED_EPISODES:
        raise SFVError(f"cards hold figures of {PUBLISHED_EPISODES} episodes: leave out --episodes")
    if from_json and not figures.is_file():
        raise SFVError(f"{figures} is not there: run it without --from-json")
    old: Records = json.loads(figures.read_text(encoding="utf-8")) if figures.is_file() else {}
    records = dict(old) if env_ids or from_json else {}
    if not from_json:
        console, kept = Console(stderr=True), "finished figures are kept"
        with interruptible(console, kept), make_executor(executor, workers, address) as chosen:
            records |= measure_all(
                asked,
                folder,
                old,
                episodes=episodes,
                executor=chosen,
                force=force,
                keep=figures,
                console=console,
            )
    measure_again(again or [], records, episodes=episodes)
    # the registry's order, and nothing of policies that are gone
    records = {env_id: records[env_id] for env_id in known if env_id in records}
    if cards:
        for env_id in asked:
            if "made_of" in records[env_id]:
                write_card(folder, env_id, records[env_id])
    if pictures:
        draw(asked, folder, docs)
        draw_sheet(list(records), docs)
    write_docs(records, docs)
    Console().print(f"{docs / 'results.md'}: {summary(records)}")
