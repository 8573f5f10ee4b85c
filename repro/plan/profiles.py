"""Profiles: which cells are trained, and with what budget. Nothing else differs between them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache

from repro.errors import UsageError
from repro.plan import experiments as known
from repro.plan.experiments import ablations, finetuning, flows, iwae, ladder, replicates
from repro.plan.experiments.grid import EVERY, MAX_DEPTH, Cell, data, model
from repro.plan.run import Evaluation, Run, Schedule
from repro.plan.seeds import Seeds, listed, of_id

# Section 3 of the paper; "similar" for the data sets it does not spell out.
PUBLISHED_EPOCHS = {"mnist": 2000, "omniglot": 1500, "norb": 2000}
OTHER_PAPERS = {  # whose models are rows of Table 1, by variant: their epochs, and the Run
    **dict.fromkeys(iwae.VARIANTS, (iwae.EPOCHS, iwae.run_of)),
    **dict.fromkeys(flows.VARIANTS, (flows.EPOCHS, flows.run_of)),
}


@dataclass(frozen=True)
class LadderBudget:
    """The part of a profile that is about Ladder networks; None: as published, or all."""

    summary: str
    epochs: int | None = None
    steps_per_epoch: int | None = None
    test_images: int | None = None
    every_cell: bool = False  # else the full model and the baseline, with 100 labels
    seeds: int = 1


@dataclass(frozen=True)
class Profile:
    """A budget. `schedule.warmup_epochs` applies to the variants with warm-up."""

    name: str
    summary: str
    schedule: Schedule
    evaluation: Evaluation
    ladder: LadderBudget
    depths: tuple[int, ...] = tuple(range(1, MAX_DEPTH + 1))
    seeds: int = 1
    published_protocol: bool = False

    @property
    def whole_summary(self) -> str:
        """Of Ladder networks too, which have epochs of their own."""
        return f"{self.summary}; Ladder networks: {self.ladder.summary}"

    def holds(self, cell: Cell) -> bool:
        """Whether a cell is trained in this profile."""
        if cell.labels:
            few = cell.variant in ("full", "baseline") and cell.labels == ladder.FEW
            return self.ladder.every_cell or few
        return cell.depth in self.depths or cell.variant in OTHER_PAPERS

    def budget(self, data: str) -> tuple[Schedule, Evaluation]:
        """Training and evaluation on a data set: never longer than the paper did, if it has it."""
        E = min(self.schedule.epochs, PUBLISHED_EPOCHS.get(data, self.schedule.epochs))
        epochs = tuple(e for e in self.evaluation.epochs if e <= E)
        return replace(self.schedule, epochs=E), replace(self.evaluation, epochs=epochs)

    def share(self, data: str, epochs: int) -> tuple[Schedule, Evaluation]:
        """Of another paper's `epochs`, what the profile has of this paper's: one epoch or more,
        without warm-up, evaluated at the same shares.
        """
        had = self.schedule.epochs
        E = max(1, round(epochs * had / PUBLISHED_EPOCHS[data]))
        scored = {max(1, round(e * E / had)) for e in self.evaluation.epochs}
        evaluation = replace(self.evaluation, epochs=tuple(sorted(scored)))
        return Schedule(E, steps_per_epoch=self.schedule.steps_per_epoch), evaluation


EARLY = (1, 2, 5, 10, 15, 20, 30, 40, 50, 60, 80, 100, 125, 150, 175)  # then every 50th epoch
PROFILES = {
    p.name: p
    for p in (
        Profile(
            "smoke",
            "20 steps, 1,000 test images, L_5 on 64: proves the path, shows nothing",
            Schedule(epochs=2, warmup_epochs=1, steps_per_epoch=10),
            Evaluation((1, 2), 5, lk_images=64, train_images=2560, test_images=1000),
            LadderBudget("20 steps, 1,000 test images", 2, steps_per_epoch=10, test_images=1000),
            depths=(MAX_DEPTH,),
        ),
        Profile(
            "quick",
            "5 epochs, N_t = 2, L_500 on 1,000 images, 5-layer models only",
            Schedule(epochs=5, warmup_epochs=2),
            Evaluation((1, 2, 3, 4, 5), importance_samples=500, lk_images=1000),
            LadderBudget("2 epochs", 2),
            depths=(MAX_DEPTH,),
        ),
        Profile(
            "reduced",
            "40 epochs, N_t = 10, L_500 on 1,000 images, all configurations",
            Schedule(epochs=40, warmup_epochs=10),
            Evaluation((1, 2, 5, 10, 20, 30, 40), importance_samples=500, lk_images=1000),
            LadderBudget("30 epochs, learning rate falling from epoch 22", 30),
        ),
        Profile(
            "paper",
            "the published protocol: 2,000 epochs (OMNIGLOT: 1,500), N_t = 200, L_5000 on all test"
            " images",
            Schedule(epochs=PUBLISHED_EPOCHS["mnist"], warmup_epochs=200),
            Evaluation((*EARLY, *range(200, PUBLISHED_EPOCHS["mnist"] + 1, 50))),
            LadderBudget(
                f"the published protocol: {ladder.EPOCHS} epochs, learning rate falling from epoch"
                " 102",
                every_cell=True,
                seeds=10,
            ),
            published_protocol=True,
        ),
    )
}
BEST_FIRST = tuple(reversed(PROFILES))  # paper, reduced, quick, smoke


def profile(name: str) -> Profile:
    """The profile of that name. Raises UsageError."""
    if name not in PROFILES:
        raise UsageError(f"unknown profile {name!r}: choose from {', '.join(PROFILES)}")
    return PROFILES[name]


def run_of(cell: Cell, p: Profile, seed: int = 1) -> Run:
    """The Run that trains a cell within a profile's budget."""
    if cell.labels:
        b = p.ladder
        return ladder.run_of(cell, b.epochs, b.steps_per_epoch, b.test_images, seed)
    if base := replicates.base_of(cell):
        return replace(run_of(base, p, seed), variant=cell.variant)
    if ablations.choice_of(cell):
        return ablations.changed(cell, run_of(ablations.base_of(cell), p, seed))
    if cell.variant in OTHER_PAPERS:
        epochs, other = OTHER_PAPERS[cell.variant]
        return other(cell, *p.share(cell.data, epochs), seed)
    if cell.variant in finetuning.VARIANTS:
        return finetuning.run_of(cell, run_of(finetuning.START, p, seed))
    schedule, evaluation = p.budget(cell.data)
    warm = schedule.warmup_epochs if EVERY[cell.variant].warmup else 0
    return Run(
        variant=cell.variant,
        data=data(cell),
        model=model(cell),
        schedule=replace(schedule, warmup_epochs=warm),
        evaluation=evaluation,
        seed=seed,
    )


