"""Every error says its class, whether a retry can help, and how it is mended.

Drivers' errors are translated once, where the driver is called; nothing else in the project catches them.
"""

from enum import StrEnum
from typing import ClassVar


class ErrorClass(StrEnum):
    """The four classes that the specification names."""

    CONNECTION = "CONNECTION_ERROR"
    DATA_VALIDATION = "DATA_VALIDATION_ERROR"
    MAPPING = "MAPPING_ERROR"
    BUSINESS_RULE = "BUSINESS_RULE_ERROR"


class Retry(StrEnum):
    """Whether trying again can help: by itself and soon, after somebody mended something, or never."""

    SOON = "soon"
    AFTER_MENDING = "after_mending"
    NEVER = "never"


class FluxionError(Exception):
    """The root of every error that this project raises.

    `str()` is one sentence for a person: what is wrong and, behind a semicolon, what mends it.
    """

    code: ClassVar[str] = "INTERNAL"
    error_class: ClassVar[ErrorClass] = ErrorClass.BUSINESS_RULE
    retry: ClassVar[Retry] = Retry.NEVER
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, mend: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.message}; {self.mend}" if self.mend else self.message


class DependencyDownError(FluxionError):
    """A service that we need does not answer. Wait and try again; exit 69."""

    code = "DEPENDENCY_DOWN"
    error_class = ErrorClass.CONNECTION
    retry = Retry.SOON
    exit_code = 69


class AccessDeniedError(FluxionError):
    """A service refuses our credentials or lacks a privilege."""

    code = "ACCESS_DENIED"
    error_class = ErrorClass.CONNECTION
    retry = Retry.AFTER_MENDING
    exit_code = 78


class ConfigurationError(FluxionError):
    """A setting, a file or an argument is wrong; exit 78."""

    code = "CONFIGURATION"
    error_class = ErrorClass.MAPPING
    retry = Retry.AFTER_MENDING
    exit_code = 78


class SourceNotReadyError(FluxionError):
    """The point-of-sale database is not set up for capture (binlog off, wrong format, …)."""

    code = "SOURCE_NOT_READY"
    error_class = ErrorClass.CONNECTION
    retry = Retry.AFTER_MENDING
    exit_code = 78


class PositionLostError(FluxionError):
    """The source no longer has, or never had, the position from which we must go on. Never skipped: a snapshot mends it."""

    code = "POSITION_LOST"
    error_class = ErrorClass.CONNECTION
    retry = Retry.AFTER_MENDING
    exit_code = 78


class AnotherSourceError(PositionLostError):
    """The database is another one than the one that was read until now. Only a person may say that this is meant."""

    code = "ANOTHER_SOURCE"


class MappingError(FluxionError):
    """A template does not fit its own rules, or a source's tables."""

    code = "MAPPING"
    error_class = ErrorClass.MAPPING
    retry = Retry.AFTER_MENDING


class DataValidationError(FluxionError):
    """A value cannot be taken as it stands (text that is no number, a NUL, out of range)."""

    code = "INVALID_VALUE"
    error_class = ErrorClass.DATA_VALIDATION
    retry = Retry.AFTER_MENDING


class BusinessRuleError(FluxionError):
    """The data are well-formed but break a rule (an unknown store, two stores and no column)."""

    code = "BUSINESS_RULE"
    error_class = ErrorClass.BUSINESS_RULE
    retry = Retry.AFTER_MENDING


class FencedError(FluxionError):
    """Another process took over our work; this one ends at once and is not started again in its old place."""

    code = "FENCED"
    error_class = ErrorClass.CONNECTION
    retry = Retry.SOON
    exit_code = 70


class TwoAgentsError(FencedError):
    """Another agent ships for the same system. A new start would not help: one of the two is one too many."""

    code = "TWO_AGENTS"
    retry = Retry.AFTER_MENDING
    exit_code = 78


class TopicReplacedError(FluxionError):
    """A topic is another one than the one whose offsets PostgreSQL holds; going on would lose or double."""

    code = "TOPIC_REPLACED"
    error_class = ErrorClass.CONNECTION
    retry = Retry.AFTER_MENDING
    exit_code = 78
