"""English words that ask the viewer to act: to buy, to sign up, to follow, look or learn.

Four ways to ask, each a table. A blank stands for white space or for none (see `tasks.offers`).

- Buttons: a text that consists of nothing but a button's words. "Sign up" alone asks, "we sign up the users" does not.
- Imperatives with what they ask for ("start your free trial", "check out our website"), where an imperative can stand.
- Those that tutorials and news use with the same objects, which must end there or go on about asking: "join our team
  today", never "join the team in the field".
- Phrases that nothing but a request has: "link in bio", "let me know in the comments".

Tutorials use the same verbs; so "save this" needs its end, or "for later", and "call" a telephone's number.
"""

from __future__ import annotations

from tasks.offers import CLAUSE, CODE, DAY, END, MONEY, ORDER, PERCENT, TOLD, not_after, pattern, whole

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
    rf"(?:{CLAUSE}(?:{OTHER_IMPERATIVE}|for\s+more\b[\w\s]{{0,30}}\s|(?:(?:so|now|then|but|just|also|simply|hey|guys"
    r"|everyone|hurry|why\s+(?:not|don['\u2019]?t\s+you))\s+){0,2})|(?:^|[.!?\n][^\S\n]*)and\s+"
    r"|(?<!\bi\s)(?<!\bwe\s)(?<!\bthey\s)(?<!\bto\s)"
    r"\b(?:please|(?:don['\u2019]?t|do not) forget to|(?:make|be)\s+sure\s+(?:to|(?:that\s+)?you)|remember\s+to"
    r"|you\s+can|go(?:\s+ahead)?\s+and) (?:(?:also|just|and|now)\s+)?|\b(?:invite|encourage|urge)\s+you\s+to\s+)"
)
"""What an imperative follows: where a clause begins, another imperative and "and", "please", "why not"."""


def _few(least: int, most: int) -> str:
    """Some words in between, each with its blank."""
    return rf"(?:[\w'\u2019-]{{1,20}}\s+){{{least},{most}}}"


SOON = r"(?:now(?!\s+and\s+(?:then|again)\b)|today|for\s+free|free(?=[^\w\n]{0,9}(?:$|\n)|\s+(?:today|now|for)\b))"
POST = r"(?:video|post|reel|clip|page|channel|recipe)"
REACT = r"(?:like|comment|share|save|follow|subscribe|repost|tag)"
OUR = rf"(?:the|our|my|this|your)\s+{_few(0, 2)}"
MY = rf"(?:our|my) {_few(0, 2)}"
NETWORK = (
    r"(?:you ?tube|instagram|insta|tik ?tok|facebook|twitter|x|linkedin|pinterest|snapchat|twitch|spotify|patreon"
    r"|discord|amazon|google|yelp|trustpilot|trip ?advisor)"
)
SOCIAL = rf"(?:{NETWORK}|(?:(?:all|any|every|other|our|my|your) ){{0,2}}(?:socials?|social media|platforms?|networks?))"
HOME = r"(?:web ?site|site|store|shop|page|channel|profile|account|show ?room|menu|blog|bio|podcast|newsletter)"
# "go to settings.json" is none
NAMED = r"(?:www\.|https?:|[\w-]{1,60}(?:\.| dot )(?:com|net|org|shop|store|co|app|biz|info|me|tv)\b)"
PHONE = r"[+(]?\d[\d\s().-]{5,20}\d"
PERSON = r"(?:friends?|bestie|bff|buddy|mates?|crew|partner|person|mum|mom|dad|sister|brother|loved ones?)"
NEW = r"(?:full|whole|entire|next|new|latest|other)"
WATCH = r"(?:video|episode|film|movie|interview|series|trailer|tutorial|story|show|stream|vlog)"
COMMENTS = r"in the comments?(?: section)?"
OPINION = r"(?:comments?|thoughts?|questions?|answers?|opinions?|ideas?|guess(?:es)?|favou?rites?|suggestions?|e-?mail)"
LINK_AT = (
    r"(?:(?:down )?below|above|on (?:the )?screen|(?:down )?in (?:(?:the|my|our) )?(?:bio|description|comments?|profile"
    r"|caption|link))"
)
ABOVE_HERE = r"(?:here|below|up|(?:on )?(?:(?:the|this|our|my) )?(?:link|button)(?: (?:down )?(?:below|above))?)"
GIFT = (
    r"(?:quote|gift|discount|offers?|tickets?|bonus|coupon|reward|consultation|e-?book|checklist|brochure|shipping"
    r"|delivery|returns|access|trial|updates|demo)"
)
GOODS = r"(?:collection|range|menu|line-?up|catalogue|offers|deals)"
TIME = rf"(?:{DAY}|day|week(?:end)?|month|year|morning|evening|spring|summer|autumn|fall|winter|time)"

