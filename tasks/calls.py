"""English words that ask the viewer to act: to buy, to sign up, to follow, look or learn.

Three ways to ask, each a table. A blank stands for white space or for none (see `tasks.offers`).

- Buttons: a text that consists of nothing but a button's words. "Sign up" alone asks, "we sign up the users" does not.
- Imperatives with what they ask for ("start your free trial", "check out our website"), where an imperative can stand.
- Phrases that nothing but a request has: "link in bio", "let me know in the comments".

Tutorials use the same verbs; so "save this" needs its end, or "for later", and "call" a telephone's number.
"""

from __future__ import annotations

from tasks.offers import CLAUSE, CODE, END, ORDER, TOLD, not_after, pattern, whole

# --- buttons ---------------------------------------------------------------------------------------------------

VERBS = (
    "apply|book|buy|chat|claim|contact|donate|download|enquire|enroll?|enter|experience|explore|get|give|"
    "install|join|listen|order|play|pre-?order|read|redeem|register|reserve|rsvp|save|schedule|shop|sign up|"
    "start|stream|subscribe|switch|try|view|visit|vote|watch|sell|record"
)
"""Those that make a button with "now", "today" and the like."""
ALONE = (
    "apply|donate|download|enroll?|install|register|rsvp|sign up|subscribe|see how it works|compare plans",
    "interested|swipe up|like page|book travel|watch video|listen to music|customi[sz]e yours?",
    "join (?:us|in)",
    "(?:learn|read|see|watch|view|discover|explore|find out|hear|shop|show me) more",
    (
        r"get (?:(?:a|your|my|the) )?(?:free )?(?:quote|offer|access|updates?|directions|tickets|showtimes|deal"
        r"|started|help)"
    ),
    (
        r"(?:visit|view|see|open|browse|shop) (?:(?:our|the|us|my) )?(?:site|web ?site|store|shop|menu|pricing"
        r"|prices|plans|catalogu?e?|profile|offers?|all|sale|collection|online)"
    ),
    "(?:use|open|get|download|install) (?:(?:the|our) )?(?:app|game)",
    "play (?:the )?game",
    r"call (?:us )?(?:now|today|free|toll[\s-]*free)",
    "(?:contact|message|call|text|email|whatsapp|dm|visit|follow|join|rate|review|support) (?:us|me)",
    "(?:contact|talk to|chat with|speak to) (?:us|sales|(?:our|the) team|an? (?:expert|advis[oe]r|specialist))",
    "(?:send|leave) (?:(?:us|me) )?(?:a )?message",
    "request (?:(?:a|your) )?(?:time|demo|quote|call ?back|info)",
    "(?:start|place) (?:(?:your|an) )?order",
    "start (?:shopping|watching|listening|learning|saving|trial)",
    "(?:book|buy) (?:online|tickets|(?:a|your) (?:table|demo|call|stay|room|seat|tickets?))",
    "link (?:below|in (?:bio|comments|profile|caption))",
    "(?:tap|click|scan|press) (?:here|me|below)",
    "scan (?:(?:the|this) )?(?:qr )?code",
    "vote (?:for )?(?:us|me)",
    "see (?:the )?menu",
    "(?:redeem|claim|grab|get) (?:(?:your|this|the|my) )?(?:offer|discount|coupon|gift|deal|reward|bonus|guide|copy)",
    "(?:take|start) (?:(?:the|our|this|a) )?(?:quiz|survey|challenge|tour)",
    "(?:become|be) a (?:member|patron|sponsor)",
)
"""Those that are buttons by themselves."""
FREE = r"(?:now|today|here|instantly|(?:it )?(?:for )?free(?: trial| today| now)?)"
BUTTON = whole(
    rf"(?:(?:please|so|tap to|click to|swipe up to|press to) )?"
    rf"(?:(?:{VERBS}) (?:(?:it|us|yours|online) )?{FREE}|(?:{'|'.join(ALONE)})(?: {FREE})?)"
)

# --- imperatives -----------------------------------------------------------------------------------------------

