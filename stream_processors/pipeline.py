"""The chains, as the diagram has them."""

from collections.abc import Callable
from typing import Any

from schemas.records import CanonicalSet
from stream_processors.steps.assemble import assemble
from stream_processors.steps.decode import Decode
from stream_processors.steps.map import Mapping
from stream_processors.steps.rules import apply_rules
from stream_processors.steps.validate import validate


class Chain:
    """Plain functions over frozen structs, one behind the other. What a step raises makes its record poison."""

    def __init__(self, *steps: Callable[[Any], Any]) -> None:
        self._steps = steps

    def __call__(self, passed: Any) -> CanonicalSet:
        """Return what a raw record means."""
        for step in self._steps:
            passed = step(passed)
        made: CanonicalSet = passed
        return made


def records(decode: Decode, mapping: Mapping) -> Chain:
    """pos.changes.v1 → fluxion.records.v1, for one system."""
    return Chain(decode, mapping.apply, validate, apply_rules, assemble)


def mapped_again(mapping: Mapping) -> Chain:
    """A change set that was decoded before → fluxion.records.v1: the same steps, for retry and replay."""
    return Chain(mapping.apply, validate, apply_rules, assemble)
