"""A config with one key changed, for each key that its family reads and whose change leaves every tensor's shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.reference.model.families import declare
from harness.reference.model.tensors import Stored

Path = tuple[str, ...]
WORDS = {
    "silu": "gelu",
    "gelu": "silu",
    "gelu_pytorch_tanh": "silu",
    "relu2": "silu",
    "sliding_attention": "full_attention",
    "full_attention": "sliding_attention",
}


@dataclass(frozen=True)
class Turn:
    """A changed config. `name` says the key, the value that was there and the value that is."""

    name: str
    config: Mapping[str, Any]
    keys: tuple[str, ...]
    """The keys on top of the config in which something is changed."""

    def __hash__(self) -> int:
        return hash(self.name)


def turns(config: Mapping[str, Any]) -> list[Turn]:
    """One changed config per key and other value that the family can read with the same tensors.

    Keys in `rope_parameters`, and lists with an entry for each layer, count one by one; a key that stands in two places
    (`rope_theta`, in files of the older kind) is changed in both where one alone would contradict the other.
    """
    right, leaves, found = declare(config), list(_leaves(config)), dict[str, Turn]()
    for path, value in leaves:
        if path[0] not in right.keys:
            continue
        twins = [each for each, same in leaves if each[-1] == path[-1] and same == value]
        for other in _others(value):
            alone, both = _with(config, path, other), config
            for twin in twins:
                both = _with(both, twin, other)
            for changed, places in ((alone, [path]), (both, twins)):
                if _fits(changed, right):
                    name = " and ".join(".".join(place) for place in places)
                    told = f"{name}: {value!r} to {other!r}"
                    found.setdefault(told, Turn(told, changed, tuple(place[0] for place in places)))
                    break
    return list(found.values())


def not_turned(config: Mapping[str, Any]) -> list[str]:
    """The keys that the family reads and `turns` leaves alone: another value is refused, or asks for other tensors."""
    turned = {key for turn in turns(config) for key in turn.keys}
    return [key for key in declare(config).keys if config.get(key) is not None and key not in turned]


def _fits(config: Mapping[str, Any], right: Stored) -> bool:
    try:
        return declare(config).shapes() == right.shapes()
    except (ValueError, KeyError, TypeError, ZeroDivisionError):
        return False


def _leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, Mapping):
        for key in value:
            yield from _leaves(value[key], (*path, str(key)))
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _leaves(item, (*path, str(i)))
    else:
        yield path, value


def _others(value: Any) -> list[Any]:
    """Two other values of the same kind, near enough to be right for another model."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [n for n in (value + 1, value - 1) if n > 0]
    if isinstance(value, float):
        return [value * 2, value / 4] if value else [0.5]
    return [WORDS[value]] if value in WORDS else []


def _with(value: Any, path: Path, other: Any) -> Any:
    """A copy with another value at the path."""
    if not path:
        return other
    if isinstance(value, Mapping):
        return {key: _with(item, path[1:], other) if str(key) == path[0] else item for key, item in value.items()}
    return [_with(item, path[1:], other) if str(i) == path[0] else item for i, item in enumerate(value)]
