"""Every link inside the built site leads somewhere, and it loads nothing from elsewhere.

python docs/check_links.py build/docs
"""

from __future__ import annotations

import argparse
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Page(HTMLParser):
    """What a page links to, what it loads, and which places it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        words = (dict(attrs).get("rel") or "").split()
        loads = tag in ("script", "img", "iframe", "source") or "stylesheet" in words
        for key, value in attrs:
            if key in ("href", "src") and value:
                self.links.append(value)
                if loads:
                    self.loaded.append(value)
            elif key == "id" and value:
                self.places.add(value)


def broken_links(site: Path) -> list[str]:
    """A line for each link that leads nowhere, and for each file that comes from another place."""
    pages = {path.resolve(): _Page(path.read_text()) for path in site.rglob("*.html")}
    found = []
    for path, page in pages.items():
        name = path.relative_to(site.resolve())
        found += [f"{name}: {link} is loaded from elsewhere" for link in page.loaded if urlsplit(link).netloc]
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                found.append(f"{name}: {link} is not there")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].places:
                found.append(f"{name}: {link} has no such place")
    return sorted(set(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("site", type=Path, help="folder that Sphinx filled")
    site = parser.parse_args().site
    if not (site / "index.html").is_file():
        parser.error(f"{site} has no index.html; make docs builds the site")
    found = broken_links(site)
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
