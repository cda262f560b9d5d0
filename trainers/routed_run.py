"""Creates a run whose model is routed from a finished run: no training, only files."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainers.models.routed import RoutedClipModel
from trainers.models.routed_folder import save_routed
from trainers.run_files import DONE, LOG, METRICS, RunWriter, create_whole, read_run
from trainers.settings import read_config, write_config

_SAME_FILES = (METRICS, LOG)


def save_routed_folder(model: RoutedClipModel, folder: Path) -> None:
    """Save a routed model in the new `folder`, which is whole or absent.

    Raises:
        TrainerError: the folder exists, or it cannot be written.
    """
    create_whole(folder, lambda new: save_routed(model, new))


def save_routed_run(run: Path, model: RoutedClipModel, folder: Path, *, base: str) -> dict[str, Any]:
    """Save a routed model in the new run `folder`, with settings, metrics and log of the run that trained it.

    Args:
        run: The finished run that trained `model.tuned`.
        base: The spec of `model.base`.

    Returns:
        The content of done.json: that of `run`, with the description of the new model, and the run under "routed_from".

    Raises:
        TrainerError: the folder exists, or it cannot be written.
    """
    result = {
        **read_run(run).result,
        "base": model.base.describe() | {"name": base},
        "model": model.describe(),
        "routed_from": run.name,
    }

    def write(new: Path) -> None:
        write_config(new, replace(read_config(run), model=base, routed=True))
        for name in _SAME_FILES:
            if (run / name).is_file():
                shutil.copyfile(run / name, new / name)
        save_routed(model, new / "model")
        writer = RunWriter(new)
        writer.log(f"routed: the base encodes texts that negate nothing; the tuned text tower is that of {run.name}")
        writer.end(DONE, result)

    create_whole(folder, write)
    return result
