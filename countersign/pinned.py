"""Pinned models: whether the model that answered is the one that was asked."""

from __future__ import annotations

import re

# What providers add to a model's name when they say which build of it answered.
_BUILD = re.compile(r"[-@:](?:20\d\d-?[01]\d-?[0-3]\d|\d{3,4}|latest)(?:-v\d+)?(?::\d+)?")
_LATEST = re.compile(r"[-@:]latest$")
# Where a model is served from, as bedrock puts it before the name: us.anthropic.claude…
_HOUSE = re.compile(r"^(?:[a-z]+\.)+(?=[a-z])")


def same_model(asked: str, answered: str) -> bool:
    """Whether an answer that names `answered` is one of the model `asked`.

    The provider before the name is passed over. An undated name may be answered by any dated build of it; a name
    that says its build must be answered by just that. An answer without a name says nothing against itself.
    """
    wanted, given = _LATEST.sub("", _bare(asked)), _bare(answered)
    if not given or wanted == given or wanted == _LATEST.sub("", given):
        return True
    return given.startswith(wanted) and _BUILD.fullmatch(given[len(wanted) :]) is not None


def _bare(name: str) -> str:
    return _HOUSE.sub("", name.strip().casefold().rpartition("/")[2])
