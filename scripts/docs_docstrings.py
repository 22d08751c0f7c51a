"""How the documentation site reads the package, where what is read alone would mislead."""

from __future__ import annotations

import re

import griffe

_SEVERAL = re.compile(r"^ +([a-z]\w*)(?:, [a-z]\w*)+(?=: )", re.MULTILINE)


class SharedLines(griffe.Extension):
    """Keeps ``start, end: seconds`` together, which would be ``start`` of a type ``end``."""

    def on_function(self, *, func: griffe.Function, **_: object) -> None:
        """Griffe's event: a function was read, its docstring is not taken apart yet."""
        _join(func, {parameter.name: parameter.annotation for parameter in func.parameters})

    def on_class_members(self, *, cls: griffe.Class, **_: object) -> None:
        """Griffe's event: a class and what is in it were read."""
        _join(cls, {name: getattr(one, "annotation", None) for name, one in cls.members.items()})


class FunctionsBeforeModules(griffe.Extension):
    """A public name that a function and its module share is the function's."""

    def on_package(self, *, pkg: griffe.Module, **_: object) -> None:
        """Griffe's event: the whole package was read, its imports are not followed yet."""
        for name, member in pkg.members.items():
            if not isinstance(member, griffe.Alias):
                continue
            place, _, inside = member.target_path.removeprefix(f"{pkg.path}.").rpartition(".")
            found = pkg[place].members.get(inside) if place in pkg.members else None
            if isinstance(found, griffe.Module) and inside in found.members:
                pkg.members[name] = griffe.Alias(
                    name, f"{found.path}.{inside}", lineno=member.alias_lineno, parent=pkg
                )


def _join(thing: griffe.Class | griffe.Function, types: dict[str, object]) -> None:
    """Names that share a line become one name, of the first one's type."""

    def line(match: re.Match[str]) -> str:
        together = match[0].replace(", ", ",\N{NO-BREAK SPACE}")
        kind = types.get(match[1])
        return together if kind is None else f"{together} ({kind})"

    if thing.docstring is not None:
        thing.docstring.value = _SEVERAL.sub(line, thing.docstring.value)
