"""The Commands page: every command and option of the program, in the words of its own help."""

import re
from collections import defaultdict
from typing import Any

import typer
from rich.text import Text

from pie_cli.cli.app import app as program

PAGE = "docs/COMMANDS"


def described(parameter: Any, context: typer.Context) -> str:
    """Return the Markdown of an option or argument: what `--help` says of it, its default and bounds at the end."""
    names, said = parameter.get_help_record(context)
    text, _, facts = said.partition("  [")
    facts = re.sub(r"default: (\()?(.*)(?(1)\))", r"Default: \2", facts.removesuffix("]"))
    return f"```{{option}} {names.replace(' / ', ', ').strip(', ')}\n{prose(text)}\n\n{prose(facts)}\n```"


def prose(text: str) -> str:
    """Return a help's text as Markdown: without Rich's markup, options in code."""
    return re.sub(r"(?<!\S)(--[a-z][a-z0-9-]*)", r"`\1`", Text.from_markup(text).plain)


def section(command: Any, name: str) -> str:
    """Return the Markdown of a command."""
    context = typer.Context(command, info_name=name)
    panels: dict[str, list[str]] = defaultdict(list)
    for parameter in command.get_params(context):
        default = "Options" if parameter.param_type_name == "option" else "Arguments"
        panels[parameter.rich_help_panel or default].append(described(parameter, context))
    usage = f"```text\n{name} {' '.join(command.collect_usage_pieces(context))}\n```"
    parts = [f"## {name}", prose(command.help), usage, f"```{{program}} {name}\n```"]
    for panel, options in panels.items():
        parts += [f"### {panel}", *options]
    return "\n\n".join(parts)


def fill(app: Any, page: str, source: list[str]) -> None:
    """Add the commands to the end of their page."""
    if page == PAGE:
        group: Any = typer.main.get_command(program)
        sections = [section(group, "pie"), *(section(one, f"pie {name}") for name, one in group.commands.items())]
        source[0] = "\n\n".join([source[0], *sections])


def setup(app: Any) -> dict[str, bool]:
    app.connect("source-read", fill)
    return {"parallel_read_safe": True}
