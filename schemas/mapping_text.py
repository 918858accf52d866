"""A template's text: YAML, what it extends, and the sentences that say what is wrong with its form."""

import re
from collections.abc import Collection
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic_core import ErrorDetails

from fluxion.errors import MappingError
from schemas import blocks, forms, template

MAX_BASES = 20


def builtin_names() -> list[str]:
    """Return the names of the templates that come with the program."""
    folder = files("schemas").joinpath("systems")
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def read(source: str | Path) -> tuple[dict[str, Any], str]:
    """Return a template as plain data with everything that it extends merged in, and what to call it in a sentence.

    `source`: a built-in name, or a YAML file; a file's base may be a built-in one or a file beside it.
    """
    path = Path(source)
    if path.suffix in {".yaml", ".yml"}:
        name, data = f"the template {path}", _parsed(_text(path), str(path))
        return _with_bases(data, name, path.parent), name
    name = f"the template {source}"
    return _with_bases(_parsed(_builtin(str(source)), str(source)), name, None), name


def near(name: str, known: Collection[str]) -> str:
    """Return ", did you mean 'x'?" where one of the known names is close, else nothing."""
    found = get_close_matches(name.casefold(), [entry.casefold() for entry in known], 1)
    spelled = [entry for entry in known if found and entry.casefold() == found[0]]
    return f", did you mean {spelled[0]!r}?" if spelled else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        message = f"the template {path} cannot be read ({fault})"
        raise MappingError(message, "name a readable YAML file in UTF-8") from None


def _builtin(name: str) -> str:
    names = builtin_names()
    if name not in names:
        message = f"there is no template {name!r}{near(name, names)}"
        raise MappingError(message, f"name one of {', '.join(names)}, or a YAML file")
    return files("schemas").joinpath("systems", f"{name}.yaml").read_text(encoding="utf-8")


# YAML ----------------------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """YAML 1.2's booleans only, so that Y, N, yes, no and on stay text; a key that stands twice is a fault."""

    yaml_implicit_resolvers = {  # noqa: RUF012 -- the base class declares it without ClassVar
        letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
        for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _without_doubles(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        if key.value in seen:
            message = f"line {key.start_mark.line + 1}: {key.value!r} stands twice"
            raise yaml.YAMLError(message)
        seen.add(str(key.value))
    return loader.construct_mapping(node, deep=True)


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_constructor("tag:yaml.org,2002:map", _without_doubles)


def _parsed(text: str, name: str) -> dict[str, Any]:
    try:
        data = yaml.load(text, _Loader)  # noqa: S506 -- a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as fault:
        message = f"the template {name} is not YAML ({' '.join(str(fault).split())})"
        raise MappingError(message, "correct that line") from None
    if not isinstance(data, dict):
        message = f"the template {name} does not fit the format: it is no mapping of names to values"
        raise MappingError(message, "begin with `template:`, `version:`, `title:` and `databases:`")
    return data


# Extending -----------------------------------------------------------------------------------------------------------


def _with_bases(data: dict[str, Any], name: str, folder: Path | None) -> dict[str, Any]:
    """Merge a template over its base, and that over its own, until one extends none."""
    made, seen = data, [f"{data.get('template')}@{data.get('version')}"]
    while "extends" in made:
        wanted = made["extends"]
        if wanted in seen or len(seen) > MAX_BASES:
            message = f"{name} extends itself: {' → '.join([*seen, str(wanted)])}"
            raise MappingError(message, "let the last of them extend none, or another")
        seen.append(str(wanted))
        base = _base(wanted, name, folder)
        missing = [key for key in ("template", "version") if key not in made]
        if missing:
            message = f"{name} has no {' and no '.join(missing)} of its own"
            raise MappingError(
                message, "a template that extends another is another one: name it, and give it a version"
            )
        made = merged(base, {key: value for key, value in made.items() if key != "extends"})
    return made


def _base(wanted: object, name: str, folder: Path | None) -> dict[str, Any]:
    found = re.fullmatch(r"([\w-]+)@(\d+)", wanted) if isinstance(wanted, str) else None
    if found is None:
        message = f"{name}: extends is {wanted!r}"
        raise MappingError(message, "write name@version, such as systimax@1")
    beside = folder / f"{found[1]}.yaml" if folder is not None else None
    if found[1] not in builtin_names() and beside is not None and beside.is_file():
        base = _parsed(_text(beside), str(beside))
    else:
        base = _parsed(_builtin(found[1]), found[1])
    if str(base.get("version")) != found[2]:
        message = f"{name} extends {wanted}, and {found[1]} is at version {base.get('version')}"
        raise MappingError(message, f"look at what changed, and say extends: {found[1]}@{base.get('version')}")
    return base


# Where keys are merged: in the template's own sections and in a sale's `lines`. Below them everything is one value.
_SECTIONS = {
    "": frozenset({"defaults", "category", "supplier", "product", "stock", "movement", "sale"}),
    "sale": frozenset({"lines"}),
}


def merged(base: dict[str, Any], over: dict[str, Any], section: str = "") -> dict[str, Any]:
    """Return `over` laid over `base`, as `extends` means it.

    The template, `defaults`, a block and a sale's `lines` are merged key by key. Whatever stands at a key is replaced
    whole: a value, a list, a `where`, a `map`. null takes the key away. An entity with one block takes a block that is
    merged, or a list that replaces it; over several blocks a block of the same `from` is merged into that one.
    """
    made = dict(base)
    for key, value in over.items():
        under = made.get(key)
        if isinstance(under, list) and len(under) == 1 and isinstance(value, dict):
            under = under[0]
        same = _same_table(under, value)
        if value is None:
            made.pop(key, None)
        elif key not in _SECTIONS.get(section, ()) or not isinstance(value, dict):
            made[key] = value
        elif isinstance(under, list) and same is not None:
            made[key] = [merged(one, value, key) if place == same else one for place, one in enumerate(under)]
        elif isinstance(under, list):
            message = f"{key} has several blocks in what the template extends"
            mend = f"say the `from` of the one that you mean, or write {key} as a list, whole: it replaces the base's"
            raise MappingError(message, mend)
        else:
            made[key] = merged(under, value, key) if isinstance(under, dict) else value
    return made


def _same_table(under: object, value: object) -> int | None:
    """Return the place of the one block, of several, whose table this block names."""
    if not isinstance(under, list) or not isinstance(value, dict) or "from" not in value:
        return None
    places = [place for place, one in enumerate(under) if isinstance(one, dict) and one.get("from") == value["from"]]
    return places[0] if len(places) == 1 else None


# Faults of form ------------------------------------------------------------------------------------------------------

_FORMS = {"constant", "column", "called", "primary", "columns", "reference", "table", "row"}


def said(detail: ErrorDetails) -> str:
    """Put pydantic's fault into a sentence that names the place as the template spells it."""
    # Pydantic names the form of a value among the places; "column" is also a key, and then it stands last.
    *above, last = detail["loc"] or ("template",)
    place = ".".join(str(part) for part in [*(part for part in above if part not in _FORMS), last])
    if detail["type"] == "extra_forbidden":
        return f"{place} is not known{near(str(last), _NAMES)}"
    if detail["type"] == "missing":
        return f"{place} is missing"
    return f"{place}: {detail['msg'].removeprefix('Value error, ')}"


def _all_names() -> list[str]:
    models = (
        kind
        for module in (forms, blocks, template)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, BaseModel)
    )
    return sorted({info.alias or name for kind in models for name, info in kind.model_fields.items()})


_NAMES = _all_names()
