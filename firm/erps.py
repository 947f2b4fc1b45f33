"""All ERPs at the other end of a file exchange: one for each folder that appears there."""

from __future__ import annotations

from pathlib import Path

from firm.erp_simulator import Booking, FileErp


class Erps:
    """The ERPs that exchange files in the folders of `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._erps: dict[str, FileErp] = {}

    def answer(self, now: int) -> int:
        """Answer every batch that has no answer yet; return how many. `now` is in milliseconds since 1970, UTC."""
        folders = sorted(self._root.iterdir()) if self._root.is_dir() else []
        for folder in folders:
            if folder.name not in self._erps:
                self._erps[folder.name] = FileErp(self._root, folder.name)
        return sum(erp.run(now) for erp in self._erps.values())

    def booked(self) -> dict[str, Booking]:
        """What was booked, by the trigger that it was booked for."""
        return {trigger: each for erp in self._erps.values() for trigger, each in erp.booked_by_trigger().items()}

    @property
    def doubled(self) -> list[str]:
        """The postings that came twice, under different numbers of batches."""
        return [posting for erp in self._erps.values() for posting in erp.doubled]

    @property
    def complaints(self) -> list[str]:
        """What the ERPs complain of."""
        return [complaint for erp in self._erps.values() for complaint in erp.complaints]
