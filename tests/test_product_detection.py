from __future__ import annotations

import re

import pytest

from shared.schema import Caption, ObjectTrack, TimedBox, TrackedObject
from tasks.analyzers.object_detection import ObjectDetection
from tasks.analyzers.product_detection import GOODS, ProductDetection, ProductOptions, find_hints
from tasks.engines.nanodet import COCO
from tasks.offers import OFFERS
from tests.support.clips import make_clip, plain
from tests.support.media import run
from tests.support.models import loaded
from tests.support.real import real_clip
from tests.support.tracks import result, segments, sound_of, spoken


def seen(*things: tuple[str, float, float]):
    """What the object detector found."""
    items = tuple(
        TrackedObject(
            id=f"o{number}",
            label=label,
            start=start,
            end=end,
            confidence=0.6,
            boxes=(TimedBox(t=start, box=(0.1, 0.2, 0.3, 0.4), confidence=0.6),),
        )
        for number, (label, start, end) in enumerate(things, 1)
    )
    return result("object_detection", objects=ObjectTrack[TrackedObject](method="model", items=items))


def captions(*lines: tuple[str, float, float]):
    items = [
        Caption(id=f"x{number}", start=start, end=end, text=text, box=(0, 0, 1, 0.1), confidence=0.9)
        for number, (text, start, end) in enumerate(lines, 1)
    ]
    return result("text_overlay", captions=segments(*items, method="model"))


@pytest.fixture
def products(tmp_path):
    def found(*others, **options):
        return run(ProductDetection(), sound_of(20, tmp_path), tmp_path, *others, **options)

    return found


def scalars(found) -> dict[str, float | None]:
    return {scalar.name: scalar.value for scalar in found.scalars.items}


def hint(text: str) -> list[tuple[str, str]]:
    caption = Caption(id="x1", start=1, end=2, text=text, box=(0, 0, 1, 1))
    return [(one.kind, one.words) for one in find_hints({"text_overlay/captions/x1": caption})]


def test_goods_are_classes_of_the_detector():
    """Every name in the list is one of the detector's, and people, animals and vehicles are not in it."""
    assert set(COCO) > GOODS
    assert not GOODS & {"person", "dog", "car", "bicycle", "chair", "tv", "knife"}


def test_only_goods_are_products(products):
    """Of what is seen, goods are kept with the detector's boxes and confidence and cite the object; a blink is not."""
    found = products(seen(("person", 0, 9), ("bottle", 1, 5), ("chair", 0, 9), ("handbag", 4, 9), ("cup", 6, 6.4)))
    assert [(one.label, one.start, one.end, one.evidence) for one in found.products.items] == [
        ("bottle", 1, 5, ("object_detection/objects/o2",)),
        ("handbag", 4, 9, ("object_detection/objects/o4",)),
    ]
    first = found.products.items[0]
    assert (first.confidence, first.boxes[0].box, first.hinted) == (0.6, (0.1, 0.2, 0.3, 0.4), False)
    assert scalars(found) == {
        "products": 2,
        "products_hinted": None,
        "product_share": 0.4,
        "hints": None,
        "products_by_word": None,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Now $19.99", [("price", "$19.99")]),
        ("\u20ac 1,299.00 only", [("price", "\u20ac 1,299.00")]),
        ("15 \u20ac", [("price", "15 \u20ac")]),
        ("just 20 dollars", [("price", "20 dollars")]),
        ("ONLY 3 LEFT", [("scarcity", "ONLY 3 LEFT")]),
        ("ONLY3LEFT", [("scarcity", "ONLY3LEFT")]),
        ("50% OFF", [("discount", "50% OFF")]),
        ("Half price", [("discount", "Half price")]),
        ("SALE", [("sale", "SALE")]),
        ("SALE $5", [("price", "$5"), ("sale", "SALE")]),
        ("Shop now", [("order", "Shop now")]),
        ("Add to cart", [("order", "Add to cart")]),
        ("Use code REEL20", [("sale", "Use code REEL20")]),
        ("USECODEREEL20", [("sale", "USECODEREEL20")]),
        ("Use my code: SUMMER", [("sale", "Use my code: SUMMER")]),
        ("use code real 20 at checkout", [("sale", "use code real 20 at checkout")]),
        ("Free shipping", [("sale", "Free shipping")]),
        ("Free gift with every order", [("sale", "Free gift")]),
        ("Cyber Monday", [("sale", "Cyber Monday")]),
        ("Save up to 30%", [("discount", "Save up to 30%")]),
        ("Buy 2, get 1", [("discount", "Buy 2, get 1")]),
        ("2 for 1", [("discount", "2 for 1")]),
        ("SELLING FAST", [("scarcity", "SELLING FAST")]),
        ("Offer ends tonight", [("scarcity", "Offer ends tonight")]),
        ("Tap the link to buy", [("order", "Tap the link to buy")]),
        ("Tapthelinktobuy", [("order", "Tapthelinktobuy")]),
        ("Swipe up to shop", [("order", "Swipe up to shop")]),
        ("Link in bio to order", [("order", "Link in bio to order")]),
        ("Pre-order yours", [("order", "Pre-order yours")]),
        ("Shop the look", [("order", "Shop the look")]),
        ("a wholesale view of salespeople", []),
        ("400 million pairs, 100% of them", []),
        ("I only have 3 cats left", []),
        ("You can order them online later", []),
        ("LINK IN BIO", []),
        ("cos similarity >0.3", []),
        ("we use code reviews to find bugs", []),
        ("WE USE CODE REVIEWS", []),
        ("it ends with code 404, then enter the code again", []),
        ("use the code in section 3", []),
        ("you can save 30% of the energy", []),
        ("Save 30% of memory", []),
        ("the network promises error-free delivery", []),
        ("the defendant is free, the trial is over", []),
        ("he got his money back", []),
        ("they are selling fast food", []),
        ("follow the link to read the paper", []),
        ("click here to order by date", []),
        ("he went up to order, and the tap was broken", []),
        ("a preorder walk of the tree", []),
        ("they went 2 for 10", []),
        ("epsilon/2 for 1 or more, and 2 for 1-D arrays", []),
    ],
)
def test_words_that_hint_at_an_offer(text, expected):
    """Prices, discounts, scarcity, sales and calls to order are told from other numbers and words."""
    assert hint(text) == expected


