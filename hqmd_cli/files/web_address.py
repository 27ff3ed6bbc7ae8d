"""Addresses of photos on the web; web_photos.py, which takes longer to import, downloads them."""

import re
from urllib.parse import unquote, urlsplit

SCHEMES = ("http://", "https://")
LONGEST_NAME = 100  # letters
# Parameters with which an address signs itself: those of S3, Google and Azure, and what others call such a thing.
SECRETS = re.compile(r"([?&](?:[^=&#]*(?:sig|secret|token|credential|password|key)[^=&#]*)=)[^&#]+", re.IGNORECASE)


def is_web_address(text: str) -> bool:
    """True for http:// and https://."""
    return text.lower().startswith(SCHEMES)


def without_secrets(text: str) -> str:
    """Hide names, passwords and signatures in an address, or in a message that quotes one: http://***@host/a.jpg."""
    return SECRETS.sub(r"\1***", re.sub(r"(://)[^/?#\s]*@", r"\1***@", text))


def name_of(url: str) -> str:
    """Return the last part of an address as a plain name of a file, such as "a b.jpg" for .../a%20b.jpg?size=2."""
    try:
        last = unquote(urlsplit(url).path).rpartition("/")[2]
    except ValueError:  # no address; whoever asks for it says so
        last = ""
    return re.sub(r"[^\w.() -]", "_", last).strip(". ")[-LONGEST_NAME:] or "photo"
