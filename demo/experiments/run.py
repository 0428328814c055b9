"""Train and measure what the file of numbers lacks. A killed run goes on from its last checkpoint."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.sources.folder import read_folder
from core.errors import UnknownNameError
from core.models.language_model import LanguageModel
from core.training import runs
from core.training.printed import Printed
from core.training.runs import Run
from core.workspace import Workspace
from demo.experiments import numbers as file_of_numbers
from demo.experiments.measures import Ground, measure
from demo.experiments.numbers import FILE, Numbers
from demo.experiments.pairs import Asked, asked_of_shipped, asked_of_trained
from demo.experiments.plan import Plan, Training
from demo.measure import held_out_rows
from demo.settings import MODEL_DIR
from demo.train_dictionaries import WORKSPACE, rows_file


@dataclass(frozen=True)
class Place:
    """Where the experiments run: a model, the text that is trained on, the text that is measured on."""

    workspace: Workspace
    model: LanguageModel
    rows: Callable[[], Path]
    """Gives the file of token ids that is trained on, `(row, pos)`; called only if something is trained."""
    ground: Callable[[], Ground]
    """Called only if something is measured."""


def on_the_demo(plan: Plan) -> Place:
    """Return the demo model with its own text."""
    model = LanguageModel(MODEL_DIR)

    def ground() -> Ground:
        rows_file("all", plan.training_tokens)  # writes held-out text, too
        rows = (held_out_rows(n) for n in (plan.held_out_tokens, plan.loss_tokens))
        return Ground(model, plan.hook_name, *rows)

    return Place(WORKSPACE, model, lambda: rows_file("all", plan.training_tokens), ground)


def trained(plan: Plan, training: Training, place: Place) -> Run:
    """Train a run, or go on with it, and return it."""
    from core.training.loop import train

    told = plan.settings(training, place.model.name, str(place.rows()))
    try:
        run = runs.find_run(told.name, place.workspace)
    except UnknownNameError:
        run = runs.create(told, place.workspace)
    if run.settings != told:  # of an earlier plan
        runs.remove(run, place.workspace)
        run = runs.create(told, place.workspace)
    if len(run.results()) < len(told.seeds):
        with run.held():
            train(run, place.workspace, progress=Printed(told.name))
    return run


def dictionaries(run: Run) -> list[Dictionary]:
    """Open a run's dictionaries in the order of its seeds."""
    return [read_folder(folder, id=f"{run.name}/{seed}", title=run.name) for seed, folder in run.results().items()]


def run_missing(plan: Plan, place: Place, path: Path = FILE, *, shipped: Sequence[str] = ()) -> Numbers:
    """Train, measure and compare what is missing, write the file after each step, and return what it holds.

    `shipped` are ids of dictionaries that are compared by their labels.
    """
    known = file_of_numbers.read(path)
    missing, ground = known.missing(plan), None
    for done, training in enumerate(missing):
        print(f"{training.name}: run {done + 1} of {len(missing)}", flush=True)
        made = dictionaries(trained(plan, training, place))
        ground = ground or place.ground()
        measured = [{"seed": seed} | measure(one, ground) for seed, one in zip(plan.seeds, made, strict=True)]
        known.runs[training.name] = {"inputs": plan.inputs(training), "seeds": measured}
        file_of_numbers.write(known, path)
    asked = [asked_of_trained(plan, lambda name: dictionaries(trained(plan, plan.training(name), place)))]
    asked += [asked_of_shipped(shipped, place.workspace)] if shipped else []
    return compare_missing(known, asked, path)


def compare_missing(known: Numbers, asked: Sequence[Asked], path: Path) -> Numbers:
    """Compute the shares that return of which there are no numbers of these inputs."""
    for one in asked:
        if known.pairs.get(one.name, {}).get("inputs") == one.inputs:
            continue
        print(f"{one.name}: which features return", flush=True)
        known.pairs[one.name] = {"inputs": one.inputs, "pairs": one.compute()}
        file_of_numbers.write(known, path)
    return known
