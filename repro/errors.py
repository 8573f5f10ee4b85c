"""The errors a user can meet. Each message is one line: value, place, remedy."""


class ReproError(Exception):
    """Base of every error this project raises on purpose; `code` is the exit status."""

    code = 3


class UsageError(ReproError):
    """The request itself is wrong: unknown Run, profile, option value."""

    code = 2


class DataError(ReproError):
    """A data set is missing, damaged or of the wrong shape."""


class RecordError(ReproError):
    """A record in a store is missing, damaged or belongs to another configuration.

    Also where there is none to compare, draw, verify, score or publish, which is no success.
    """


class MachineError(ReproError):
    """The machine cannot do it: disk full, folder not writable, Run locked elsewhere."""


class TrainingError(ReproError):
    """A Run failed or diverged."""

    code = 4


class StrayWarning(UserWarning):
    """A folder of a store that holds no record of its name, and was left out."""
