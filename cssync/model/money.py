"""Minor units of currencies."""

from __future__ import annotations

_WITHOUT_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND"
CURRENCY_DECIMALS: dict[str, int] = {
    **dict.fromkeys(_WITHOUT_DECIMALS.split(), 0),
    **dict.fromkeys(_THREE_DECIMALS.split(), 3),
}


def decimals(currency: str) -> int:
    """Digits after the point of a currency's minor unit (ISO 4217); 2 unless listed in CURRENCY_DECIMALS."""
    return CURRENCY_DECIMALS.get(currency, 2)