# --- what goes on about asking ---------------------------------------------------------------------------------

TO_DO = (
    r"to (?:learn|find (?:your|out)|see if your?|hear about|get(?! to\b| an? (?!free\b))|shop|buy|sign|watch|book"
    # "to start the engine"
    r"|(?:start|join|apply)(?! (?:the|an?)\b)|order|download|subscribe|claim|win|(?:see|read) more"
    rf"|(?:see|view|browse|explore) (?:our|my|all|the {_few(0, 2)}{GOODS})"
    rf"|save (?:big|up to|money|now|today|{PERCENT}|{MONEY}|your (?:spot|seat|place)))"
)
AND_THEN = (
    r"and (?:get|save|win|enjoy|receive|claim|start|join|subscribe|like|comment|share|follow|let|tell|check|sign|buy"
    r"|order|shop|book|visit|watch|learn|give|play|find (?:your|out)|don['\u2019]?t|never|you|i|we"
    r"|\w{1,12}\s+(?:our|us|me))"
)
WITH_US = (
    rf"(?:on|at|in|from|via|through|with) (?:(?:one of )?our|my|us|{SOCIAL}|(?:(?:any|every|all) )?(?:book)?(?:stores?"
    r"|shops?)|(?:the )?(?:web ?site|app store|comments?|description)|google play)"
)
GAIN = (
    r"for (?:more|free|part|early|just|only|extra|exclusive|daily|weekly|details|info(?:rmation)?|tickets|directions"
    rf"|prices|{DAY}|{MONEY}|\w{{1,12}}\s+(?:dollars|euros|pounds|bucks)|(?:up to )?{PERCENT}"
    rf"|(?:an?|your) {_few(0, 1)}(?:chance|{GIFT})|the (?:full )?(?:recipe|menu|list|details|story))"
)
ASKED = (
    rf"(?:{END}|(?= (?:now|online|here|below|free|wherever|live|(?:(?:on|before|until|till) )?{DAY}"
    rf"|(?:this|next|every) {TIME}|if you|so (?:you|that|we|i)|before (?:it|they)|because|starting|telling|saying"
    rf"|(?:under|on) (?:this|the) {POST}|of (?:our|over|more|\d+)|in (?:\w{{1,12}}\s+){{0,2}}(?:seconds|minutes?)"
    rf"|by (?:comment|shar|subscrib|click|visit|donat|join|leav|follow)ing|{TO_DO}|{AND_THEN}|{WITH_US}|{GAIN})(?!\w))"
    rf"|(?= (?:on|at|from) (?:{NAMED}|(?-i:[A-Z][a-z]))))"
)
"""Behind what is asked for: its end, or more of asking; "the link to the next node" is no such."""
GOING_ON = rf"(?:{ASKED}|(?=\s+(?:for|if|so|and|or|before|to)\b))"
"""Behind what asks by itself, where less is enough: "subscribe and ..."."""

# --- imperatives that ask by themselves ------------------------------------------------------------------------

