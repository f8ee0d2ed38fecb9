"""Run a page's Python blocks, in order and in one namespace; show below each what it prints and draws."""

import os
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from docutils import nodes
from sphinx.transforms import SphinxTransform

PAGES = ["docs/TUTORIAL"]


class Executed(SphinxTransform):
    default_priority = 300  # before images are collected

    def apply(self, **_: Any) -> None:
        if self.env.docname not in PAGES:
            return
        folder = Path(self.app.doctreedir) / "drawn" / self.env.docname
        folder.mkdir(parents=True, exist_ok=True)
        namespace: dict[str, Any] = {}
        for block in list(self.document.findall(nodes.literal_block)):
            if block.get("language") != "python":
                continue
            with redirect_stdout(StringIO()) as printed:
                exec(compile(block.astext(), f"{self.env.docname}.md", "exec"), namespace)  # noqa: S102  # our own page
            after: list[nodes.Node] = []
            if text := printed.getvalue().rstrip():
                after.append(nodes.literal_block(text, text, language="text"))
            for number in plt.get_fignums():
                path = folder / f"{block.line}-{number}.png"
                plt.figure(number).savefig(path, dpi=150, bbox_inches="tight")
                uri = os.path.relpath(path, Path(self.env.srcdir, self.env.docname).parent)
                after.append(nodes.image(uri=uri, alt="What the code above draws"))
            plt.close("all")
            index = block.parent.index(block)
            block.parent[index + 1 : index + 1] = after


def setup(app: Any) -> dict[str, bool]:
    plt.switch_backend("agg")
    app.add_transform(Executed)
    return {"parallel_read_safe": True}
