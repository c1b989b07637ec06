"""Train a run outside a search, with a progress bar."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from trainable.training.loop import Run

Metrics = dict[str, float]


def train(
    run: Run,
    console: Console,
    title: str,
    on_unit: Callable[[Metrics], None],
    on_step: Callable[[], None] = lambda: None,
) -> None:
    """Train a run to the end of its budget.

    Args:
        run: A new or a resumed run.
        console: Shows the bar if it is a terminal.
        title: Text before the bar.
        on_unit: Called with the losses of each finished unit.
        on_step: Called after each step, also of the stages before the tasks.

    Raises:
        RunLeft: `on_step` raised it.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        row = bar.add_task(title, total=1.0)

        def on_progress(activity: str, fraction: float) -> None:
            bar.update(row, description=f"{title}: {activity}", completed=min(1.0, fraction))
            on_step()

        while not run.done:
            on_unit(run.train_unit(on_progress))