IMPERATIVES = (
    # -- like, comment, share, save, follow, subscribe
    (
        rf"subscribe(?:now|today|here)?(?:{GOING_ON}(?! to)|(?= (?:here|on)\b)|\s+to\s+(?:(?:\w+\s+)?{OUR}?(?:{HOME}"
        rf"|list|{SOCIAL})\b(?! of\b)|(?:us|me)\b|@))"
    ),
    # "assets, like share prices" compares, "save and share your file" is a program's
    (
        rf"{REACT}(?:\s*[,&+/]\s*|\s+|(?=and))(?:(?:and|or) )?{REACT}\b(?!\s+(?:are|is|alike|attract|prices?"
        rf"|(?:the|your|an?)\s+(?!{POST}))\b)"
    ),
    # "clips, like this video, are short" compares
    rf"like\s+(?:this|the|my)\s+{POST}(?!\s*,){GOING_ON}",
    r"like (?:for part|if you)\b",
    (
        r"comment (?:(?:down )?below|yes\b|if\b|for\b(?! the record)|(?:with )?the word\b|with your\b|[\"\u201c]"
        rf"|{_few(1, 6)}below)"
    ),
    r"comment your (?:\w+ )?(?:favou?rites?|answers?|guess|thoughts?|opinions?|questions?|ideas?|name|city|age|pick)\b",
    # capitals stand out only of small letters
    r"(?-i:[Cc]omment\s+[A-Z]{2,}\b)",
    (
        r"let (?:me|us) know (?:what you(?! (?:find|found|get|see)\b)|your|which|who|how you"
        r"|if you (?:want|like|would|have))\b"
    ),
    r"(?:leave|drop|write) (?:(?:us|me) )?a comment (?:with|about) (?:your|the word|what)\b",
    rf"share (?:this|it){END}",
    rf"share (?:this|it|the)\s+(?:{POST}\b|with (?:friends|family|someone|(?:an?|your) (?:\w+ )?{PERSON}))",
    rf"share (?:this )?(?:with (?:an?|your) {PERSON}\b|your thoughts{END}|(?:this|it) to your stor)",
    (
        rf"send (?:this|it) (?:{POST} )?to (?:someone|every|(?:an?|your) {_few(0, 2)}{PERSON}\b"
        rf"|(?:that|the) {_few(0, 2)}{PERSON}(?= (?:who|that|you)\b))"
    ),
    (
        rf"{not_after('now', 'then', 'so')}follow (?:me|us)(?:{END}|\s+(?:on here|for|to|at|if|so(?! far)|and|now"
        r"|today|everywhere|anywhere)\b)"
    ),
    (
        r"follow (?:along )?for(?:\b|more)(?! (?:\w+\s)?(?:miles?|kilomet|met(?:er|re)s?|seconds|minutes?|hours?)\b)"
        rf"|follow along{END}|follow to (?:see|get|learn|find out|not|stay)\b|follow @\w+"
    ),
    (
        rf"(?:save|bookmark|pin) (?:this(?: {POST})?|it|the {POST})(?:{END}|\s+(?:for (?:later(?! use)|when|your)"
        r"|so you|and (?:share|follow|send|tag)|if you|before you)\b)"
    ),
    rf"save (?:for later|{SOON})\b|save (?:this|the) {POST}\b",
    rf"tag (?:us|me|someone|somebody|(?:an?|your|one|two|three|\d+) {_few(0, 1)}{PERSON})\b(?!['\u2019]| in class)",
    rf"(?:repost|duet|stitch) this\b|double[\s-]*tap (?:if|for|this|to like|{POST})",
    r"turn on\s+(?:(?:your|the|post|all)\s+)*notifications\b(?! (?:service|in the (?:menu|settings))\b)",
    r"(?:hit|smash|press|click|tap) (?:(?:on )?(?:the|that|this) )?(?:subscribe|like|follow)\b(?!\s+pole)",
    (
        rf"(?:hit|smash|ring|press|click|tap) (?:on )?(?:the|that) (?:notification )?bell(?: icon| button)?(?:{END}"
        r"|(?=\s+(?:so|to|and\s+(?:subscribe|you|never|don))\b))"
    ),
    rf"give (?:us|me|it|this|the|my) (?:{POST} )?an? (?:big )?(?:like|thumbs? up|follow(?! up)|share|shout)\b",
    # -- look: pages, films, links
    (
        rf"visit (?:us\b|(?:{MY}|your (?:local|nearest) ){HOME}\b|the (?:\w+ )?{HOME}{GOING_ON}|www\.|https?:"
        r"|[\w-]{1,60}\.[a-z]{2,}\b)"
    ),
    rf"(?:go|head(?: on)?(?: over)?) to (?:{NAMED}|the link {LINK_AT}\b)",
    rf"(?:go )?check out (?:(?:the|our|my) )?(?:link\b|description\b|@\w|{NAMED})",
    r"(?:go )?check out (?:our|my) (?!(?:\w{1,20}\s+){0,2}(?:branch|repo(?:sitory)?|commit|tag)\b)\w",
    r"check (?:us|me) out\b",
    (
        rf"check (?:the|my|our) (?:links?|description|bio|caption)(?:{END}| (?:below|above|for|in (?:my|our"
        r"|the) (?:bio|desc)))"
    ),
    rf"(?:find|follow|catch|add|join|check|support|message) (?:us|me) (?:out )?on {SOCIAL}\b",
    rf"(?:click|tap|swipe|press|scan) {ABOVE_HERE}? {TO_DO}\b",
    rf"scan (?:(?:the|this|our) )?(?:qr code|code {TO_DO})\b|scan to (?:order|shop|pay|get|win|learn|download|join)\b",
    rf"watch (?:our|my)\s+{NEW}\s+{WATCH}\b(?!\s+of\b)",
    rf"watch (?:part (?:\d|two|three)\b|(?:this )?next{END}|(?:till|until|to) the end\b|more{END}|now{END})",
    r"(?:stream|listen|watch) (?:it )?now on\b|listen (?:wherever|on (?:spotify|apple|audible|amazon))\b",
    rf"stay tuned(?:{END}|\s+for\b)|consider (?:subscribing|supporting|following|joining)\b",
    (
        rf"(?:learn|discover|find out) more(?:{END}| (?:{SOON}|about (?:us|our|it on)|by (?:click|visit)))"
        rf"|(?:learn|discover|find out|read|see) more (?:(?:at|on) {NAMED}|(?:at|on) (?:our|my) {HOME}|{LINK_AT})\b"
    ),
    # -- take part: sign up, join, try, talk to us
    rf"(?:sign up|register|enroll?|donate|subscribe|download|get) (?:(?:it|yours|online)\s+)?{SOON}|get free {GIFT}\b",
    rf"apply (?:online )?{SOON}\b",
    (
        r"(?:sign up|register|join|try|donate|book|vote|enroll?|play|install) (?:(?:it|us|yours)\s+)?(?:now|today"
        rf"|here|free|for free){END}"
    ),
    rf"apply (?:now|today|here|online){END}|check it out{END}",
    r"(?:join|try|book) (?:(?:it|us|yours) )?(?:now|today|for free)(?= (?:for|and (?:get|save|enjoy|receive))\b)",
    (
        r"sign up (?:for|at|on|with|below|through|via|to(?! (?:\d|one|two|three))) (?!th(?:is|at) reason)"
        rf"(?!{_few(1, 3)}(?:is|was|were)\b){_few(0, 1)}\w"
    ),
    rf"(?:start|begin|try|claim) (?:(?:your|an?|my|our) )?{_few(0, 2)}(?:free )?trial\b",
    rf"start (?:your|an?) {_few(0, 2)}(?:subscription|membership)\b|start free{END}",
    r"start your (?:order|application) (?:now|today|online|here)\b",
    # "gluten free flour" has no capital
    r"try it free\b|try (?-i:[A-Z])\w{1,20}\s+free for \w{1,10} (?:day|week|month)",
    (
        rf"join (?:us|me)(?:{END}|\s+(?:(?:for|today|now|tomorrow|live)\b|(?:this|next) {TIME}|(?:on|in|at)\s+(?:(?:our"
        rf"|my|stores?|booth|stand|stage|tour|(?:the )?\d{{1,4}}|{DAY}|{SOCIAL})\b|@|{NAMED}|(?-i:[A-Z][a-z]))))"
    ),
    (
        rf"(?:book|request|schedule|arrange) (?:an?|your|my) {_few(0, 2)}(?:demo|call|consultation|appointment"
        r"|call ?back|visit|tour|table|stay|class|test drive|viewing|spot|slot|lesson)\b"
    ),
    r"(?:book|order|reserve) your\b[^.!?\n]{1,30}\b(?:now|today|online|here|with us)\b",
    (
        r"get (?:an? )?(?:(?:up to|extra) )?(?:\d+ (?:%|percent)|[$\u20ac\u00a3] \d+|half|\d\d) off\b"
        r"(?! the (?:board|top)\b)"
    ),
    r"(?:download|get) (?:it )?(?:on|from|in) (?:the )?(?:app store|google play)\b",
    r"get (?:started(?!\s+(?:by|with))|yours|in touch)\b|get your (?:tickets|hands on)\b|buy (?:your )?tickets\b",
    r"enter to win\b",
    r"vote for (?:@|your favou?rite\b)|sign (?:the|our|this) petition\b",
    r"text [\"'\u201c]?(?!it\b|this\b)\w{2,12}[\"'\u201d]? to \d{4,6}\b",
    rf"call (?:us )?(?:(?:at|on) )?{PHONE}|call us(?:{END}|\s+(?:now|today|at|on|for|to)\b)|call {SOON}{GOING_ON}",
    rf"(?:dm|message|whatsapp) (?:me|us)\b|(?:contact|e-?mail) us\b|(?:contact|e-?mail) me(?:{END}|\s+(?:at|for|to)\b)",
    r"give us a (?:call|ring|try|visit)\b|drop us a (?:line|message|visit)\b|reach out to us\b",
    r"send (?:us|me) an? (?:dm|message|text|e-?mail|line|note)\b",
    r"(?:talk|speak|chat) (?:to|with) (?:an expert|sales|us|our)\b",
    r"rate us\b",
    rf"come (?:and )?(?:see|visit|find|join) (?:us|{MY}{HOME})\b(?!\s+off)",
    rf"(?:stop|drop|swing) by (?:our|the|us|today|any) ?(?:{HOME})?{GOING_ON}",
    rf"(?:shop|explore|discover|browse) our\s+{_few(0, 2)}{GOODS}\b(?! of (?:motion|values|movement)| function)",
    rf"join (?:our|my) {_few(0, 2)}(?:waitlist|mailing list|newsletter|community|club|team|challenge|{NETWORK})\b",
    rf"find (?:(?:a|your) {_few(0, 1)}(?:store|dealer|location|shop|branch|gym)\b(?: near)?|your perfect \w)",
    r"create (?:an? free account|an account (?:now|today|for free))",
    r"add (?:\w+ )?to (?:your|my) (?:wish ?list|favou?rites)",
    r"(?:build|design|customi[sz]e) your own (?:bundle|box|pair|set|bouquet|gift|kit)\b",
)
"""Ordinary words that ask only as imperatives, with what makes each a request."""

