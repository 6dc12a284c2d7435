"""The other columns of a file's records, as far as a run reads them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from safelab.contracts import Reading
from safelab.errors import DataError, nearest


def others_of(
    records: Sequence[Mapping[str, Any]], prompt: str, reading: Reading, where: Callable[[int], str]
) -> dict[str, list[Any]]:
    """The columns that are read; a record without one that does not have to be there has None.

    Args:
        records: of the file, in order.
        prompt: the column that holds the prompt, which is none of the others.
        reading: which columns are read.
        where: the place of the record of that index, for the message.

    Raises:
        DataError: a record lacks a column that must be there.
    """
    if not reading:
        return {}
    for name in sorted(reading.must):
        for number, record in enumerate(records):
            if name not in record:
                raise DataError(
                    f"{where(number)}: there must be a column {name!r}, which reward or evaluator reads as its "
                    f"argument of that name: {nearest(name, record)}"
                )
    held = dict.fromkeys(name for record in records for name in record if name != prompt)
    return {name: [record.get(name) for record in records] for name in reading.of(held)}
