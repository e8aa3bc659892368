"""English words that offer something: the patterns that product_detection looks for, and the calls to buy.

In these tables a blank stands for white space or for none, as it may be missing in text that is read from a picture.
Words that ordinary sentences use as well count only beside what makes them an offer: "use code" before something like
REEL20, "save 20 %" where a clause begins, "today only" where one ends, "tap the link" before "to buy".
"""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["price", "discount", "scarcity", "sale", "order"]


def pattern(*ways: str) -> re.Pattern[str]:
    """Any of the ways, in any case."""
    return re.compile("|".join(ways).replace(" ", r"\s*"), re.IGNORECASE)


def not_after(*words: str) -> str:
    """What follows is no part of a sentence that only tells of it: "they order online"."""
    return "".join(rf"(?<!\b{word}\s)" for word in (one.replace(" ", r"\s") for one in words))


def whole(way: str) -> str:
    """Nothing else is written: a button, a sticker."""
    return rf"^[^\w\n]{{0,9}}(?:{way})(?=[^\w\n]{{0,9}}$)"


# --- where clauses begin and end -------------------------------------------------------------------------------

EMOJI = "\u2190-\u2bff\u3030\ufe0f\U0001f000-\U0001faff"
CLAUSE = rf"(?:^|\n|[.!?,;:\u2026\u00b7\u2022|)\u2013\u2014{EMOJI}]|(?<!\w)-)(?:[^\S\n]|[\"'\u201c\u2018(])*"
"""Where one begins, with the white space before its first word."""
END = rf"(?=[^\S\n]{{0,9}}(?:$|[\n.!?,;:\u2026\u00b7\u2022|()*&+>\u00bb\"\u201d\u2013\u2014{EMOJI}-]))"
TOLD = not_after(
    *("i", "we", "they", "he", "she", "who", "people", "to", "not", "can", "could", "would", "will"),
    *("the", "this", "that", "my", "his", "a", "in", "sort", "word", "world"),
)

# --- amounts and codes -----------------------------------------------------------------------------------------

# bounded, or a long row of digits is read again from each of them
AMOUNT, SIGN = r"\d{1,12}(?:[.,]\d{1,3}){0,5}", "[$\u20ac\u00a3\u00a5\u20b9\u00a2]"
TENS = "(?:ten|fifteen|twenty|twenty-five|thirty|forty|fifty|sixty|seventy|eighty|ninety)"
PERCENT = rf"(?:{AMOUNT} (?:%|percent)|\b{TENS} percent)"
MONEY = rf"(?:{SIGN} {AMOUNT}|{AMOUNT} (?:[\u20ac\u00a3\u00a2]|dollars?\b|euros?\b|bucks\b))"
CURRENCY = r"(?-i:USD|EUR|GBP|CHF|AUD|NZD|INR|JPY|SEK|NOK|DKK|kr|Rs\.?)"

USE_CODE = r"\b(?:use|enter|apply) (?:(?:my|our|the|this|promo|discount|coupon) )?code[\s:]*[\"'\u201c\u2018]?"
# capitals and digits, as in REEL20 or 15OFF; an error 404 and UTF8 are none
CODE_WORD = r"(?-i:(?!UTF|SHA|ISO|ICD|MD5)(?=[A-Z\d]{0,20}\d)(?=(?:\d{0,9}[A-Z]){2})[A-Z\d]{4,})"
CODE = (
    rf"{USE_CODE}{CODE_WORD}",
    # capitals alone stand out only of small letters
    r"(?-i:\b(?:[Uu]se|[Ee]nter|[Aa]pply)\s+(?:my\s+|our\s+)?code:?\s+[\"'\u201c\u2018]?[A-Z]{4,}\b)",
    rf"{USE_CODE}\w+(?:\s\w+)?[\"'\u201d\u2019]? (?:at|when you) check out",
    rf"(?:{CLAUSE}|\bwith (?:(?:my|our|the) )?)(?:(?:promo|discount) )?code[\s:]*[\"'\u201c\u2018]?{CODE_WORD}",
    rf"\b(?:use|enter|apply)\s+{CODE_WORD} at check out",
    r"\bcode[\s:]+[\"'\u201c\u2018]?\w+[\"'\u201d\u2019]? at check out",
)
"""A code that is to be used."""

# --- calls to buy ----------------------------------------------------------------------------------------------

