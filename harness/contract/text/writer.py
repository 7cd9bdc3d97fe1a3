"""Write YAML that both our YAML 1.2 reader and PyYAML, a YAML 1.1 reader, read back as the same data.

PyYAML's own writer leaves the text `1e-5` unquoted, which YAML 1.2 reads as a number.
"""

from __future__ import annotations

from typing import Any

import yaml

from harness.contract.text.scalar import read_scalar

_PLAIN = "tag:yaml.org,2002:value"
_TEXT = "tag:yaml.org,2002:str"
_BREAKS = frozenset("\x85\u2028\u2029")
"""Unicode line breaks. PyYAML writes them in plain and single-quoted text, where reading turns them into spaces."""
_old = yaml.resolver.Resolver()


class Plain(str):
    """A scalar that is not text (a number, a truth value or null), kept as written."""

    __slots__ = ()


def dump(data: Any, *, width: int = 110) -> str:
    """`data` (maps, lists, text, numbers, `Plain`) as block YAML; text of several lines becomes a literal block."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=width))


def as_read(data: Any) -> Any:
    """`data` as our reader returns it after `dump` has written it."""
    if isinstance(data, Plain):
        return read_scalar(data)
    if isinstance(data, dict):
        return {key: as_read(each) for key, each in data.items()}
    return [as_read(each) for each in data] if isinstance(data, list) else data


class _Dumper(yaml.SafeDumper):
    """PyYAML's writer; it quotes any text that YAML 1.1 or YAML 1.2 would read as another type."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is not yaml.ScalarNode:
            return super().resolve(kind, value, implicit)
        return _PLAIN if implicit[0] and _reads_as_other_type(value) else _TEXT


def _reads_as_other_type(text: str) -> bool:
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
