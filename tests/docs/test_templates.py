"""The examples in docs/templates.md are templates, and its lists are whole."""

import re
from pathlib import Path

import pytest

from schemas.calls import FUNCTIONS
from schemas.fields import WORDS
from schemas.mapping import load
from tests.support.local import ROOT

TEXT = (ROOT / "docs" / "templates.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_is_a_template(tmp_path: Path, number: int) -> None:
    path = tmp_path / "example.yaml"
    path.write_text(EXAMPLES[number], encoding="utf-8")
    assert load(path).version == 1


def test_every_function_and_every_word_is_listed() -> None:
    assert len(EXAMPLES) == 2
    assert [name for name in FUNCTIONS if f"`{name}(" not in TEXT] == []
    assert [word for words in WORDS.values() for word in words if word not in TEXT] == []