OTHER_IMPERATIVE = (
    r"(?:hit|smash|press|click|tap|leave|drop|go|head|check|scroll|swipe|watch|come|turn|grab|open|send|tell|stop|look"
    r"|like|share|comment|follow|subscribe|save|visit|join|try|use|enter|hurry)\b[^.!?\n]{0,60}\sand\s+"
)
LEAD = (
    rf"(?:{CLAUSE}(?:(?:so|now|then|but|just|also|simply|hey|guys|everyone|hurry)\s+){{0,2}}"
    rf"|(?:^|[.!?\n][^\S\n]*)and\s+|{CLAUSE}{OTHER_IMPERATIVE}|{CLAUSE}for\s+more\b[\w\s]{{0,30}}\s"
    r"|(?<!\bi\s)(?<!\bwe\s)(?<!\bthey\s)(?<!\bto\s)"
    r"\b(?:please|(?:don['\u2019]?t|do not) forget to|(?:make|be)\s+sure\s+(?:to|(?:that\s+)?you)|remember\s+to"
    r"|you\s+can|go(?:\s+ahead)?\s+and) (?:(?:also|just|and)\s+)?)"
)
"""What an imperative follows: where a clause begins, another imperative and "and", "please", "don't forget to"."""


def _few(least: int, most: int) -> str:
    """Some words in between, each with its blank."""
    return rf"(?:[\w'\u2019-]{{1,20}}\s+){{{least},{most}}}"


