"""Every mistake that Everfit can name, one class each.

    EverfitError
    ├── MisuseError                 the call itself is wrong: exit code 2
    │   ├── DefinitionError         the project file says something impossible
    │   ├── SettingsError           everfit.toml, a variable or a flag
    │   └── ProjectError            there is no project here, or its module cannot be imported
    ├── DataError                   the data is not what was declared
    │   ├── SourceError             a source cannot be read, or lacks a column
    │   ├── TimestampError          an instant without a time zone
    │   ├── DuplicateError          an id that must be unique is not
    │   ├── EmptyWindowError        no rows in the window that was asked for
    │   └── LabelError              labels that nothing can be learnt from
    ├── TrainingError               the trainer raised, or returned something unusable
    │   ├── TrainingStoppedError    it took too long or too much memory, or somebody stopped it
    │   └── TrainingKilledError     a signal from outside ended it
    ├── PackageError                a model package that must not be used
    │   ├── CorruptPackageError     a file is missing, or its digest differs
    │   └── UntrustedPackageError   it would execute code that this system did not sign
    ├── RegistryError               the registry refuses
    │   ├── UnknownVersionError     no such model, version or alias
    │   └── GateError               the gates said no
    ├── StoreError                  a store cannot be opened, read or written
    │   └── UnknownPredictionError  no answer with that id is recorded
    ├── AlertError                  an alert that did not reach its channel
    ├── LoopError                   the loop cannot be led, or not go on
    └── RequestError                a prediction that cannot be answered
        ├── InvalidRequestError     a field is missing, unknown, or of the wrong type
        ├── UnknownModelError       this service does not serve that model
        ├── RequestTooLargeError    more bytes or rows than are accepted
        ├── UnsupportedEncodingError  a body is compressed in a way that is not read
        ├── NotReadyError           the service cannot answer yet
        └── OverloadedError         the service has as much to do as it can take

A message states the rule, then the value that broke it, then the remedy.
Domain errors know nothing of HTTP or exit codes; the edges map them.
"""

from __future__ import annotations


class EverfitError(Exception):
    """Something that Everfit can explain.

    Args:
        rule: What must hold, or what went wrong, as a clause without a full stop.
        value: The value that broke the rule; shown with ``repr`` unless it is ``None``.
        remedy: What to do about it, as a sentence.
        place: Where it was found, for example ``model late_arrival, label``.
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
    """The project file says something impossible."""


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
    """There are no rows in the window that was asked for."""


class LabelError(DataError):
    """The labels are such that nothing can be learnt from them."""


class TrainingError(EverfitError):
    """The trainer raised, or returned something unusable."""


class TrainingStoppedError(TrainingError):
    """It took too long or too much memory, or somebody stopped it."""


class TrainingKilledError(TrainingError):
    """A signal from outside ended it."""


class PackageError(EverfitError):
    """A model package that must not be used."""


class CorruptPackageError(PackageError):
    """A file of the package is missing, or its digest differs from the manifest's."""


class UntrustedPackageError(PackageError):
    """Loading the package would execute code that this system did not sign."""


class RegistryError(EverfitError):
    """The registry refuses."""


class UnknownVersionError(RegistryError):
    """There is no such model, version or alias."""


class GateError(RegistryError):
    """The gates said no."""


class StoreError(EverfitError):
    """A store cannot be opened, read or written."""


class UnknownPredictionError(StoreError):
    """No answer with that id is recorded."""


class AlertError(EverfitError):
    """An alert did not reach its channel."""


class LoopError(EverfitError):
    """The loop cannot be led, or not go on."""


class RequestError(EverfitError):
    """A prediction that cannot be answered."""


class InvalidRequestError(RequestError):
    """A field is missing, unknown, or of the wrong type."""


class UnknownModelError(RequestError):
    """This service does not serve that model."""


class RequestTooLargeError(RequestError):
    """More bytes or rows than the service accepts."""


class UnsupportedEncodingError(RequestError):
    """The body is compressed in a way that the service does not read."""


class NotReadyError(RequestError):
    """The service cannot answer yet."""


class OverloadedError(RequestError):
    """The service has as much to do as it can take."""
