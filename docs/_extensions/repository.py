"""The pages lie in the repository: what that needs of links, and of the site's first address."""

from pathlib import Path
from typing import Any

from sphinx.addnodes import pending_xref
from sphinx.transforms import SphinxTransform


class Folders(SphinxTransform):
    """Show a link to a folder of the repository as its text alone: on GitHub a folder has a page, here it has none."""

    default_priority = 300  # before links are resolved

    def apply(self, **_: Any) -> None:
        here = Path(self.env.srcdir, self.env.docname).parent
        for link in list(self.document.findall(pending_xref)):
            if (here / link["reftarget"]).is_dir():
                link.replace_self(link.children)


def redirect(app: Any, failure: Exception | None) -> None:
    """Lead from the site's root to the first page."""
    if not failure and app.builder.format == "html":
        page = f'<meta http-equiv="refresh" content="0; url={app.builder.get_target_uri(app.config.root_doc)}">\n'
        Path(app.outdir, "index.html").write_text(page, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    app.add_transform(Folders)
    app.connect("build-finished", redirect)
    return {"parallel_read_safe": True}