SOON = r"(?:now(?!\s+and\s+(?:then|again)\b)|today|(?:for\s+)?free)"
POST = r"(?:video|post|reel|clip|page|channel|recipe)"
REACT = r"(?:like|comment|share|save|follow|subscribe|repost|tag)"
OUR = rf"(?:the|our|my|this|your)\s+{_few(0, 2)}"
MY = rf"(?:our|my) {_few(0, 2)}"
YOUR = rf"(?:an?|your|my) {_few(0, 2)}"
SOCIAL = r"(?:you ?tube|instagram|insta|tik ?tok|facebook|twitter|x|linkedin|pinterest|snapchat|twitch|spotify|patreon)"
HOME = r"(?:web ?site|site|store|shop|page|channel|profile|account|show ?room|menu|blog|bio|podcast|newsletter)"
# "go to settings.json" is none
NAMED = r"(?:www\.|https?:|[\w-]{1,60}(?:\.| dot )(?:com|net|org|shop|store|co|app|biz|info|me|tv)\b)"
PHONE = r"[+(]?\d[\d\s().-]{5,20}\d"
PERSON = r"(?:friends?|bestie|bff|buddy|mates?|crew|partner|person|mum|mom|dad|sister|brother|loved ones?)"
WATCH = r"(?:video|episode|film|movie|interview|series|trailer|tutorial|story|show|stream|vlog)"
BELOW = r"(?:in the comments?(?: section)?|(?:down )?below|down below)"
ABOVE_HERE = r"(?:here|below|up|(?:on )?(?:(?:the|this|our|my) )?(?:link|button))"
TO_DO = (
    r"to (?:learn|see more|get|shop|buy|sign|join|read|watch|find out|book|start|order|download|subscribe|claim|apply)"
)
GOING_ON = rf"(?:{END}|(?=\s+(?:now|today|for|if|so|and|or|because|before|to)\b))"
IMPERATIVES = (
    # -- like, comment, share, save, follow, subscribe
    (
        rf"subscribe(?:now|today|here)?(?:{GOING_ON}(?! to)|(?= (?:here|on)\b)|\s+to\s+(?:\w+\s+)?{OUR}?(?:{HOME}"
        r"|list)\b|\s+to\s+(?:(?:my|our|us|me)\b|@))"
    ),
    rf"{REACT}(?:\s*[,&+/]\s*|\s+|(?=and))(?:(?:and|or) )?{REACT}\b(?!\s+(?:are|is|alike|attract)\b)",
    # "clips, like this video, are short" compares
    rf"like\s+(?:this|the|my)\s+{POST}(?!\s*,){GOING_ON}",
    r"like (?:for part|if you)\b",
    rf"comment (?:(?:down )?below|yes\b|if\b|for\b(?! the record)|with\b|[\"\u201c]|the word\b|{_few(1, 6)}below)",
    r"comment your (?:\w+ )?(?:favou?rites?|answers?|guess|thoughts?|opinions?|questions?|ideas?|name|city|age|pick)\b",
    # capitals stand out only of small letters
    r"(?-i:[Cc]omment\s+[A-Z]{2,}\b)",
    (
        rf"(?:leave|drop|write|post|give) (?:(?:us|me|it|this(?: {POST})?) )?(?:an?|your"
        rf"|some) {_few(0, 2)}(?:comments?|like|review|heart|follow|rating|thumbs? up|shout ?out"
        r"|share)(?:\b|(?=below))(?! (?:in the code|above|that|explain))"
    ),
    rf"(?:leave|drop|write|post|put|share|answer|type|tell (?:me|us)|let (?:me|us) know) {_few(0, 7)}{BELOW}{GOING_ON}",
    r"let (?:me|us) know (?:what you|your|which|who|how you|if you (?:want|like|would|have))\b",
    rf"share (?:this|it){END}",
    rf"share (?:this|it|the)\s+(?:{POST}\b|with (?:friends|family|someone|(?:an?|your) (?:\w+ )?{PERSON}))",
    rf"share (?:this )?(?:with (?:an?|your) {PERSON}\b|your thoughts{END}|(?:this|it) to your stor)",
    rf"send (?:this|it) (?:{POST} )?to (?:someone|every|(?:an?|your|that|the) {_few(0, 2)}{PERSON}\b)",
    (
        rf"{not_after('now', 'then', 'so')}follow (?:me|us)(?:{END}|\s+(?:on here|for|to|at|if|so(?! far)|and|now"
        r"|today)\b)"
    ),
    rf"follow (?:along )?for(?:\b|more)|follow along{END}|follow to (?:see|get|learn|find|not|stay)\b|follow @\w+",
    rf"follow (?:this|the|our|my) (?:{_few(0, 1)})?(?:{HOME}|journey|story|adventures?)\b",
    (
        rf"(?:save|bookmark|pin) (?:this(?: {POST})?|it|the {POST})(?:{END}|\s+(?:for (?:later(?! use)|when|your)"
        r"|so you|and (?:share|follow|send|tag)|if you|before you)\b)"
    ),
    rf"save (?:for later|{SOON})\b|save (?:this|the) {POST}\b",
    rf"tag (?:us|me|someone|somebody|(?:an?|your|one|two|three|\d+) {_few(0, 1)}{PERSON})\b(?!['\u2019]| in class)",
    rf"(?:repost|duet|stitch) this\b|double[\s-]*tap (?:if|for|this|to like|{POST})",
    r"turn on\s+(?:(?:your|the|post|all)\s+)*notifications\b",
    r"(?:hit|smash|press|click|tap) (?:(?:on )?(?:the|that|this) )?(?:subscribe|like|follow)\b(?!\s+pole)",
    (
        rf"(?:hit|smash|ring|press|click|tap) (?:on )?(?:the|that) (?:notification )?bell(?: icon| button)?(?:{END}"
        r"|(?=\s+(?:so|to|and\s+(?:subscribe|you|never|don))\b))"
    ),
    rf"give (?:us|me|it|this|the|my) (?:{POST} )?an? (?:big )?(?:like|thumbs? up|follow|share|shout|review|rating)\b",
    # -- look: pages, films, links
    (
        rf"visit (?:us\b|(?:{MY}|your (?:local|nearest) ){HOME}\b|the (?:\w+ )?{HOME}{GOING_ON}|www\.|https?:"
        r"|[\w-]{1,60}\.[a-z]{2,}\b)"
    ),
    rf"(?:go|head(?: on)?(?: over)?) to (?:{NAMED}|{MY}{HOME}\b|the link\b)",
    rf"(?:go )?check out (?:(?:the|our|my) )?(?:link\b|description\b|@\w|{NAMED})|(?:go )?check out {MY}\w",
    r"check (?:us|me) out\b",
    (
        rf"check (?:the|my|our) (?:links?|description|bio|caption)(?:{END}| (?:below|above|for|in (?:my|our"
        r"|the) (?:bio|desc)))"
    ),
    r"(?:click|tap|follow|hit|use) (?:on )?(?:the|our|my|this) link(?:\b|below|in)(?!\s+(?:between|to read)\b)",
    rf"(?:find|follow|catch|add|join|check|support|message) (?:us|me) (?:out )?on {SOCIAL}\b",
    rf"(?:click|tap|swipe|press|scan) {ABOVE_HERE}? {TO_DO}\b",
    rf"(?:tap|swipe) (?:up|here|below)(?:{END}| {SOON})|click (?:here|below){END}",
    r"scan (?:(?:the|this|our) )?(?:qr )code\b|scan to (?:order|shop|pay|get|win|learn|download|join)\b",
    rf"watch (?:the|our|my|this)\s+(?:full|whole|entire|next|new|latest|other)\s+{WATCH}\b(?!\s+of\b)",
    rf"watch (?:part (?:\d|two|three)\b|(?:this )?next{END}|(?:till|until|to) the end\b|more{END}|now{END})",
    r"(?:stream|listen|watch) (?:it )?now on\b|listen (?:wherever|on (?:spotify|apple|audible|amazon))\b",
    rf"stay tuned(?:{END}|\s+for\b)|consider (?:subscribing|supporting|following|joining)\b",
    (
        rf"(?:learn|discover|find out) more(?:{END}| (?:at|on (?:our|my)|{SOON}|about (?:us|our|it on)|by (?:click"
        r"|visit)|in the link))"
    ),
    # -- take part: sign up, join, try, talk to us
    rf"(?:sign up|register|enroll?|donate|subscribe|download|get) (?:(?:it|yours|online)\s+)?{SOON}\b",
    rf"apply (?:online )?{SOON}\b",
    (
        r"(?:sign up|register|join|try|donate|book|vote|enroll?|play|install) (?:(?:it|us|yours)\s+)?(?:now|today"
        rf"|here|free|for free){END}"
    ),
    rf"apply (?:now|today|here|online){END}|check it out{END}",
    r"(?:join|try|book) (?:(?:it|us|yours) )?(?:now|today|for free)(?= (?:for|and (?:get|save|enjoy|receive))\b)",
    rf"sign up (?:for|at|on|with|to|below|through|via) (?!th(?:is|at) reason){_few(0, 1)}\w",
    rf"(?:start|begin|try|claim) (?:(?:your|an?|my|our) )?{_few(0, 2)}(?:free )?trial\b",
    rf"start (?:your|an?) {_few(0, 2)}(?:trial|subscription|membership|order|application)\b|start free{END}",
    r"try \w+ free\b",
    rf"join (?:us|me)(?:{END}|\s+(?:on|for|at|in|today|this|now|tomorrow|next)\b)",
    (
        rf"join (?:the|our|my|\d[\d,.]*) {_few(0, 2)}(?:waitlist|wait(?:ing)? list|mailing list|newsletter|communit"
        r"|club|team|movement|family|challenge|discord|group|members|customers)"
    ),
    (
        rf"(?:book|request|schedule|arrange) {YOUR}(?:demo|call|consultation|appointment|call ?back|quote|visit|tour"
        r"|table|stay|tickets?|class|test drive|viewing|spot|slot|lesson|sample)\b"
    ),
    (
        rf"(?:get|claim|grab|redeem|reserve|save|secure|order|download|pick up) {YOUR}(?:quote|spot|seats?|place|gift"
        r"|discount|offers?|copy|samples?|tickets?|bonus|coupon|reward|consultation|estimate|guide|e-?book|checklist"
        r"|template|brochure|box|pass)\b"
    ),
    r"(?:book|order) your\b[^.!?\n]{1,30}\b(?:now|today|online|here|with us)\b",
    (
        rf"(?:download|get|install) (?:(?:the|our|my|this|your|a|free) )*{_few(0, 1)}(?:app|game|guide|e-?book"
        rf"|template|checklist|brochure|catalogue)(?:{END}|(?=\s+(?:for|now|today|on|from|at|here|and|free|below"
        r"|in)\b))"
    ),
    r"get (?:an? )?(?:(?:up to|extra) )?(?:\d+ (?:%|percent)|[$\u20ac\u00a3] \d+|half|\d\d) off\b",
    r"(?:download|get) (?:it )?(?:on|from|in) (?:the )?(?:app store|google play)\b",
    r"get (?:started(?!\s+(?:by|with))|yours|in touch)\b|get your (?:tickets|hands on)\b|buy (?:your )?tickets\b",
    rf"enter (?:to win|(?:the|our|this) {_few(0, 1)}(?:giveaway|raffle|contest|draw|sweepstakes|competition))\b",
    r"vote for (?:us|me|@|your favou?rite)\b|sign (?:the|our|this) petition\b",
    rf"become an? {_few(0, 1)}(?:member|patron|sponsor)\b",
    rf"take (?:the|our|this) {_few(0, 1)}(?:quiz|survey|poll)\b|text [\"'\u201c]?\w{{2,12}}[\"'\u201d]? to \d{{4,6}}\b",
    rf"call (?:us )?(?:(?:at|on) )?{PHONE}|call us(?:{END}|\s+(?:now|today|at|on|for|to)\b)|call {SOON}{GOING_ON}",
    rf"(?:dm|message|whatsapp) (?:me|us)\b|(?:contact|e-?mail) us\b|(?:contact|e-?mail) me(?:{END}|\s+(?:at|for|to)\b)",
    r"give us a (?:call|ring|try|visit)\b|drop us a (?:line|message|visit)\b|reach out to us\b",
    r"send (?:us|me) an? (?:dm|message|text|e-?mail|line|note)\b",
    r"(?:talk|speak|chat) (?:to|with) (?:an expert|sales|us|our)\b",
    (
        rf"support (?:us|me|the (?:channel|show|stream)|(?:my|our) (?:work|channel))(?:{END}|\s+(?:on|by|at|through"
        r"|and)\b)"
    ),
    r"rate us\b",
    rf"come (?:and )?(?:see|visit|find|join) (?:us|{MY}{HOME})\b(?!\s+off)",
    rf"(?:stop|drop|swing) by (?:our|the|us|today|any) ?(?:{HOME})?{GOING_ON}",
    (
        r"(?:shop|explore|discover|browse|see) (?:the|our|my)\s+(?:\w+\s+){0,2}(?:collection|range|menu|line-?up"
        r"|catalogue|offers|deals)\b"
    ),
    rf"find (?:(?:a|your) {_few(0, 1)}(?:store|dealer|location|shop|branch|gym)\b(?: near)?|your perfect \w)",
    r"create (?:your (?:\w+ )?account|an? free account|an account (?:now|today|for free))",
    r"add (?:\w+ )?to (?:your|my) (?:wish ?list|favou?rites)",
    r"(?:build|design|customi[sz]e) your own (?:bundle|box|pair|set|bouquet|gift|kit)\b",
)
"""Ordinary words that ask only as imperatives, with what makes each a request."""

