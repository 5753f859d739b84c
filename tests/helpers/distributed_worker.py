"""What tests/test_distributed.py has torchrun start: python distributed_worker.py WHAT RUN [ACCUMULATE]."""

import dataclasses
import sys
from pathlib import Path

import torch

from helpers.tiny_training import CONFIG, CPU, episodes, network
from psmnet.errors import InputError
from psmnet.training.distributed import joined
from psmnet.training.loop import train

FIVE_PAIRS = dataclasses.replace(CONFIG, pairs=5)
UNTIL = 6  # a run that is cut short ends here; its last checkpoint is of step 4


def work(what: str, run: Path, accumulate: int) -> None:
    torch.set_num_threads(1)
    with joined(CPU) as ranks:
        if what == "in-turn":
            seen = ranks.in_turn(lambda: (run / "first").exists() or (run / "first").touch())
            assert seen == (None if ranks.first else True)
            (run / f"saw_{ranks.rank}").touch()

            def fail() -> None:
                if ranks.rank == 1:
                    raise InputError("the second has no disk", "give it one")

            ranks.in_turn(fail)
            (run / "went-on").touch()
        else:

            def report(step: int, losses: dict[str, float]) -> None:
                if what == "cut" and step == UNTIL:
                    raise InputError("disk full", "make room")

            model = network()
            options = {
                "device": CPU,
                "alignment": 1.0,
                "accumulate": accumulate,
                "ranks": ranks,
                "resume": what == "resume",
            }
            train(model, episodes(FIVE_PAIRS), FIVE_PAIRS, run, report=report, **options)
            torch.save(model.state_dict(), run / f"weights_{ranks.rank}.pt")


if __name__ == "__main__":
    what, run, *more = sys.argv[1:]
    try:
        work(what, Path(run), int(more[0]) if more else 1)
    except InputError as error:
        print(f"psmnet: {error}", file=sys.stderr)
        sys.exit(2)
