"""English words that offer something, and words that ask the viewer to act: the patterns that analyzers look for.

Spaces may be missing in text that is read from a picture. Words that ordinary sentences use as well count only beside
what makes them an offer: "use code" before something like REEL20, "save 20 %" where a sentence begins, "tap the link"
before "to buy", "follow us" where a clause begins.
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

EMOJI = "\u2190-\u2bff\u3030\ufe0f\U0001f000-\U0001faff"
CLAUSE = rf"(?:^|\n|[.!?,;:\u2026\u00b7\u2022|)\u2013\u2014{EMOJI}]|(?<!\w)-)(?:[^\S\n]|[\"'\u201c\u2018(])*"
OTHER_IMPERATIVE = (
    r"(?:hit|smash|press|click|tap|leave|drop|go|head|check|scroll|swipe|watch|come|turn|grab|open|send|tell|stop|look"
    r"|like|share|comment|follow|subscribe|save|visit|join|try|use|enter)\b[^.!?\n]{0,60}\sand\s+"
)
LEAD = (
    rf"(?:{CLAUSE}(?:(?:so|now|then|but|just|also|simply|hey|guys|everyone)\s+){{0,2}}"
    rf"|(?:^|[.!?\n][^\S\n]*)and\s+|{CLAUSE}{OTHER_IMPERATIVE}|{CLAUSE}for\s+more\b[\w\s]{{0,30}}\s"
    r"|(?<!\bi\s)(?<!\bwe\s)(?<!\bthey\s)(?<!\bto\s)"
    r"\b(?:please|(?:don['\u2019]?t|do\s+not)\s+forget\s+to|(?:make|be)\s+sure\s+(?:to|(?:that\s+)?you)|remember\s+to"
    r"|you\s+can|go(?:\s+ahead)?\s+and)\s+(?:(?:also|just|and)\s+)?)"
)
"""What an imperative follows: where a clause begins, another imperative and "and", "please", "don't forget to"."""

SOON = r"(?:now(?!\s+and\s+(?:then|again)\b)|today|here|(?:for\s+)?free)"
POST = r"(?:video|post|reel|clip|page|channel)"
REACT = r"(?:like|comment|share|save|follow|subscribe|repost|tag)"
OUR = r"(?:the|our|my|this|your)\s+(?:\w+\s+){0,2}"
IMPERATIVES = (
    r"subscribe(?:now|today|here|\b)(?!\s+buttons?\b)",
    rf"{REACT}(?:\s*[,&+/]\s*|\s+)(?:(?:and|or)\s+)?{REACT}\b",
    # "clips, like this video, are short" compares
    rf"like\s+(?:this|the|my)\s+{POST}\b(?!\s*,)",
    r"comment\s*(?:(?:(?:down\s*)?below|yes|your|if|for|with)\b|[\"\u201c])",
    # capitals stand out only of small letters
    r"(?-i:[Cc]omment\s+[A-Z]{2,}\b)",
    r"share\s*(?:this|it\s+with|with\s+(?:a|your)\s+friends?|your\s+thoughts)\b",
    r"follow\s*(?:(?:me|us|for)\b|@\w+)",
    rf"save\s+(?:(?:this|it)\b|the\s+{POST}\b|for\s+later|{SOON}\b)",
    r"tag\s+(?:us|me|someone|(?:a|your|one|two|three|\d+)\s+(?:\w+\s+)?friends?)\b",
    rf"visit\s+(?:us\b|{OUR}(?:web\s*site|site|store|shop|page|channel|profile)\b|(?:www\.|https?:)|[\w-]+\.[a-z]{{2,}}\b)",
    rf"(?:download|get)\s+{OUR}(?:app|game|guide|e-?book|template)\b",
    rf"(?:call|download|register|apply|donate|get)\s*(?:(?:it|us|yours)\s+)?{SOON}\b",
    r"(?:download|get)\s+(?:it\s+)?(?:on|from|in)\s+(?:the\s+)?(?:app\s*store|google\s*play)\b",
    r"call\s+(?:us\s+)?(?:(?:at|on)\s+)?\+?\d",
    r"get\s+(?:started|yours|in\s+touch)\b",
    r"(?:dm|message|contact|e-?mail)\s*(?:me|us)\b",
    r"turn\s*on\s+(?:(?:your|the|post|all)\s+)*notifications\b",
    r"(?:hit|smash|press|click|tap)\s+(?:(?:on\s+)?(?:the|that)\s+)?(?:subscribe|like|follow|(?:notification\s+)?bell)\b",
    r"learn\s*more\b",
)
"""Ordinary words that ask only as imperatives, with what makes each a request."""

CALL_TO_ACTION = _pattern(
    rf"{LEAD}(?:{'|'.join(IMPERATIVES)})",
    r"\blink\s*in\s*(?:(?:the|my|our)\s*)?(?:bio|description)\b",
    rf"\b(?:sign\s*up|shop|buy|order|book|try|join)\s+(?:(?:it|yours)\s+)?{SOON}\b",
    r"\b(?:click|tap|swipe)\s+(?:up|here|below|the\s+link)\b",
    r"\buse\s+my\s+code\b",
    *CODE,
    *ORDER,
)
"""What asks the viewer to do something: to buy, to use a code, or to follow, look or learn."""