# --- phrases ---------------------------------------------------------------------------------------------------

PHRASES = (
    (
        r"\blinks? (?:(?:is|are) )?(?:down )?in (?:(?:the|my|our) )?(?:bio|description|comments|profile"
        r"|caption)\b(?!\s+data)"
    ),
    rf"(?:{CLAUSE}|\bthe )links? (?:(?:is|are) )?(?:down )?below{END}",
    rf"\b(?=[sbo]){TOLD}(?:sign up|buy|order) (?:(?:it|yours)\s+)?(?:now|today){END}",
    r"\buse my (?:code|link)\b",
    (
        rf"\b(?=[lt]){not_after('he', 'she', 'they', 'who', 'i', 'we')}(?:let|tell) (?:me"
        rf"|us) (?:know )?{_few(0, 3)}in the comments?\b"
    ),
    r"\bif you haven.?t (?:already )?subscribed|\bmake sure (?:that )?you.?re subscribed\b|\bconsider subscribing\b",
)
"""What is a request wherever it stands."""

CALL_TO_ACTION = pattern(BUTTON, rf"{LEAD}(?:{'|'.join(IMPERATIVES)})", *PHRASES, *CODE, *ORDER)
"""What asks the viewer to do something: to buy, to use a code, or to follow, look or learn."""
