"""Read a YAML file that a user wrote: safely, no key twice, and 1e-5 as a number."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from trainable.cache.files import reading
from trainable.errors import InputError

SUFFIXES = (".yaml", ".yml")


class _Loader(yaml.SafeLoader):
    """YAML 1.1, but for numbers without a point, such as 1e-5, which it takes for words."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that stands twice: the first value would be lost without a word."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key!r} is no text; write it in quotes",
                    problem_mark=key_node.start_mark,
                )
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key!r} stands twice; keep one",
                    problem_mark=key_node.start_mark,
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)
# A date is a word, as in JSON.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if not tag.endswith(":timestamp")]
    for first, known in _Loader.yaml_implicit_resolvers.items()
}


def read_yaml(path: Path, if_missing: str) -> Any:
    """Read a YAML file; an empty one is None.

    Args:
        path: The file.
        if_missing: What the user can do if the file is missing, for the message.

    Raises:
        InputError: The file is missing, cannot be read, is not YAML, or has a key twice or one that
            is no text.
    """
    with reading(path):
        if not path.is_file():
            raise InputError(f"{path}: no such file; {if_missing}")
        text = path.read_text(encoding="utf-8")
    try:
        value = yaml.load(text, _Loader)
        json.dumps(value)
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML ({_explain(error)})") from error
    except (TypeError, ValueError, RecursionError) as error:  # by !!set, !!float x, an alias
        raise InputError(f"{path}: has a value that JSON cannot have ({error})") from error
    return value


def _explain(error: yaml.YAMLError) -> str:
    """Return what is wrong in one line, with the line in the file where it is known."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return " ".join(str(error).split())
    problem = str(error.problem)
    mark = error.problem_mark or error.context_mark
    where = f"line {mark.line + 1}: " if mark else ""
    # `*.pooling` begins like a reference to an anchor.
    hint = "; write what begins with * in quotes" if "alias" in f"{problem} {error.context}" else ""
    return f"{where}{problem}{hint}"
