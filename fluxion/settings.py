"""Settings by environment, FLUXION_*: resolved once at the start of a process, then passed by hand."""

import os
import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from fluxion.errors import ConfigurationError

# The help of `--metrics-port`, the one setting that is an option too: several processes on one machine need several ports.
METRICS_PORT = "port of /metrics, /healthz and /readyz; 0: any free one [default: FLUXION_METRICS_PORT, or off]"


class Settings(BaseModel):
    """What every process of the cloud needs to find the services. The defaults are those of the local stack."""

    model_config = ConfigDict(frozen=True)

    database: SecretStr = Field(
        SecretStr("postgresql://fluxion_owner:fluxion_owner@127.0.0.1:25433/fluxion"), description="PostgreSQL DSN"
    )
    kafka: str = Field("127.0.0.1:29092", min_length=1, description="Kafka bootstrap servers, comma-separated")
    schema_registry: str = Field(
        "http://127.0.0.1:28081/apis/ccompat/v7", pattern="^https?://.", description="Confluent API of the registry"
    )
    log_format: str = Field(
        "text", pattern="^(text|json)$", description="logs on standard error: text for a person, json for a collector"
    )
    metrics_port: int | None = Field(
        None, ge=0, le=65_535, description="port of /metrics, /healthz and /readyz; 0: any free one; empty: off"
    )
    metrics_host: str = Field("127.0.0.1", min_length=1, description="address that the metrics' port listens on")
    source_password: SecretStr | None = Field(None, description="the agent's password at the point-of-sale database")
    admin_password: SecretStr | None = Field(None, description="the administrator's, for `system prepare --apply`")
    work_dir: Path | None = Field(None, description="where a processor notes the batch in work")

    @field_validator("metrics_port", mode="before")
    @classmethod
    def _off_where_empty(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("database")
    @classmethod
    def _is_dsn(cls, value: SecretStr) -> SecretStr:
        if not re.match(r"postgres(ql)?://|\s*\w+\s*=", value.get_secret_value()):
            raise ValueError("it is no PostgreSQL DSN, such as postgresql://user:password@host:5432/database")
        return value


def load_settings(*, metrics_port: int | None = None) -> Settings:
    """Read the environment; raises ConfigurationError naming the variable. metrics_port: an option, which goes first."""
    # By hand: pydantic-settings costs the agent 5 MB of the 80 that it may have.
    given = {name: os.environ.get(f"FLUXION_{name.upper()}") for name in Settings.model_fields}
    said = {name: value for name, value in given.items() if value is not None}
    if metrics_port is not None:
        said["metrics_port"] = str(metrics_port)
    try:
        return Settings.model_validate(said)
    except ValidationError as fault:
        first = fault.errors()[0]
        name = "FLUXION_" + "_".join(str(part) for part in first["loc"]).upper()
        raise ConfigurationError(f"{name} is not valid ({first['msg']})", f"set {name} right") from None
