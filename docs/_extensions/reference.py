"""The Python reference: configurations with the help and default of every field, also those of their base classes."""

from dataclasses import fields
from typing import Any

from docutils import nodes
from rich.text import Text

from pie_cli.settings import Settings


def signature(app: Any, what: str, name: str, one: Any, *_: Any) -> tuple[str, None] | None:
    """Return the signature without types, whose bounds would fill the screen."""
    if not is_settings(one):
        return None
    return f"({', '.join(f'{field.name}={field.default!r}' for field in fields(one))})", None


def docstring(app: Any, what: str, name: str, one: Any, options: Any, lines: list[str]) -> None:
    """List all fields below the description, their help without Rich's markup."""
    if is_settings(one):
        helps = (f"    {field.name}: {Text.from_markup(field.metadata['help']).plain}" for field in fields(one))
        lines[lines.index("Arguments:") :] = ["Arguments:", *helps, ""]


def is_settings(one: Any) -> bool:
    return isinstance(one, type) and issubclass(one, Settings)


def dashes(app: Any, page: nodes.document) -> None:
    """Put a dash in the place of the two hyphens that Sphinx puts between a parameter and its description."""
    for text in page.findall(nodes.Text):
        if text == " -- ":
            text.parent.replace(text, nodes.Text(" – "))


def setup(app: Any) -> dict[str, bool]:
    app.connect("autodoc-process-signature", signature)
    app.connect("autodoc-process-docstring", docstring, priority=400)  # before napoleon reads it
    app.connect("doctree-read", dashes)
    return {"parallel_read_safe": True}
