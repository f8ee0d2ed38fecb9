"""Pages as one file each: templates, style and scripts of the folder `web`, put together. Nothing is fetched."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

WEB = Path(__file__).with_name("web")
# Modules of a model's page, each after those that it imports: in one file they share one scope.
MODEL_SCRIPTS = (
    "tensors", "networks", "bijections", "couplings", "rotations", "pie", "baselines", "coding",
    "pictures", "colours", "studio", "view", "map", "decoder", "levels", "line", "samples", "strokes", "own", "main",
)  # fmt: skip


def rendered(template: str, scripts: tuple[str, ...] = (), **values: Any) -> str:
    """Return a page made of a template in `web`; values are escaped.

    The page has a policy that allows this script, inline styles and nothing else: no network, no other script.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    files = FileSystemLoader(WEB, encoding="utf-8")
    environment = Environment(loader=files, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.lstrip_blocks = True
    script = script_of(scripts)
    values |= {"style": safe(read("style.css")), "script": safe(script)}
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(template).render(script_hash=digest, **values)


def script_of(modules: tuple[str, ...]) -> str:
    """Return modules as one script: without their imports, and without the word export."""
    text = "\n".join(read(f"{name}.js") for name in modules)
    text = re.sub(r"^import \{[^}]*\} from \"[^\"]+\";\n", "", text, flags=re.MULTILINE)
    return re.sub(r"^export (?=(?:async )?(?:function|class|const)\b)", "", text, flags=re.MULTILINE)


@cache
def read(name: str) -> str:
    """Return a file of `web`."""
    return (WEB / name).read_text(encoding="utf-8")


def safe(text: str) -> Any:
    """Return a text that templates must not escape: a file of `web`, or what was made safe."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704


def as_json(value: Any) -> Any:
    """Return JSON that can stand in a script element: no text in it can end that element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return safe(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


def as_base64(content: bytes) -> Any:
    """Return bytes as text for a script element."""
    return safe(base64.b64encode(content).decode())
