"""How far the preparation of images is, on a console."""

from contextlib import ExitStack

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pie_cli.data.base import Dataset
from pie_cli.data.load import ImageSource


def load_images(source: ImageSource, console: Console) -> Dataset:
    """Return the images of a source; print where they come from, and a bar while one's own are prepared."""
    columns = (TextColumn("preparing pictures"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with ExitStack() as shown:

        def show(done: int, total: int) -> None:
            if not bar.tasks:  # where nothing is to be prepared, nothing is printed
                shown.enter_context(bar)
                bar.add_task("")
            bar.update(bar.task_ids[0], completed=done, total=total)

        return source.load(console.print, show)
