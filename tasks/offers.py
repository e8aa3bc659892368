"""English words that offer something, and words that ask the viewer to act: the patterns that analyzers look for.

Spaces may be missing in text that is read from a picture. Words that ordinary sentences use as well count only beside
what makes them an offer: "use code" before something like REEL20, "save 20 %" where a sentence begins, "tap the link"
before "to buy".
"""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["price", "discount", "scarcity", "sale", "order"]

AMOUNT, SIGN = r"\d+(?:[.,]\d+)*", "[$\u20ac\u00a3\u00a5\u20b9]"
USE_CODE = r"\b(?:use|enter|apply)\s*(?:(?:my|our|the|this)\s*)?code[\s:]*[\"'\u201c\u2018]?"
CODE = (
    # capitals and digits, as in REEL20 or 15OFF; an error 404 is none
    rf"{USE_CODE}(?-i:(?=[A-Z\d]*\d)(?=(?:\d*[A-Z]){{2}})[A-Z\d]{{4,}})",
    # capitals alone stand out only of small letters
    r"(?-i:\b(?:[Uu]se|[Ee]nter|[Aa]pply)\s+(?:my\s+|our\s+)?code:?\s+[\"'\u201c\u2018]?[A-Z]{4,}\b)",
    rf"{USE_CODE}\w+(?:\s\w+)?[\"'\u201d\u2019]?\s*(?:at|when\s*you)\s*check\s*out",
)
"""A code that is to be used."""

PLACE = r"(?:below|above|in\s*(?:(?:my|our|the)\s*)?(?:bio|description))"
BUY = r"\s*to\s*(?:buy|shop|purchase|order(?!\s*by))\b"
ORDER = (
    r"\b(?:shop|buy|order|get\s*yours)\s*(?:now|today|here|online)\b",
    r"\bpre-?order\s*(?:yours|now|today|here)\b",
    r"\b(?:order|grab|claim)\s*yours\b",
    r"\bshop\s*(?:the|this)\s*look\b",
    r"add\s*to\s*(?:cart|bag|basket)",
    rf"\b(?:tap|click|swipe|follow)\s*(?:up|here|below|(?:on\s*)?(?:(?:the|this|my|our)\s*)?link(?:\s*{PLACE})?)?{BUY}",
    rf"\blink\s*{PLACE}{BUY}",
)
"""Calls to buy."""


def _pattern(*ways: str) -> re.Pattern[str]:
    return re.compile("|".join(ways), re.IGNORECASE)


OFFERS: dict[Kind, re.Pattern[str]] = {
    "discount": _pattern(
        rf"{AMOUNT}\s*(?:%|percent)\s*(?:off|discount)",
        rf"(?:^|[.!?]\s*)save\s*(?:up\s*to\s*)?{AMOUNT}\s*%(?!\s*of\b)",
        r"half\s*price",
        r"buy\s*(?:one|\d+),?\s*get\s*(?:one|\d+)",
        r"(?<![\w/.,])2[\s-]*for[\s-]*1(?![\w%-]|[.,]\d)",
        r"\bbogo\b",
        r"\bdiscount",
    ),
    "price": _pattern(
        rf"{SIGN}\s*{AMOUNT}", rf"{AMOUNT}\s*{SIGN}", rf"{AMOUNT}\s*(?:dollars?|euros?|bucks|USD|EUR|GBP)\b"
    ),
    "scarcity": _pattern(
        r"only\s*\d+\s*left",
        r"almost\s*gone",
        r"sold\s*out",
        r"selling\s*(?:out\s*)?fast\b(?!\s*food)",
        r"\bback\s*in\s*stock\b",
        r"last\s*chance",
        r"limited\s*(?:time|offer|edition|stock)",
        r"while\s*(?:stocks?|supplies)\s*lasts?",
        r"\boffer\s*ends\b",
    ),
    "sale": _pattern(
        r"\b(?:sale|clearance|coupon)\b",
        r"(?:special|exclusive)\s*offer",
        r"(?:promo|voucher)\s*code",
        *CODE,
        r"free\s*shipping",
        r"(?<!-)\bfree\s*(?:delivery|returns|trial|gift)\b",
        r"money[\s-]*back\s*guarantee",
        r"\bdeal\s*of\s*the\s*day\b",
        r"(?:black\s*friday|cyber\s*monday)",
        r"\bin\s*stores\s*now\b",
    ),
    "order": _pattern(*ORDER),
}
"""What each kind of hint looks like, in the order in which they are tried."""

CALL_TO_ACTION = _pattern(
    r"\b(link\s*in\s*(the\s*|my\s*|our\s*)?(bio|description)|subscribe|(like|comment|share)\s+(and|below|this)"
    r"|follow\s+(me|us|for|@\w+)|(sign\s*up|shop|buy|order|book|call|try|join|download)\s+(it\s+|yours\s+)?(now|today|here|free)"
    r"|get\s+yours|learn\s+more|(click|tap|swipe)\s+(up|here|below|the\s+link)|use\s+my\s+code)\b",
    *CODE,
    *ORDER,
)
"""What asks the viewer to do something: to buy, to use a code, or to follow, look or learn."""
