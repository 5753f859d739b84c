"""How far a learning is: its stages, and the time left in the present one."""

import time
from collections.abc import Callable
from pathlib import Path

from psmnet.errors import InputError
from psmnet.learning import LearnSettings
from psmnet.system import counted, write_json
from psmnet.viewer.folder import size_of

# What the library calls a stage begins with: its name on the page, and its share of the whole time in percent.
STAGES = {
    "first masks": ("First masks", 20),
    "vote": ("Vote", 15),
    "training": ("Training", 45),
    "masks after training": ("Masks of the network", 15),
    "masks": ("Masks", 4),
    "pictures": ("Report", 1),
}
EVERY_S = 0.5  # between two reports of one stage
NEWEST = 0.3  # weight of the newest step's time in the mean


class StageProgress:
    """Writes a learning's progress to a file that the server reads; `learn_cohort` calls it.

    Args:
        path: of the file, in the outputs' folder.
        settings: of the learning, which tell the stages.
        most_bytes: size that the folder may reach.
        clock: seconds that go by.
    """

    def __init__(
        self, path: Path, settings: LearnSettings, most_bytes: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path, self._most_bytes, self._clock = path, most_bytes, clock
        self._stages = {name: [0, 0] for name in planned(settings)}
        self._current, self._began, self._step_s = "", 0.0, 0.0
        self._written = -EVERY_S

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Note how far a stage is.

        Args:
            stage: as the library calls it.
            done, total: scans or steps.
            note: not shown.

        Raises:
            InputError: the folder has become too large.
        """
        now = self._clock()
        isnew = stage != self._current
        if isnew:
            self._current, self._step_s = stage, 0.0
            self._stages.setdefault(stage, [0, 0])
        elif done > (before := self._stages[stage][0]):
            took = (now - self._began) / (done - before)
            # The first ones of a learning that goes on are there already: the mean soon forgets them.
            self._step_s = took if not self._step_s else (1 - NEWEST) * self._step_s + NEWEST * took
        self._began = now
        self._stages[stage] = [done, total]
        if not stage.startswith("training"):
            self._require_room()
        if isnew or done == total or now - self._written >= EVERY_S:
            self._written = now
            self._write()

    def _write(self) -> None:
        done, total = self._stages[self._current]
        names, before = list(self._stages), list(self._stages).index(self._current)
        shares = [_known(name)[1] for name in names]
        share = (sum(shares[:before]) + shares[before] * done / max(total, 1)) / max(sum(shares), 1)
        stages = [
            {"name": _known(name)[0], "done": done, "total": total} for name, (done, total) in self._stages.items()
        ]
        left_s = round(self._step_s * (total - done), 1) if self._step_s and done < total else None
        write_json(
            self._path,
            {
                "progress": round(0.99 * share, 3),
                "stage": _known(self._current)[0].lower(),
                "stages": stages,
                "left_s": left_s,
            },
        )

    def _require_room(self) -> None:
        if size_of(self._path.parent) > self._most_bytes:
            raise InputError(
                f"what is kept of {counted(max(total for _, total in self._stages.values()), 'scan')} while learning "
                f"fills more than {self._most_bytes >> 20} MiB",
                "learn from fewer scans, or have the server started with more space for results",
            )


def planned(settings: LearnSettings) -> list[str]:
    """The stages of a learning, in their order, as the library calls them."""
    rounds = settings.rounds
    titles = ["training"] if rounds == 1 else [f"training {number} of {rounds}" for number in range(1, rounds + 1)]
    trained = [stage for title in titles for stage in (title, f"masks after {title}")]
    return ["first masks", "vote", *([] if settings.vote_only else trained), "masks", "pictures"]


def _known(stage: str) -> tuple[str, int]:
    """A stage's name on the page and its share; one that is not in the table is shown as it is called."""
    for known, (name, share) in STAGES.items():
        part = stage.removeprefix(known)
        if part != stage and (not part or part[0] == " "):
            return f"{name}{part}", share
    return stage.capitalize(), 0
