"""Exchange rates: a walk per currency, told by the ERP daily for the great pairs and weekly for the others."""

from __future__ import annotations

from decimal import Decimal

from firm.agenda import Agenda
from firm.chance import Chance
from firm.coins import MICRO_PER_EURO
from firm.masters import Master
from firm.moments import DAY_MS, HOUR_MS, day_text, weekday
from firm.size import FirmSize
from firm.wire import Wire

DAILY = (("EUR", "USD"), ("EUR", "GBP"), ("GBP", "USD"))
WEEKLY = (
    ("EUR", "JPY"),
    ("USD", "JPY"),
    ("GBP", "JPY"),
    ("KWD", "EUR"),
    ("KWD", "USD"),
    ("KWD", "GBP"),
    ("KWD", "JPY"),
)
AGE_DAYS_MAX = 7
_TOLD_AT_MS = 5 * HOUR_MS
_CORRECTED_ONE_DAY_IN = 90


class ExchangeRates:
    """Tells `erp.FxRate` and knows what it told."""

    def __init__(self, size: FirmSize, wire: Wire, agenda: Agenda) -> None:
        self._chance = Chance(size.seed, "fx")
        self._wire = wire
        self._agenda = agenda
        self._micro = {currency: micro for currency, micro in MICRO_PER_EURO.items() if currency != "CHF"}
        self._told: dict[tuple[str, str], list[tuple[int, Decimal]]] = {}
        for day in range(size.first_day, size.end_day):
            agenda.put(day * DAY_MS + _TOLD_AT_MS, self._tell, day, day == size.first_day)

    def newest(self, source: str, target: str, day: int) -> Decimal | None:
        """Units of `target` for one of `source`: newest rate up to `day`, direct or else inverse; None if too old."""
        if source == target:
            return Decimal(1)
        for pair, inverse in (((source, target), False), ((target, source), True)):
            for told, rate in reversed(self._told.get(pair, ())):
                if told <= day:
                    if day - told > AGE_DAYS_MAX:
                        break
                    return 1 / rate if inverse else rate
        return None

    def _tell(self, at_ms: int, day: int, all_pairs: bool) -> None:
        for currency in self._micro:
            if currency != "EUR":
                self._micro[currency] = self._micro[currency] * self._chance.between(99_600, 100_402) // 100_000
        pairs = list(DAILY) if weekday(day) < 5 or all_pairs else []
        pairs += WEEKLY if weekday(day) == 0 or all_pairs else ()
        for source, target in pairs:
            rate = (Decimal(self._micro[target]) / Decimal(self._micro[source])).quantize(Decimal("0.00000001"))
            self._told.setdefault((source, target), []).append((day, rate))
            master = Master(self._wire, "erp.FxRate", f"{source}:{target}:{day_text(day)}")
            row = {"FromCurrency": source, "ToCurrency": target, "Date": day_text(day), "Rate": format(rate, "f")}
            master.open(at_ms, row)
            if (source, target) in DAILY and self._chance.below(_CORRECTED_ONE_DAY_IN) == 0:
                self._agenda.put(at_ms + 30 * HOUR_MS, self._correct, master, (source, target), day)

    def _correct(self, at_ms: int, master: Master, pair: tuple[str, str], day: int) -> None:
        """A rate that was told a little wrong is told again the next day."""
        told = self._told[pair]
        place = next(index for index, (told_on, _) in enumerate(told) if told_on == day)
        rate = (told[place][1] * Decimal("1.004")).quantize(Decimal("0.00000001"))
        told[place] = (day, rate)
        master.change(at_ms, Rate=format(rate, "f"))
