"""Made-up English: instructions, passages and details, when no published prompts are at hand.

A sentence template holds alternatives in braces, ``{a|b}``, and named lists in angle brackets, ``<topic>``.
"""

import re
from random import Random

_LISTS = {
    "topic": (
        "solar panels|bread baking|contract law|tide tables|marathon training|garden soil|chess openings|tax returns|"
        "sleep apnoea|railway timetables|compost heaps|password storage|coral reefs|interest rates|violin practice|"
        "bicycle gears|volcanic ash|school lunches|urban foxes|heat pumps|medieval trade|hash tables|vaccine storage|"
        "olive harvests|noise complaints|sourdough starters|database indexes|glacier melt|public libraries|"
        "kidney stones|street lighting|cover letters|unit tests|rain barrels|insurance claims|kite building|"
        "bee colonies|night trains|wage slips|river ferries|lens coatings|roof repairs|loan schedules|speech therapy|"
        "drum patterns|queue theory|paper recycling|museum tickets|wind tunnels|stamp collecting|cold brew"
    ),
    "reader": (
        "a beginner|my manager|a ten-year-old|a colleague|new tenants|first-year students|the board|an engineer|"
        "my grandmother|a journalist|shift workers|parents|a customer|the council|volunteers|a nurse"
    ),
    "form": (
        "a short paragraph|a table|bullet points|an email|a checklist|a story|plain words|a script|a summary|a poem|"
        "a comparison|a press note|pseudocode|a lesson plan|a budget|a timeline"
    ),
    "quality": "cheap|reliable|quick|safe|modern|common|surprising|practical|careful|quiet|strict|gentle|robust",
    "noun": (
        "report|engine|kitchen|teacher|market|bridge|forest|signal|harbour|lantern|ledger|winter|neighbour|recipe|window|"
        "village|letter|machine|garden|meeting|river|station|pattern|shadow|budget|orchard|compass|theatre|blanket|ladder"
    ),
    "verb": (
        "changes|supports|delays|replaces|measures|follows|weakens|explains|crosses|repairs|hides|doubles|warms|divides|"
        "carries|protects|reaches|limits|colours|strengthens"
    ),
    "place": (
        "Lisbon|Nairobi|Osaka|Leeds|Quito|Gdansk|Perth|Lyon|Pune|Tampa|Oslo|Cusco|Turin|Accra|Hanoi|Malmo|Bergen|Izmir"
    ),
}
_VALUES = {name: tuple(values.split("|")) for name, values in _LISTS.items()}

_INSTRUCTIONS = (
    "{Explain|Describe|Outline} how <topic> <verb> <topic> {for <reader>|in <form>|in simple terms}.",
    "What {makes|keeps} <topic> <quality> in <place>, and what does it cost?",
    "Write <form> about <topic> for <reader>{| in <place>| with a <quality> ending}.",
    "{How do I|How can <reader>} plan <topic> when the <noun> <verb> the <noun>?",
    "Compare <topic> with <topic> and say which is more <quality>.",
    "Suggest {five|three|some} <quality> ideas for <topic> near <place>.",
    "{Give|List} reasons why <topic> {failed|worked} in <place>.",
    "Write a function that counts <topic> per <noun> and returns the most <quality> one.",
    "A <noun> in <place> {sells|stores|moves} {12|35|80|140} <topic> a day; how many in {3|7} weeks if it loses {2|5}?",
    "My <noun> <verb> the <noun> after <topic>. What should I {try|check|ask} first?",
    "Draft <form> to <reader> on <topic>{, mention the <noun>|}.",
    "Is it true that <topic> <verb> <topic> in <place>?",
    "Name a <quality> alternative to <topic> that <reader> could afford.",
)
_SENTENCES = (
    "The <quality> <noun> <verb> the <noun> of <topic>.",
    "In <place>, <topic> <verb> a <noun> that nobody calls <quality>.",
    "After the <noun>, <reader> {kept|lost|sold} a <quality> <noun>.",
    "{Most|Few|Some} people in <place> think <topic> {is|was} <quality> work.",
    "Every <noun> near the <noun> <verb> <topic> in its own <quality> way.",
)
_LIST = re.compile(r"<(\w+)>")
_ALTERNATIVES = re.compile(r"\{([^{}]*)\}")


def spoken(template: str, rng: Random) -> str:
    """The template with one of each of its alternatives, drawn."""
    chosen = _ALTERNATIVES.sub(lambda found: rng.choice(found[1].split("|")), template)
    return _LIST.sub(lambda found: rng.choice(_VALUES[found[1]]), chosen)


def instruction(rng: Random) -> str:
    """One thing a person might ask; some hundred million different ones."""
    return spoken(rng.choice(_INSTRUCTIONS), rng)


def passage(rng: Random, sentences: int) -> str:
    """So many sentences of text to work on."""
    return " ".join(spoken(rng.choice(_SENTENCES), rng) for _ in range(sentences))


def detail(rng: Random) -> str:
    """What a person adds to a common question to make it their own."""
    return spoken(
        rng.choice(
            (
                "It is for <reader> in <place>.",
                "I already know about <topic>.",
                "Keep the <noun> and the <noun> in mind.",
                "This is about a <quality> <noun> near <place>.",
                "Last time the <noun> was not <quality> enough.",
                "Think of <topic> and <topic> as well.",
            )
        ),
        rng,
    )