def runs(p: Profile, experiments: Iterable[str] | None = None, seeds: Seeds = None) -> list[Run]:
    """Every Run of a profile that the named experiments need (default: all), seed by seed.

    seeds: how many, or which; None: as many as the profile has. Raises UsageError for too many.
    """
    asked = None if seeds is None else listed(seeds)
    held = [c for c in known.cells(list(experiments or known.DEFAULT)) if p.holds(c)]
    wanted = {c: asked or listed(p.ladder.seeds if c.labels else p.seeds) for c in held}
    every = sorted({s for own in wanted.values() for s in own})
    return [run_of(c, p, s) for s in every for c, own in wanted.items() if s in own]


def chosen(p: Profile, names: Iterable[str], seeds: Seeds = None) -> list[Run]:
    """The Runs that experiments, Run ids and shell patterns of ids name, each once.

    An id or a pattern that ends in a seed means that seed alone; all else has `seeds`, or the
    profile's own. No name: the profile's default. Raises UsageError for a name that names nothing,
    for an experiment of which the profile holds nothing, and where no name has a use for `seeds`.
    """
    named = list(names)
    experiments = [name for name in named if name in known.EXPERIMENTS]
    others = [name for name in named if name not in known.EXPERIMENTS]
    if seeds is not None and others and not experiments and all(map(of_id, others)):
        raise UsageError(f"--seed, --seeds: {others[0]} names its seed: leave the option out")
    for name in experiments:
        refuse_empty(p, name)
    found = runs(p, experiments, seeds) if experiments or not others else []
    found += [run for name in others for run in _matching(name, p, seeds)]
    return list({run.id: run for run in found}.values())


def refuse_empty(p: Profile, experiment: str) -> None:
    """Raises UsageError where a profile holds no Run of an experiment, or there is none such."""
    if not any(map(p.holds, known.cells([experiment]))):
        fullest = next(reversed(PROFILES))
        raise UsageError(f"{experiment}: not in profile {p.name}: use --profile {fullest}")


def _matching(name: str, p: Profile, seeds: Seeds) -> list[Run]:
    """The Run of that id, or all of the profile whose ids match a shell pattern."""
    every = _firsts(p)
    found: list[Run]
    seeded = of_id(name)
    if seeded:
        stem, seed = seeded
        held = (r for s, (c, r) in every.items() if p.holds(c) and fnmatchcase(s, stem))
        found = [r.with_seed(seed) for r in ([every[stem][1]] if stem in every else held)]
    else:
        found = [r for r in runs(p, known.EXPERIMENTS, seeds) if fnmatchcase(r.id, name)]
    if not found:
        raise _unknown("experiment, Run or pattern", name, p, known.EXPERIMENTS)
    return found


def _unknown(what: str, name: str, p: Profile, more: Iterable[str] = ()) -> UsageError:
    """Of a name that is no Run's id nor one of `more`, with the nearest that are."""
    _, seed = of_id(name) or ("", 1)
    near = get_close_matches(name, [*more, *(f"{stem}-s{seed}" for stem in _firsts(p))])
    nearest = f"the nearest are {', '.join(near)}; " if near else ""
    listed = f"`repro list --profile {p.name}` shows those of the profile"
    return UsageError(f"unknown {what} {name!r}: {nearest}{listed}")


@cache
def _firsts(p: Profile) -> dict[str, tuple[Cell, Run]]:
    """Every cell there is with its Run of seed 1, by what comes before the seed in its id."""
    every = ((cell, run_of(cell, p)) for cell in known.cells())
    return {run.id.rpartition("-s")[0]: (cell, run) for cell, run in every}


def with_starts(runs: Iterable[Run], done: Callable[[Run], bool]) -> list[Run]:
    """The Runs that are not done, and before each what it starts from, as far back as that is."""
    wanted: dict[Run, None] = {}
    for run in runs:
        chain = []
        link: Run | None = run
        while link is not None and not done(link):
            chain.append(link)
            link = link.start
        wanted |= dict.fromkeys(reversed(chain))
    return list(wanted)


def known_run(run_id: str, p: Profile) -> Run | None:
    """The Run of that id in a profile, whatever its seed; None where no cell has that name."""
    stem, seed = of_id(run_id) or ("", 1)
    return _firsts(p)[stem][1].with_seed(seed) if stem in _firsts(p) else None


def find_run(run_id: str, p: Profile) -> Run:
    """As `known_run`. Raises UsageError where it gives None."""
    if run := known_run(run_id, p):
        return run
    raise _unknown("Run", run_id, p)