PLACE = r"(?:below|above|in (?:(?:my|our|the) )?(?:bio|description))"
BUY = r" to (?:buy|shop|purchase|order(?! by))\b"
WARES = r"(?:collection|range|sale|looks?|styles?|drop|line|arrivals|deals?|bundles?|menu|store|shop|offers?|line-?up)"
OTHERS = r"(?:(?:new|full|latest|whole|entire|spring|summer|autumn|fall|winter|holiday)\s+){0,2}"
ORDER = (
    rf"\b(?=[sbog]){TOLD}(?:shop|buy|order|get yours) (?:it )?(?:now|today|online)\b(?!\s+(?:is|are|was|has)\b)",
    (
        r"\b(?:why not|why don.?t you|you can(?: now)?) (?:shop|buy|order) (?:it )?(?:online )?(?:now|today|online)"
        rf"(?:{END}|(?= (?:on|at|in|from|with) (?:our|my|us)\b))"
    ),
    rf"(?:{CLAUSE}|\byou\s+)(?:want|ready) to (?:shop|buy|order) (?:(?:it|one|yours)\s+)?(?:now|today|online) \?",
    rf"(?:{CLAUSE}|\band\s+)(?:shop|buy|order|get yours) (?:it )?here{END}",
    r"\bpre-?order (?:yours|now|today|here)\b",
    rf"\b(?=[og]){TOLD}(?:order|grab) yours\b",
    r"(?:^|[.!?] )claim yours\b(?!\s+was\b)",
    rf"\bshop (?:(?:the|this|our|my|all|new) ){OTHERS}{WARES}\b",
    rf"{CLAUSE}get yours{END}|\bbuy tickets{END}|\bshop (?:(?:the|my|our) )?link in",
    r"add to (?:cart|bag|basket)",
    rf"\b(?:tap|click|swipe|follow|scan) (?:up|here|below|(?:on )?(?:(?:the|this|my|our) )?link(?: {PLACE})?)?{BUY}",
    rf"\blink {PLACE}{BUY}",
)
"""Calls to buy."""

# --- hints -----------------------------------------------------------------------------------------------------

DAY = r"(?:today|tonight|tomorrow|soon|midnight|(?:mon|tues|wednes|thurs|fri|satur|sun)day)"
ENDS = rf"ends? (?:at |on |this )?(?:{DAY}|weekend|in {AMOUNT} (?:hours?|days?))\b"
THINGS = r"(?:(?:hours?|days?|seats?|spots?|places?|pieces?|items?|units?|tickets?|pairs?|rooms?)\b )"
LEFT = r"in (?:stock|store|your)|at this price|online"
FEW = r"(?:\d{1,4}|(?:a )?few|one|two|three|four|five)"
# "only 3 left the room", "2 left turns", "5 left-handed players"
NOT_LEFT = r"(?!-|\s+(?:the|his|her|their|a|turns?|behind|alone|side|hand)\b)"

ASKING = rf"(?:{CLAUSE}|\b(?:for|costs?|at)\s+)(?:(?:get )?(?:it|yours) for )?(?:only|just|now|from)\s+"
PER = rf"(?:{END}|(?= (?:today|now|(?:a|per|/) (?:day|week|month|year))\b))"

