"""The story templates of the synthetic generator: each draws numbers and tells a word problem.

A template returns a `Story`: the question and its steps. A step is one operation on numbers or
on earlier results (`Ref(0)` is the result of the first step) and the sentence that states it.
The number of steps is the level.
"""

import dataclasses
import random
from collections.abc import Callable

NAMES = ("Tom", "Mia", "Ben", "Ana", "Leo", "Zoe", "Max", "Eva", "Sam", "Lily", "Omar", "Ruth")
GOODS = ("apples", "books", "cards", "coins", "eggs", "pens", "shells", "stamps", "marbles", "cups")


@dataclasses.dataclass(frozen=True, slots=True)
class Ref:
    """The result of an earlier step, counted from 0."""

    step: int


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """`left operator right`, told by `sentence`, whose `{}` takes the whole equation."""

    left: int | Ref
    operator: str
    right: int | Ref
    sentence: str


@dataclasses.dataclass(frozen=True, slots=True)
class Story:
    """A question and the steps that answer it."""

    question: str
    steps: tuple[Step, ...]


Template = Callable[[random.Random], Story]


def _who(draw: random.Random) -> tuple[str, str]:
    return draw.choice(NAMES), draw.choice(GOODS)


def gathering(draw: random.Random) -> Story:
    name, goods = _who(draw)
    a, b = draw.randint(3, 50), draw.randint(3, 50)
    return Story(
        f"{name} has {a} {goods} and finds {b} more. How many {goods} does {name} have now?",
        (Step(a, "+", b, f"{name} has {{}} {goods}."),),
    )


def giving(draw: random.Random) -> Story:
    name, goods = _who(draw)
    a = draw.randint(12, 60)
    b = draw.randint(3, a - 3)
    return Story(
        f"{name} has {a} {goods} and gives away {b}. How many {goods} are left?",
        (Step(a, "-", b, f"{name} has {{}} {goods} left."),),
    )


def boxes(draw: random.Random) -> Story:
    name, goods = _who(draw)
    a, b = draw.randint(3, 12), draw.randint(2, 9)
    return Story(
        f"{name} packs {b} boxes with {a} {goods} each. How many {goods} are packed?",
        (Step(a, "*", b, f"{name} packs {{}} {goods}."),),
    )


def sharing(draw: random.Random) -> Story:
    name, goods = _who(draw)
    share, people = draw.randint(3, 12), draw.randint(2, 9)
    return Story(
        f"{name} shares {share * people} {goods} equally among {people} friends. "
        f"How many {goods} does each friend get?",
        (Step(share * people, "/", people, f"Each gets {{}} {goods}."),),
    )


def shopping(draw: random.Random) -> Story:
    name, goods = _who(draw)
    n, price, paid = draw.randint(2, 9), draw.randint(2, 6), draw.randint(55, 70)
    return Story(
        f"{name} buys {n} {goods} for {price} dollars each and pays with {paid} dollars. "
        f"How many dollars does {name} get back?",
        (
            Step(n, "*", price, "The cost is {}."),
            Step(paid, "-", Ref(0), f"{name} gets {{}} back."),
        ),
    )


def bakery(draw: random.Random) -> Story:
    name, goods = _who(draw)
    trays, each, extra = draw.randint(2, 9), draw.randint(3, 10), draw.randint(5, 30)
    return Story(
        f"{name} has {trays} trays of {each} {goods} and {extra} loose {goods}. "
        f"How many {goods} does {name} have?",
        (
            Step(each, "*", trays, f"The trays hold {{}} {goods}."),
            Step(Ref(0), "+", extra, f"{name} has {{}} {goods}."),
        ),
    )


def teams(draw: random.Random) -> Story:
    name, goods = _who(draw)
    share, people = draw.randint(2, 9), draw.randint(2, 9)
    a = draw.randint(1, share * people - 1)
    return Story(
        f"{name} has {a} {goods} and buys {share * people - a} more. {name} puts them equally "
        f"into {people} bags. How many {goods} are in each bag?",
        (
            Step(a, "+", share * people - a, f"{name} has {{}} {goods}."),
            Step(Ref(0), "/", people, f"Each bag has {{}} {goods}."),
        ),
    )


def book(draw: random.Random) -> Story:
    name = draw.choice(NAMES)
    per_day, days, left = draw.randint(5, 12), draw.randint(2, 7), draw.randint(10, 40)
    pages = per_day * days + left
    return Story(
        f"A book has {pages} pages. {name} reads {per_day} pages a day for {days} days. "
        "How many pages are left?",
        (
            Step(per_day, "*", days, f"{name} reads {{}} pages."),
            Step(pages, "-", Ref(0), "There are {} pages left."),
        ),
    )


def twice(draw: random.Random) -> Story:
    name, goods = _who(draw)
    other = draw.choice([n for n in NAMES if n != name])
    a, k = draw.randint(4, 20), draw.randint(2, 4)
    return Story(
        f"{name} has {a} {goods}. {other} has {k} times as many. "
        f"How many {goods} do they have together?",
        (
            Step(a, "*", k, f"{other} has {{}} {goods}."),
            Step(a, "+", Ref(0), f"Together they have {{}} {goods}."),
        ),
    )