# --- imperatives whose object ends, or goes on about asking ----------------------------------------------------

WANTED = (
    (
        rf"(?:leave|drop|write|post|give) (?:(?:us|me|it|this(?: {POST})?) )?(?:an?|your|some) {_few(0, 2)}(?:comments?"
        r"|like|review|heart|follow|rating|thumbs? up|shout ?out|share)"
    ),
    # "write the denominator below"
    (
        rf"(?:leave|drop|write|post|put|share|answer|type|tell (?:me|us)|let (?:me|us) know) (?:{_few(0, 7)}{COMMENTS}"
        rf"|{_few(0, 4)}{OPINION} {_few(0, 2)}(?:down )?below)"
    ),
    rf"(?:tell (?:me|us)|let (?:me|us) know) {_few(0, 7)}(?:down )?below",
    # "the journey of the electron"
    rf"follow (?:this|the|our|my) {_few(0, 1)}(?:{HOME}|journey|story|adventures?)(?: for (?:your|\w+s))?",
    # "the link to the next node"
    rf"(?:click|tap|follow|hit|use|go to|head (?:over )?to) (?:on )?(?:the|our|my|this) links?(?: {LINK_AT})?",
    rf"(?:go|head(?: on)?(?: over)?) to {MY}{HOME}",
    r"(?:tap|swipe|click) (?:up|here|below)",
    rf"watch (?:the|this)\s+{NEW}\s+{WATCH}",
    r"(?:book|sign up|register) (?:online )?(?:now|today|online)",
    # "the group of integers", "the team in the field"
    (
        rf"join (?:the|our|my|\d[\d,.]*|thousands of|millions of) {_few(0, 2)}(?:waitlist|wait(?:ing)? list"
        r"|mailing list|newsletter|community|club|team|movement|family|challenge|discord|group|members|customers)"
    ),
    rf"(?:get|claim|grab|redeem|request|book|order|download) (?:an?|your|my) {_few(0, 2)}{GIFT}",
    # "save a copy", "get a sample"
    (
        rf"(?:get|claim|grab|reserve|secure|request|order|download|pick up) (?:(?:your|my) {_few(0, 2)}|an? free )"
        r"(?:box|spots?|seats?|place|copy|samples?|estimate|guide|template|pass)"
    ),
    r"save (?:your|my) (?:spot|seat|place)",
    (
        rf"(?:download|get|install) (?:(?:the|our|my|this|your|free) )*{_few(0, 1)}(?:app|game|guide|e-?book|template"
        r"|checklist|brochure|catalogue)(?: (?:for|on) (?:your \w+|ios|android)(?: and android)?)?"
    ),
    rf"enter (?:the|our|this) {_few(0, 1)}(?:giveaway|raffle|contest|draw|sweepstakes|competition)",
    rf"vote for (?:us|me)(?: in the \w+)?|take (?:the|our|this) {_few(0, 1)}(?:quiz|survey|poll)",
    rf"become an? {_few(0, 1)}(?:member|patron|sponsor)",
    r"support (?:us|me|the (?:channel|show|stream)|(?:my|our) (?:work|channel))(?: (?:by|through) \w+)?",
    # "the full range of motion"
    rf"(?:shop|explore|discover|browse|see) (?:the|our|my)\s+{_few(0, 2)}{GOODS}(?: of \w{{1,20}}(?= (?:on|in|at) ))?",
    r"create your (?:(?:free|online|own) )?account",
)
"""What tutorials, talks and news do with the same words: `ASKED` must follow."""