OFFERS: dict[Kind, re.Pattern[str]] = {
    "discount": pattern(
        rf"{PERCENT} (?:off|discount|cheaper)\b",
        rf"(?:{SIGN} {AMOUNT}|{AMOUNT} [\u20ac\u00a3]) off\b",
        r"\b\d{1,2}%off",
        # a sticker: "-30%", "50 OFF", "-15 % on all shoes"
        whole(r"(?:(?:up to|extra|flat|take|get) )?[1-9][05] off(?: (?:everything|all|sitewide|at check out))?"),
        r"^ [-\u2212\u2013] [1-9]\d? %(?= $|\s+(?:on|off|everything|all)\b)",
        r"\bextra [1-9][05] off\b",
        rf"\b(?=half){not_after('took', 'cut', 'take', 'sawed')}half[\s-]*off\b(?!\s+(?:the|his|her|my|its|sick)\b)",
        r"half[\s-]*price(?! of)",
        r"half the price(?! of)",
        rf"(?:^|[.!?] )save (?:up to )?(?:{AMOUNT} %|{MONEY})(?! of\b)",
        rf"(?:{CLAUSE}|\band\s+)save big\b",
        whole(r"bundle (?:and|&) save|price drop|prices? (?:slashed|reduced)"),
        r"\breduced to clear\b",
        r"\b(?:lowest|best) prices? guaranteed?\b",
        rf"(?:{CLAUSE}|\b(?:our|get)\s+)(?:the )?(?:lowest|best) prices? (?:ever|of the (?:year|season))\b",
        r"buy (?:one|\d+),? get (?:one|\d+)",
        r"(?<![\w/.,])2[\s-]*for[\s-]*1(?![\w%-]|[.,]\d)",
        rf"\btwo for (?:one\b|the price of one\b)|{whole('[2-5] for [1-4]')}",
        r"\bbogo\b",
        rf"\b(?=disc){not_after('we', 'i', 'they', 'to')}discount(?!\w*\s+(?:rates?|factors?|that|this|cash)\b)",
    ),
    "price": pattern(
        rf"{SIGN} {AMOUNT}",
        rf"{AMOUNT} {SIGN}",
        rf"{AMOUNT} (?:dollars?|euros?|bucks|quid|USD|EUR|GBP)\b",
        rf"{AMOUNT} cents\b(?! (?:flat|sharp)\b)",
        rf"\b{TENS} (?:dollars|euros|bucks|quid)\b",
        rf"\b{CURRENCY} {AMOUNT}(?!\w)|\b{AMOUNT} {CURRENCY}(?!\w)",
        # "CAD 3D models", "CAD 2024" draw
        rf"(?-i:\bCAD (?!(?:19|20)\d\d\b){AMOUNT}|\b{AMOUNT} CAD){END}",
        # 20 pounds may be a weight, "up from 3.10" a version
        rf"(?:{ASKING}|\bfor\s+|^ ){AMOUNT} pounds{PER}",
        rf"(?:{ASKING}|\bit's\s+(?:only|just)\s+)\d{{1,5}}[.,]\d[059]{PER}",
    ),
    "scarcity": pattern(
        rf"\b(?:only|just) {FEW} {THINGS}left{NOT_LEFT}",
        rf"(?<!\bwere\s)\b(?:only|just) {FEW} (?:more )?left(?!-\w)(?:{END}|(?= (?:{LEFT})\b))",
        whole(rf"(?:{FEW}|\d{{1,3}}) {THINGS}left"),
        rf"\b(?:few|limited) (?:spots|seats|places|tickets|spaces)(?: left| available|{END})",
        rf"(?:{CLAUSE}|\b(?:it's|they're)\s+)almost gone{END}",
        rf"\b(?=sold){not_after('he', 'she', 'they', 'we')}sold[\s-]*out\b(?!\s+(?:his|her|their|our|my|the|every)\b)",
        r"soldout",
        r"selling (?:out )?fast\b(?! food)",
        rf"{CLAUSE}going fast{END}",
        whole(r"going,? going,? gone|(?:very )?low stock(?: alert)?|low in stock|don.?t miss (?:out|it|this)"),
        rf"\bhurry\b[^.?\n]{{0,30}}\bbefore (?:it|they)\W?(?:'s|s|is|re|are)? (?:all )?gone{END}",
        r"\bback in stock\b",
        rf"(?=last){not_after('his', 'her', 'my', 'our', 'their', 'a', 'no')}last chance(?! saloon)",
        whole(r"(?:the )?(?:last (?:day|days|hours)|final (?:day|days|hours|call))"),
        rf"\b(?=limited){not_after('have', 'had', 'only')}limited[\s-]*time\b(?! to\b)",
        r"limited[\s-]*(?:offer|edition|stock|availability|quantit)(?!\w* of\b)",
        r"while (?:stocks?|supplies|it|they) lasts?",
        rf"\b(?:today|tonight|this (?:week|weekend|month)|one day|(?:24|48) hours) only{END}",
        rf"{CLAUSE}{ENDS}",
        rf"\b(?:offers?|sale|promo|promotion) {ENDS}",
        # the news tell of "the ceasefire deal"
        rf"(?:{CLAUSE}|\bour\s+)(?:this )?deals? {ENDS}{END}",
        r"\boffer ends\b",
    ),
    "sale": pattern(
        # "not for sale", "the sale of the house"
        rf"\b(?=sale){not_after('not for', 'up for', 'point of', 'garage', 'yard')}sale\b(?! of\b)",
        rf"(?:{CLAUSE}|\bon )clearance(?:{END}|(?= (?:sale|event|items|prices?)\b))",
        r"\bcoupon\b(?! (?:rates?|bonds?)\b)",
        r"(?:special|exclusive|limited|introductory) (?:offers?|deals?|price)\b(?! (?:was|were|of)\b)",
        r"\b(?:mega|hot|flash|daily|weekly|holiday|limited[\s-]*time|today.?s) deals?\b(?! (?:with|was|were)\b)",
        rf"(?:{CLAUSE}(?:the )?|\b(?:our|get|today.?s) (?:the )?)best deals?(?:{END}|(?= (?:on|online|in store)\b))",
        r"(?:promo|voucher|discount) code",
        *CODE,
        r"free shipping",
        r"(?<!-)\bfree (?:delivery|returns|trial|gift|samples?)\b(?! (?:by|room)\b)",
        r"\bgift with purchase\b",
        rf"\bfirst (?:day|week|month|year|order|class|lesson) (?:is )?free{END}",
        rf"(?:{CLAUSE}|\btry (?:it|us|\w+) )free for \d+ (?:days|weeks|months)\b",
        rf"\b\d+[\s-]*(?:days?|weeks?|months?) free{END}",
        rf"\bkids eat free{END}",
        r"\b(?:try (?:it )?)risk[\s-]*free\b|\brisk[\s-]*free trial\b",
        r"money[\s-]*back guarantee",
        r"\bdeals? of the (?:day|week|month)\b",
        r"(?:black friday|cyber monday)",
        r"\bin stores now\b(?! closed\b)",
    ),
    "order": pattern(*ORDER),
}
"""What each kind of hint looks like, in the order in which they are tried."""