def wages(draw: random.Random) -> Story:
    name = draw.choice(NAMES)
    wage, hours, bonus = draw.randint(5, 10), draw.randint(3, 8), draw.randint(5, 20)
    spent = draw.randint(3, wage * hours + bonus - 2)
    return Story(
        f"{name} earns {wage} dollars an hour, works {hours} hours and gets a bonus of {bonus} "
        f"dollars. Then {name} spends {spent} dollars. How many dollars are left?",
        (
            Step(wage, "*", hours, f"{name} earns {{}}."),
            Step(Ref(0), "+", bonus, "With the bonus it is {}."),
            Step(Ref(1), "-", spent, "There are {} dollars left."),
        ),
    )


def market(draw: random.Random) -> Story:
    name, goods = _who(draw)
    a, p, b, q = (draw.randint(2, 9) for _ in range(4))
    return Story(
        f"{name} sells {a} {goods} for {p} dollars each and {b} hats for {q} dollars each. "
        f"How many dollars does {name} get?",
        (
            Step(a, "*", p, f"The {goods} bring {{}}."),
            Step(b, "*", q, "The hats bring {}."),
            Step(Ref(0), "+", Ref(1), f"{name} gets {{}} dollars."),
        ),
    )


def garden(draw: random.Random) -> Story:
    name = draw.choice(NAMES)
    people, share = draw.randint(2, 8), draw.randint(2, 12)
    rows = draw.randint(2, 9)
    eaten = (-people * share) % rows
    while eaten == 0:
        eaten += rows
    each = (people * share + eaten) // rows
    return Story(
        f"{name} picks {each} pears from each of {rows} trees and throws away {eaten}. "
        f"The rest is shared equally by {people} people. How many pears does each get?",
        (
            Step(each, "*", rows, f"{name} picks {{}} pears."),
            Step(Ref(0), "-", eaten, "There are {} good pears."),
            Step(Ref(1), "/", people, "Each gets {} pears."),
        ),
    )


def trip(draw: random.Random) -> Story:
    name = draw.choice(NAMES)
    speed, hours, extra = draw.randint(4, 12), draw.randint(2, 8), draw.randint(5, 30)
    rest = draw.randint(5, 40)
    total = speed * hours + extra + rest
    return Story(
        f"{name} rides {speed} miles an hour for {hours} hours and then {extra} miles by bus. "
        f"The whole way is {total} miles. How many miles are left?",
        (
            Step(speed, "*", hours, f"{name} rides {{}} miles."),
            Step(Ref(0), "+", extra, "With the bus it is {} miles."),
            Step(total, "-", Ref(1), "There are {} miles left."),
        ),
    )


def school(draw: random.Random) -> Story:
    name = draw.choice(NAMES)
    groups, size = draw.randint(2, 6), draw.randint(2, 6)
    rows, seats = draw.randint(2, 8), draw.randint(3, 8)
    away = draw.randint(1, rows * seats - 1)
    more = (-(rows * seats - away)) % groups + groups * size
    return Story(
        f"A school has {rows} rooms with {seats} pupils each. {away} pupils leave and {more} "
        f"new ones come. {name} makes {groups} equal groups. How many pupils are in a group?",
        (
            Step(seats, "*", rows, "There are {} pupils."),
            Step(Ref(0), "-", away, "Then there are {}."),
            Step(Ref(1), "+", more, "Now there are {}."),
            Step(Ref(2), "/", groups, "A group has {} pupils."),
        ),
    )


def savings(draw: random.Random) -> Story:
    name = draw.choice(NAMES)
    a, weeks, gift, price = (
        draw.randint(3, 12),
        draw.randint(2, 9),
        draw.randint(5, 30),
        draw.randint(2, 5),
    )
    n = draw.randint(2, min(9, (a * weeks + gift - 1) // price))
    return Story(
        f"{name} saves {a} dollars a week for {weeks} weeks and gets {gift} dollars as a gift. "
        f"{name} then buys {n} toys for {price} dollars each. How many dollars are left?",
        (
            Step(a, "*", weeks, f"{name} saves {{}}."),
            Step(Ref(0), "+", gift, "With the gift it is {}."),
            Step(n, "*", price, "The toys cost {}."),
            Step(Ref(1), "-", Ref(2), "There are {} dollars left."),
        ),
    )


def farm(draw: random.Random) -> Story:
    name = draw.choice(NAMES)
    a, p, b, q = (draw.randint(2, 9) for _ in range(4))
    broken = draw.randint(1, a * p + b * q - 1)
    return Story(
        f"{name} has {a} hens that lay {p} eggs each and {b} ducks that lay {q} eggs each. "
        f"{broken} eggs break. How many eggs are whole?",
        (
            Step(a, "*", p, "The hens lay {}."),
            Step(b, "*", q, "The ducks lay {}."),
            Step(Ref(0), "+", Ref(1), "Together it is {}."),
            Step(Ref(2), "-", broken, "There are {} whole eggs."),
        ),
    )


# By level, that is by number of steps.
TEMPLATES: dict[int, tuple[Template, ...]] = {
    1: (gathering, giving, boxes, sharing),
    2: (shopping, bakery, teams, book, twice),
    3: (wages, market, garden, trip),
    4: (school, savings, farm),
}
