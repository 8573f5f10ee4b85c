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
    """A record in a store is missing, damaged or belongs to another configuration."""


class NothingError(RecordError):
    """There is no record to compare, draw, verify, score or publish: what was looked for, where.

    Zero of them is never a success. With `--json` it is said on stdout as well.
    """


class MachineError(ReproError):
    """The machine cannot do it: disk full, folder not writable, Run locked elsewhere."""


class TrainingError(ReproError):
    """A Run failed or diverged."""

    code = 4


class StrayWarning(UserWarning):
    """A folder of a store that holds no record of its name, and was left out."""
