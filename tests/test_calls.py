from __future__ import annotations

import time

import pytest

from tasks.calls import CALL_TO_ACTION
from tasks.offers import OFFERS
from tests.support.project import ROOT

PHRASES = ROOT / "tests" / "phrases"
"""Written before the patterns: of each file the lines with even numbers were put aside until they were done."""


def phrases(name: str) -> list[str]:
    return (PHRASES / f"{name}.txt").read_text(encoding="utf-8").splitlines()


def offers(text: str) -> bool:
    return any(pattern.search(text) for pattern in OFFERS.values())


@pytest.mark.parametrize(
    "text",
    [
        *("SIGN UP", "SIGNUP", "GET STARTED", "LEARNMORE", "APPLY NOW", "Get a quote today", "Install now", "Play now"),
        *("Read more", "Book a demo", "Visit site", "Like page", "\u2192 Sign up \u2190"),
        *("Join us", "Join our newsletter", "Start your free trial", "Start your 14-day free trial", "GET 50% OFF"),
        *("Book your free consultation", "Reserve your spot", "Claim your free gift", "Text JOIN to 12345"),
        *("Check out our website", "Check out the link below", "Go to example.com", "Head over to our website"),
        *("Leave a comment below", "Let me know in the comments", "Tell me in the comments", "Check it out"),
        *(
            "Let us know what you think",
            "Send this to a friend",
            "Follow our page",
            "Ring the bell",
            "Call 1-800-555-0199",
        ),
        *("Give this video a thumbs up", "Watch the full video on YouTube", "So if you liked it, follow me for more"),
        *("Leaveacommentbelow", "Dontforgettosubscribe", "likeandsubscribe", "Followformore", "Clickthelinkbelow"),
        *("Shop our new collection", "Enter SAVE10 at checkout", "Hurry, order now", "Save this for later"),
        *("Click here for more information", "Click here for details", "Click here for a free quote"),
        *(
            "Click here and save 20%",
            "Click here to save big",
            "Click here to view our menu",
            "To order, click here now",
        ),
        *("Click the button below to get started", "Tap the link to join us", "Reserve your table today"),
        *("You can shop now on our website", "So why not shop now?", "Want to buy now?", "Why not sign up now?"),
        *("Follow us on all platforms", "Follow us everywhere", "Learn more in the description"),
        *(
            "We invite you to sign up now",
            "Get your copy today",
            "Join our group on Facebook",
            "Follow the link to sign up",
        ),
        *(
            "Join the club for only five pounds a month",
            "Become a member and support our work",
            "Click the link on screen",
        ),
        *("Click here to save 20%", "Use this link for 20% off"),
        *("Get a free quote in minutes", "Reserve your spot for Saturday", "Watch the whole story tonight at nine"),
        *("Support us by sharing this video", "Take our quiz to find your skin type", "Explore our range of sofas"),
    ],
)
def test_what_ads_and_creators_ask(text):
    """Buttons, offers to join or to buy, and creators' closings are calls to action."""
    assert CALL_TO_ACTION.search(text)


