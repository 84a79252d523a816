"""How the clips of a batch are shared out among devices, whether it divides or not."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class BatchShares:
    """A global batch in shares of one shape, in order, each computed at once.

    Where the batch does not divide, the first shares have one clip more than the
    others, which are filled up with a row that counts for nothing: a copy of some clip.

    Attributes:
        batch_size: Clips of the global batch, B.
        num_shares: S; one a device, or several that it computes one after the other.

    Example:
        >>> shares = BatchShares(batch_size=5, num_shares=3)
        >>> shares.rows.tolist(), shares.is_real.tolist()
        ([[0, 1], [2, 3], [4, 4]], [[True, True], [True, True], [True, False]])
    """

    batch_size: int
    num_shares: int

    @property
    def size(self) -> int:
        """Rows of a share, those that fill it up included."""
        return -(-self.batch_size // self.num_shares)

    @property
    def is_even(self) -> bool:
        """Whether no row fills up."""
        return self.batch_size % self.num_shares == 0

    @property
    def rows(self) -> np.ndarray:
        """int32 [S, size], the row of the global batch that each row is."""
        return np.minimum(self._rows, self.batch_size - 1).astype(np.int32)

    @property
    def is_real(self) -> np.ndarray:
        """Bool [S, size], False on rows that fill up."""
        return self._rows < self._first_rows[1:, None]

    @property
    def _first_rows(self) -> np.ndarray:
        """Of each share, and of one that would come after the last."""
        quotient, remainder = divmod(self.batch_size, self.num_shares)
        shares = np.arange(self.num_shares + 1)
        return shares * quotient + np.minimum(shares, remainder)

    @property
    def _rows(self) -> np.ndarray:
        return self._first_rows[:-1, None] + np.arange(self.size)
