import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from fluxion.errors import ConfigurationError
from producers.enrol import tables_of
from producers.home import CONFIG, AgentConfig, SourceSection, only_one, read_config, write_config


def test_tables_are_collected_at_every_depth() -> None:
    mapping = {
        "product": {"from": "items", "key": "id"},
        "sale": {"from": "transactions", "lines": {"from": "details"}, "more": [{"from": "other"}]},
        "poll": {"items": {"compare": "full"}},
    }
    assert tables_of(mapping) == ["details", "items", "other", "transactions"]


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@settings(deadline=None)
@given(texts, texts, st.one_of(st.none(), texts))
def test_agent_toml_reads_back_as_it_was_written(user: str, table: str, password: str | None) -> None:
    secret = SecretStr(password) if password is not None else None
    source = SourceSection(host="h", port=1, user=user, database="d", tables=[table, "t"], password=secret)
    config = AgentConfig(system_id="s", epoch=1, source=source)
    with tempfile.TemporaryDirectory() as folder:
        write_config(Path(folder), config)
        assert read_config(Path(folder)) == config


@pytest.mark.parametrize(
    ("text", "said"), [("nonsense", "cannot be read"), ("epoch = 0", "not valid"), ("", "system_id"), (None, "enrol")]
)
def test_a_wrong_agent_toml_is_one_sentence_with_its_mend(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / CONFIG).write_text(text)
    with pytest.raises(ConfigurationError, match=said) as caught:
        read_config(tmp_path)
    assert caught.value.mend


def test_a_folder_is_one_agents_at_a_time(tmp_path: Path) -> None:
    with only_one(tmp_path), pytest.raises(ConfigurationError, match="another agent"), only_one(tmp_path):
        pass
    with only_one(tmp_path):
        pass
