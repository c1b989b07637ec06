"""Write the table of all components in `spaces/docs/components.md` from the models.

python -m spaces.component_table          replaces the text between the two marks of that document
python -m spaces.component_table FILE.md  does the same in another document
"""

from __future__ import annotations

import sys
from pathlib import Path

from spaces.component_fields import field_component, field_domain, field_family, field_prior
from trainable.cache.files import write_text
from trainable.component import Component, PerTask, PriorSpread, PriorWeights, TaskSubset
from trainable.run_config import RunConfig
from trainable.task_config import TASK_CONFIGS
from trainable.task_fields import mark_of

DOCUMENT = Path(__file__).with_name("docs") / "components.md"
BEGIN, END = "<!-- components: begin -->", "<!-- components: end -->"


def families() -> dict[str, dict[str, type[Component]]]:
    """Return family -> kind -> model, for every family that a RunConfig can hold."""
    found: dict[str, dict[str, type[Component]]] = {}
    waiting: list[type[Component]] = [RunConfig, *TASK_CONFIGS.values()]
    seen: set[type[Component]] = set()
    while waiting:
        model = waiting.pop(0)
        if model in seen:
            continue
        seen.add(model)
        for name, field in model.model_fields.items():
            family = field_family(field)
            if family:
                members = found.setdefault(name, {})
                for kind, member in family.items():
                    # The cosine of a decision has a threshold, that of a number has none.
                    taken = members.get(kind, member) is not member
                    members[f"{kind} ({member.__name__})" if taken else kind] = member
                waiting.extend(family.values())
            elif component := field_component(field):
                waiting.append(component)
    return found


def table() -> str:
    """Return the table as Markdown."""
    lines = [
        "| family | kind | what it is | hyperparameters: range (default) |",
        "|---|---|---|---|",
    ]
    for family, members in families().items():
        for kind, model in sorted(members.items()):
            summary = (model.__doc__ or "").strip().splitlines()[0].replace("|", "\\|")
            lines.append(f"| {family} | `{kind}` | {summary} | {_hyperparameters(model)} |")
    return "\n".join(lines)


def _hyperparameters(model: type[Component]) -> str:
    parts = []
    for name, field in model.model_fields.items():
        domain = field_domain(field)
        if domain is not None:
            text = str(domain).replace("|", "\\|")
            parts.append(f"`{name}`: {text} ({field.default}){_first(field_prior(field))}")
        elif isinstance(mark := mark_of(field), TaskSubset):
            parts.append(f"`{name}`: some of the tasks ({field.default})")
        elif isinstance(mark, PerTask):
            kinds = "".join(f", {kind}: {value:.2g}" for kind, value in mark.by_kind.items())
            parts.append(f"`{mark.prefix}TASK`: {mark.domain} ({mark.default:g}{kinds})")
        elif field_family(field):
            parts.append(f"`{name}`: see {name}{_first(field_prior(field))}")
    return "; ".join(parts) or "none"


def _first(mark: PriorSpread | PriorWeights | None) -> str:
    """Return where a search looks first, if that stands beside a field."""
    if isinstance(mark, PriorSpread):
        return f", spread {mark.share:g}"
    if mark is None:
        return ""
    each = sorted(mark.of.items(), key=lambda own: -own[1])
    return ", first " + ", ".join(f"{value} {weight:g}" for value, weight in each)


def update(text: str) -> str:
    """Return a document in which the present table stands between the marks."""
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:] or [str(DOCUMENT)]):
        write_text(path, update(path.read_text(encoding="utf-8")))