def test_every_kind_of_hint_is_tried():
    """The examples above show each kind."""
    shown = {kind for text in ("$5", "5% off", "only 2 left", "sale", "buy now") for kind, _ in hint(text)}
    assert shown == OFFERS.keys()


def test_words_near_goods_are_their_evidence(products):
    """A product cites the caption that offers it and the sentence that names it within a second, not later ones."""
    found = products(
        seen(("bottle", 3, 6), ("cell phone", 12, 15)),
        captions(("ONLY 3 LEFT", 3.2, 6.2), ("$5", 9, 11.5), ("Nice view", 4, 5)),
        spoken(("look at these bottles", 1, 3), ("and this phone", 14, 15), ("a bottle again", 17, 18)),
    )
    bottle, phone = found.products.items
    assert bottle.evidence == (
        "object_detection/objects/o1",
        "text_overlay/captions/x1",
        "speech_transcription/segments/s1",
    )
    assert phone.evidence == (
        "object_detection/objects/o2",
        "text_overlay/captions/x2",
        "speech_transcription/segments/s2",
    )
    assert bottle.hinted
    assert phone.hinted
    assert scalars(found)["products_hinted"] == 2


def test_a_spoken_hint_has_the_time_of_its_words(products):
    """A price that is said stands where its words are, cites its segment, and needs no goods in the picture."""
    found = products(seen(), spoken(("you get all of it for 20 dollars if you hurry", 0, 11)))
    (price,) = found.hints.items
    assert (price.kind, price.words, price.start, price.end) == ("price", "20 dollars", 6, 8)
    assert price.evidence == ("speech_transcription/segments/s1",)
    assert scalars(found) == {
        "products": 0,
        "products_hinted": 0,
        "product_share": 0,
        "hints": 1,
        "products_by_word": None,
    }


def test_names_are_whole_words(products):
    """ "Book" is no name in "Facebook", and "ties" names a tie."""
    found = products(seen(("book", 0, 9), ("tie", 0, 9)), captions(("Facebook", 0, 9), ("Ties and more", 0, 9)))
    assert [len(one.evidence) for one in found.products.items] == [1, 2]


def test_nothing_is_made_up(products, tmp_path):
    """Where the detector saw nothing there is no product; a black second of video gives empty tracks."""
    assert products(seen()).products.items == ()
    video = make_clip(tmp_path / "v.mp4", frames=10, picture=plain(0))
    found = run(ProductDetection(), video, tmp_path, seen(), captions())
    assert (found.products.items, found.hints.items) == ((), ())
    assert scalars(found) == {
        "products": 0,
        "products_hinted": 0,
        "product_share": 0,
        "hints": 0,
        "products_by_word": None,
    }


def test_bottles_are_seen_all_the_time(tmp_path):
    """In a recording of bottles put down and taken away, every product is a bottle, and some is always there."""
    video = real_clip("bottles.mp4")
    objects = run(loaded(ObjectDetection()), video, tmp_path)
    found = run(ProductDetection(), video, tmp_path, ("object_detection", objects))
    assert {one.label for one in found.products.items} == {"bottle"}
    assert scalars(found)["product_share"] > 0.95
    assert all(re.fullmatch(r"object_detection/objects/o\d+", one.evidence[0]) for one in found.products.items)


def test_words_may_come_as_one_text():
    """From a command line: parts between commas, without the space around them."""
    assert ProductOptions.model_validate({"words": "sneaker, red lipstick,"}).words == ("sneaker", "red lipstick")
    assert ProductOptions.model_validate({"words": ["mug"]}).words == ("mug",)


def test_words_that_nothing_can_look_for_are_told_apart_from_none_found(products):
    """Without a model with an open vocabulary the classes are still there, and what the words name is not known."""
    found = products(seen(("bottle", 1, 4)), words=("mug",))
    assert [item.label for item in found.products.items] == ["bottle"]
    assert scalars(found)["products_by_word"] is None
