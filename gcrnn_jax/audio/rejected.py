"""Why a recording cannot be used, or not all of it."""

PARTIAL = ("CORRUPT", "TRUNCATED")  # what comes before the fault is the recording's


class Rejected(Exception):  # noqa: N818 - an outcome of a recording, not a fault
    """A recording that cannot be used.

    Attributes:
        code: MISSING, NOT_REGULAR, DENIED, EMPTY, FORMAT, CORRUPT, TRUNCATED,
            DECODER, NONFINITE, RATE or CHANNELS; POSTERIORS where a model fails.
        detail: The reason, in a few words.
    """

    def __init__(self, code: str, detail: str):
        super().__init__(code, detail)  # both, so that it survives pickling
        self.code, self.detail = code, detail

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"
