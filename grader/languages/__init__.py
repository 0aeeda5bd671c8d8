"""Translations of what students read, a file a language. Light: it is asked before anything need be installed."""

from __future__ import annotations

from importlib.resources import files

DEFAULT = "en"
HERE = files("grader.languages")  # which may lie in a zip
LANGUAGES = (DEFAULT, *sorted(file.name[:-5] for file in HERE.iterdir() if file.name.endswith(".toml")))
