"""Writing YAML that reads back the same by YAML 1.2, as our loader reads it, and by YAML 1.1, as PyYAML does.

PyYAML's own writer leaves the text `1e-5` unquoted, which YAML 1.2 reads as a number.
"""

from __future__ import annotations

from typing import Any

import yaml

from harness.contract.text.scalar import read_scalar

_PLAIN = "tag:yaml.org,2002:value"
_TEXT = "tag:yaml.org,2002:str"
_BREAKS = frozenset("\x85\u2028\u2029")
"""Line breaks of Unicode that PyYAML writes into unquoted and singly quoted text, where they fold to spaces."""
_old = yaml.resolver.Resolver()


class Plain(str):
    """A scalar that is no text (a number, a truth value, null), kept as it was written."""

    __slots__ = ()


def dump(data: Any, *, width: int = 110) -> str:
    """`data` (maps, lists, text, numbers, `Plain`) as block YAML; many-lined text as a literal block."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=width))


def as_read(data: Any) -> Any:
    """`data` as it comes back from what `dump` writes."""
    if isinstance(data, Plain):
        return read_scalar(data)
    if isinstance(data, dict):
        return {key: as_read(each) for key, each in data.items()}
    return [as_read(each) for each in data] if isinstance(data, list) else data


class _Dumper(yaml.SafeDumper):
    """PyYAML's writer, with another idea of which unquoted text is no text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is not yaml.ScalarNode:
            return super().resolve(kind, value, implicit)
        return _PLAIN if implicit[0] and _no_text(value) else _TEXT


def _no_text(text: str) -> bool:
    if _old.resolve(yaml.ScalarNode, text, (True, False)) != _TEXT:
        return True
    try:
        return not isinstance(read_scalar(text), str)
    except ValueError:
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    if not _BREAKS.isdisjoint(value):
        return dumper.represent_scalar(_TEXT, value, style='"')
    paragraph = value.endswith("\n") and "\n" not in value[:-1]
    style = ">" if paragraph else "|" if "\n" in value else None
    return dumper.represent_scalar(_TEXT, value, style=style)


def _plain(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(_PLAIN, str(value) or "null")


def _number(dumper: _Dumper, value: Any) -> yaml.ScalarNode:
    known = yaml.SafeDumper.yaml_representers[type(value)](dumper, value)
    return dumper.represent_scalar(_PLAIN, known.value)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(Plain, _plain)
for _kind in (bool, int, float, type(None)):
    _Dumper.add_representer(_kind, _number)