# --- phrases ---------------------------------------------------------------------------------------------------

PHRASES = (
    (
        r"\blinks? (?:(?:is|are) )?(?:down )?in (?:(?:the|my|our) )?(?:bio|description|comments|profile"
        r"|caption)\b(?!\s+data)"
    ),
    rf"(?:{CLAUSE}|\bthe )links? (?:(?:is|are) )?(?:down )?below{END}",
    rf"\b(?=[sbo]){TOLD}(?:sign up|buy|order) (?:(?:it|yours)\s+)?(?:now|today){END}",
    rf"(?:{CLAUSE}|\byou\s+)(?:want|ready) to (?:sign up|register|book|join|subscribe|donate|enroll?) (?:now|today) \?",
    r"\buse my (?:code|link)\b",
    (
        rf"\b(?=[lt]){not_after('he', 'she', 'they', 'who', 'i', 'we')}(?:let|tell) (?:me"
        rf"|us) (?:know )?{_few(0, 3)}in the comments?\b"
    ),
    r"\bif you haven.?t (?:already )?subscribed|\bmake sure (?:that )?you.?re subscribed\b|\bconsider subscribing\b",
)
"""What is a request wherever it stands."""

CALL_TO_ACTION = pattern(
    BUTTON, rf"{LEAD}(?:{'|'.join(IMPERATIVES)}|(?:{'|'.join(WANTED)}){ASKED})", *PHRASES, *CODE, *ORDER
)
"""What asks the viewer to do something: to buy, to use a code, or to follow, look or learn."""
