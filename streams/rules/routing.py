"""Routing: which ERPs book what an item bills, and whether it is for Throughline to post it at all.

What was decided stands: a reversal goes where its original went, and what is billed in an original's place follows it
there, or money would be lost or doubled between two ERPs. A change of routes moves what is billed for the first time.
"""

from datetime import date
from typing import Final

from streams.domain.routes import Decision, Routes

BY_HOME: Final = "the legal entity's own ERP"
BY_WAVE: Final = "wave "
LEFT_OUT: Final = "service before "
LIKE_BEFORE: Final = "like what was billed of the item before"
NOBODY: Final = ()


def decide(
    routes: Routes, home: str, earlier: Decision | None, legal_entity: str, client_id: str, service_date: date
) -> Decision:
    """Return where what an item bills goes.

    `home` is the ERP that the legal entity's row names, `earlier` what was decided when the item was billed last, None
    if it never was. Another legal entity invoices in its own ERP, but never what is billed without Throughline.
    """
    if earlier is not None and (earlier.legal_entity == legal_entity or earlier.systems == NOBODY):
        return Decision(legal_entity, earlier.systems, LIKE_BEFORE)
    first_day = routes.first_day(legal_entity)
    if earlier is None and first_day is not None and service_date < first_day:
        return Decision(legal_entity, NOBODY, f"{LEFT_OUT}{first_day}")
    wave = next((wave for wave in routes.waves if wave.fits(legal_entity, client_id, service_date)), None)
    if wave is None:
        return Decision(legal_entity, (home,), BY_HOME)
    leaves = (home,) if wave.dual_run and home != wave.system else ()
    return Decision(legal_entity, (*leaves, wave.system), BY_WAVE + wave.name)
