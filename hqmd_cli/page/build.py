"""Pages of HTML from the files of this folder."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

FOLDER = Path(__file__).parent
LOOK, INDEX, STYLE = "look.html.jinja", "index.html.jinja", "viewer.css"
# In the order of their imports. start.js is for look.html alone.
MODULES = (
    "png.js",
    "measure.js",
    "colours.js",
    "marks.js",
    "export.js",
    "layout.js",
    "view3d.js",
    "stage.js",
    "room.js",
    "viewer.js",
)
START = "start.js"
IMPORT = re.compile(r"^import .* from \"\./[\w.]+\";\n", re.MULTILINE)
EXPORT = re.compile(r"^export ", re.MULTILINE)
COMMENT_LINE = re.compile(r"^\s*(//|/\*\*.*\*/$).*\n", re.MULTILINE)


@cache
def text_of(name: str) -> str:
    """Read a file of this folder."""
    return (FOLDER / name).read_text(encoding="utf-8")


@cache
def script() -> str:
    """Return all modules as one, without their imports and comments, for a page that is one file."""
    whole = "".join(EXPORT.sub("", IMPORT.sub("", text_of(name))) for name in (*MODULES, START))
    return COMMENT_LINE.sub("", whole)


@cache
def jinja_for(folder: Path = FOLDER) -> Environment:
    """Make Jinja's environment for the templates of a folder; it escapes texts unless the template says otherwise."""
    jinja = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters |= {"in_script": in_script, "sha256": sha256}
    return jinja


def look_page(values: Mapping[str, Any]) -> str:
    """Return the page of one photo; `values` are those that the template names, pictures as bytes."""
    as_text = {key: in_base64(value) if isinstance(value, bytes) else value for key, value in values.items()}
    return jinja_for().get_template(LOOK).render(as_text, script=script(), style=text_of(STYLE))


def index_page(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield the page of a folder piece by piece; `values` are those that the template names."""
    return jinja_for().get_template(INDEX).generate(values, style=text_of(STYLE))


def in_base64(content: bytes) -> Markup:
    """Encode bytes in base64, which needs no escaping."""
    return Markup(base64.b64encode(content).decode())


def sha256(text: str) -> str:
    """Return the hash by which a page's policy allows a script or a style."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def in_script(data: Any) -> Markup:
    """Write plain data as JSON for a script element, which would end at the first </script, quoted or not."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e"))