@pytest.mark.parametrize(
    "text",
    [
        *("Now call 3 functions", "Then save it and run it", "So save this in a variable", "Call it free fall"),
        *("You can learn more about this in chapter three", "Comment your code", "The order here is important"),
        *("First we sign up the users", "The sign up page has three fields", "Join the two pieces with glue"),
        *("I want to try it now", "Let's try it now", "You could buy it today in any shop", "I read the book today"),
        *("If you click here the window opens", "Click here to open the settings menu", "Please call 911"),
        *("Follow me through this proof", "Now follow me", "Visit the old shop in the village", "Press the bell twice"),
        *("First, subscribe to the topic, then publish", "Share your thoughts with the class", "Like the post office"),
        *("Send this to the printer", "Leave the comment in the code", "Let me know if anything breaks"),
        *("Check out the branch from git", "Get the value from the dictionary", "Start the server on port 8000"),
        *("Save a copy of the file before you edit it", "Download a copy of the file before you edit it"),
        *(
            "Press the button to start the engine",
            "Click the link to join the meeting",
            "Press the button to get a ticket",
        ),
        *("Click the button to apply the filter", "Tap the button to start the timer"),
        *("Start your application with npm start", "Create your user account in the terminal"),
        *(
            "First, get a cardboard box",
            "Pick up a sample of the water",
            "Order a box of nails",
            "Get an estimate for pi",
        ),
        *("Try gluten free flour", "Try sugar free yoghurt", "See the full range of values", "Put the bowl below"),
        *("Explore the full range of motion", "Follow the link to the next node", "Write the denominator below"),
        *("Please join me in welcoming Doctor Smith", "Please join me in thanking Doctor Smith"),
        *("You can follow the journey of the electron", "You can follow the story of a young girl"),
        *("Leave a comment for the compiler", "Write a short review of the literature"),
        *("Become a member of parliament", "Join the group of integers under addition"),
        *(
            "Assets, like share prices, fell",
            "You can save and share the file",
            "Then get a copy of the list and sort it",
        ),
        *("Now apply free energy minimisation", "Take the survey data and plot it", "Enter the draw function"),
    ],
)
def test_what_talks_and_tutorials_say(text):
    """The same verbs in a talk, a tutorial or a recipe ask nothing of the viewer."""
    assert not CALL_TO_ACTION.search(text)
    assert not OFFERS["order"].search(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        *(
            (text, "discount")
            for text in ("Half off", "50 OFF", "-30%", "\u221220 %", "\u00a35 off", "Twenty percent off")
        ),
        *((text, "discount") for text in ("Save $50", "Two for one", "3 for 2", "Price drop", "50%OFF")),
        *(
            (text, "price")
            for text in ("99 cents", "99\u00a2", "CHF 20", "20 CHF", "Rs. 499", "twenty dollars", "USD 45")
        ),
        *((text, "price") for text in ("Just 9.99 a month", "only 20 pounds", "CAD 20", "It's only 9.99")),
        *(
            (text, "scarcity")
            for text in ("Ends tonight", "Sale ends Sunday", "Only a few left", "Low stock", "Today only")
        ),
        *((text, "scarcity") for text in ("24 hours left", "Going fast", "Last day", "LIMITED-TIME DEAL")),
        *(
            (text, "sale")
            for text in ("Code: SAVE10", "With code SAVE10", "First month free", "Mega deals", "Clearance")
        ),
    ],
)
def test_what_shops_offer(text, kind):
    """Prices, discounts, little time or stock, codes and gifts as shops write them."""
    assert OFFERS[kind].search(text)


@pytest.mark.parametrize(
    "text",
    [
        *("He sold out his friends", "She sold out the stadium", "It was his last chance", "The ice is almost gone"),
        *("Only 3 left the room alive", "Only 5 left-handed players", "Today only two of them are alive"),
        *("The sale of the land took years", "The house is not for sale", "Clearance from the tower was given"),
        *("The discount rate of the bank rose", "we discount that theory", "We only have limited time to speak"),
        *("The sensor is 50 off from the target", "The error is -5%", "We took half off the top of the board"),
        *("The story ends tonight in court", "20 pounds of flour", "coupon bonds", "half price of oil"),
        *("He lost just 20 pounds.", "He is only 20 pounds heavier", "Python, up from 3.10.", "We use CAD 2024"),
        *("I have CAD 3D models", "Oil fell to its lowest price of the year", "The ceasefire deal ends on Monday"),
        *("There are only a few left in the world", "That is the best deal we can make"),
    ],
)
def test_what_others_tell(text):
    """The same words in news, talks and recipes offer nothing."""
    assert not offers(text)


@pytest.mark.parametrize(
    ("name", "found", "least", "most"),
    [
        ("asks", CALL_TO_ACTION.search, 0.95, 1.0),
        ("offers", offers, 0.95, 1.0),
        ("sentences", CALL_TO_ACTION.search, 0.0, 0.02),
        ("sentences", offers, 0.0, 0.02),
        ("near_asks", CALL_TO_ACTION.search, 0.95, 1.0),
        ("near_offers", offers, 0.95, 1.0),
        ("near_sentences", CALL_TO_ACTION.search, 0.0, 0.03),
        ("second_asks", CALL_TO_ACTION.search, 0.9, 1.0),
        ("second_sentences", CALL_TO_ACTION.search, 0.0, 0.05),
        ("near_sentences", offers, 0.0, 0.03),
    ],
)
def test_the_lists_of_phrases(name, found, least, most):
    """Of 298 calls at most 10 %, of 137 offers 5 % are missed; of 452 other sentences at most 5 % are taken for one."""
    texts = phrases(name)
    assert least <= sum(bool(found(text)) for text in texts) / len(texts) <= most


@pytest.mark.parametrize("pattern", [CALL_TO_ACTION, *OFFERS.values()], ids=("call", *OFFERS))
def test_hostile_texts_are_searched_at_once(pattern):
    """Thirty thousand characters of digits, blanks, dashes or beginnings take no time that grows with their square."""
    began = time.process_time()
    for unit in (
        "1",
        "1.1",
        " ",
        "a",
        "- ",
        "$1 ",
        "save ",
        "get a a ",
        "let me know a ",
        "use code A",
        "call +1 2 ",
        "why not ",
        "get your a ",
    ):
        for _ in pattern.finditer(unit * (30_000 // len(unit))):
            pass
    assert time.process_time() - began < 10
