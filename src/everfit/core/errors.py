"""Classes of all errors that Everfit raises; docs/reference/errors.md draws their tree.

A message states the rule, the value that broke it, and the remedy. HTTP statuses and exit codes are mapped where
requests and commands are handled.
"""

from __future__ import annotations


class EverfitError(Exception):
    """Base class of all errors of Everfit.

    Args:
        rule: What must hold, or what went wrong, as a clause without a full stop.
        value: The value that broke the rule; shown with ``repr`` unless it is ``None``.
        remedy: What to do, as a sentence.
        place: The definition, setting or file concerned, for example ``model late_arrival, label``.
    """

    def __init__(self, rule: str, *, value: object = None, remedy: str = "", place: str = "") -> None:
        self.rule = rule
        self.value = value
        self.remedy = remedy
        self.place = place
        super().__init__(rule, value, remedy, place)

    def __str__(self) -> str:
        text = f"{self.place}: {self.rule}" if self.place else self.rule
        if self.value is not None:
            text += f", but got {self.value!r}"
        text += "."
        return f"{text} {self.remedy}" if self.remedy else text


class MisuseError(EverfitError):
    """The call itself is wrong."""


class DefinitionError(MisuseError):
    """A definition in the project file is invalid."""


class SettingsError(MisuseError):
    """A setting in everfit.toml, a variable or a flag is wrong."""


class ProjectError(MisuseError):
    """There is no project here, or its module cannot be imported."""


class DataError(EverfitError):
    """The data is not what was declared."""


class SourceError(DataError):
    """A source cannot be read, or lacks a column."""


class TimestampError(DataError):
    """An instant without a time zone."""


class DuplicateError(DataError):
    """An id that must be unique is not."""


class EmptyWindowError(DataError):
    """There are no rows in the requested window."""


class LabelError(DataError):
    """Nothing can be learned from the labels."""


class TrainingError(EverfitError):
    """The trainer raised, or returned something unusable."""


class PackageError(EverfitError):
    """A model package that must not be used."""


class CorruptPackageError(PackageError):
    """A file of the package is missing, or its digest differs from the manifest's."""


class UntrustedPackageError(PackageError):
    """Loading the package would run code that this system did not sign."""


class RegistryError(EverfitError):
    """The registry rejects the call."""


class UnknownVersionError(RegistryError):
    """There is no such model, version or alias."""


class StoreError(EverfitError):
    """A store cannot be opened, read or written."""


class UnknownPredictionError(StoreError):
    """No prediction with that id is recorded."""


class AlertError(EverfitError):
    """An alert could not be delivered."""


class LoopError(EverfitError):
    """The loop cannot start or continue."""


class ProcessError(EverfitError):
    """A child process ended with a failure."""


class ProcessStoppedError(ProcessError):
    """A child process exceeded its time or memory, or was stopped."""


class ProcessKilledError(ProcessError):
    """A signal from outside ended a child process."""


class RemoteError(EverfitError):
    """A model, or the project's code, raised an exception in the process that executes it."""


class ReleaseError(EverfitError):
    """A commit cannot become a release."""


class RepositoryError(ReleaseError):
    """The repository cannot be read, or holds what a release must not."""


class EnvironmentBuildError(ReleaseError):
    """The environment of a release cannot be built."""


class RequestError(EverfitError):
    """A request that cannot be served."""


class InvalidRequestError(RequestError):
    """A field is missing, unknown, or of the wrong type."""


class UnsignedRequestError(RequestError):
    """A webhook that no secret verifies, or that was received before."""


class UnknownModelError(RequestError):
    """This service does not serve that model."""


class RequestTooLargeError(RequestError):
    """More bytes or rows than the service accepts."""


class UnsupportedEncodingError(RequestError):
    """The body's compression is not supported."""


class NotReadyError(RequestError):
    """The service is not ready."""


class OverloadedError(RequestError):
    """The service has no capacity left."""
