"""The Markdown that this program writes, as HTML: one text for GitHub and for a page of its own."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from itertools import groupby

ESCAPED = re.compile(r"\\([\\`*_\[\]|~])")
PRIVATE = 0xE000  # where characters wait that stand for themselves
MANY = 12  # items of a list, beyond which it has columns
NUMBER = 20  # characters, beyond which a cell is no number
PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
INLINE = (
    (re.compile(r"`([^`]+)`"), r"<code>\1</code>"),
    (re.compile(r"\*\*(.+?)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)"), r'<a href="\2">\1</a>'),
)


def as_html(markdown: str) -> str:
    """Return Markdown as HTML: headings, paragraphs, quotes, lists, tables and pictures, each on lines of its own.

    Text that `markdown_text` has made safe stays what it is; nothing becomes a tag that Markdown does not ask for.
    """
    return "\n".join(_blocks(markdown))


def _blocks(markdown: str) -> Iterator[str]:
    lines = (line for line in markdown.splitlines() if line.strip())
    for kind, group in groupby(lines, _kind):
        if kind == "#":
            for line in group:
                level = len(line) - len(line.lstrip("#"))
                yield f"<h{level}>{inline(line.lstrip('# '))}</h{level}>"
        elif kind == "|":
            yield _table([_cells(line) for line in group])
        elif kind == "- ":
            items = [f"<li>{inline(line[2:])}</li>" for line in group]
            yield ('<ul class="many">' if len(items) > MANY else "<ul>") + "".join(items) + "</ul>"
        elif kind == "![":
            yield '<div class="figures">' + "".join(map(_picture, group)) + "</div>"
        elif kind == "> ":
            yield "".join(f'<p class="note">{inline(line[2:])}</p>' for line in group)
        else:
            yield "".join(f"<p>{inline(line)}</p>" for line in group)


def _kind(line: str) -> str:
    return next((start for start in ("#", "|", "- ", "![", "> ") if line.startswith(start)), "")


def inline(text: str) -> str:
    """Return a line of Markdown as HTML."""
    text = html.escape(html.unescape(ESCAPED.sub(lambda found: chr(PRIVATE + ord(found[1])), text)))
    for pattern, tag in INLINE:
        text = pattern.sub(tag, text)
    return re.sub(f"[{chr(PRIVATE)}-{chr(PRIVATE + 127)}]", lambda found: chr(ord(found[0]) - PRIVATE), text)


def _picture(line: str) -> str:
    alt, file = PICTURE.match(line).groups()  # type: ignore[union-attr]  # it begins as one
    alt, file = html.escape(alt), html.escape(file)
    picture = f'<a href="{file}"><img src="{file}" alt="{alt}" loading="lazy"></a>'
    return f"<figure>{picture}<figcaption>{alt}</figcaption></figure>"


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def _table(rows: list[list[str]]) -> str:
    head, rule, *body = rows
    short = [max(map(len, column)) <= NUMBER for column in zip(*body, strict=False)] or [True] * len(rule)
    rights = [cell.endswith(":") and is_short for cell, is_short in zip(rule, short, strict=False)]

    def row(cells: list[str], tag: str) -> str:
        made = []
        for cell, right in zip(cells, rights, strict=False):
            look = ' class="number"' if right else ""
            made.append(f"<{tag}{look}>{inline(cell)}</{tag}>")
        return f"<tr>{''.join(made)}</tr>"

    lines = "".join(row(cells, "td") for cells in body)
    return (
        f'<div class="scroll" tabindex="0"><table><thead>{row(head, "th")}</thead><tbody>{lines}</tbody></table></div>'
    )
