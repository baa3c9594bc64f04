"""Worked examples to put before a question (few-shot prompts), in the style of GSM8K."""

SHOTS = (
    (
        "A baker has 4 trays with 6 rolls each. She sells 15 rolls. How many rolls are left?",
        "4 trays with 6 rolls are 4 * 6 = 24 rolls. After selling 15 there are 24 - 15 = 9 left.",
        "9",
    ),
    (
        "Noor reads 12 pages on Monday and twice as many on Tuesday. How many pages is that?",
        "On Tuesday she reads 2 * 12 = 24 pages. Together that is 12 + 24 = 36 pages.",
        "36",
    ),
    (
        "A bus starts with 18 people. At one stop 5 get off and 9 get on. How many ride on?",
        "After 5 get off there are 18 - 5 = 13. After 9 get on there are 13 + 9 = 22.",
        "22",
    ),
    (
        "Three friends share 45 shells equally, and each gives 4 to Ida. How many does each keep?",
        "Each gets 45 / 3 = 15 shells. After giving 4 away each keeps 15 - 4 = 11.",
        "11",
    ),
    (
        "A pen costs 3 dollars and a folder 5 dollars. What do 4 pens and 2 folders cost?",
        "4 pens cost 4 * 3 = 12 dollars, 2 folders 2 * 5 = 10. Together: 12 + 10 = 22 dollars.",
        "22",
    ),
    (
        "A tank holds 80 litres and is a quarter full. How many litres fit in still?",
        "A quarter of 80 is 80 / 4 = 20 litres. So 80 - 20 = 60 litres fit in still.",
        "60",
    ),
    (
        "Emil runs 3 km each weekday and 7 km on Saturday. How far does he run in 2 such weeks?",
        "Five weekdays are 5 * 3 = 15 km; with Saturday 15 + 7 = 22 km. Two weeks: 2 * 22 = 44 km.",
        "44",
    ),
    (
        "A shirt of 40 dollars is sold 25% cheaper. Lea buys two. How much does she pay?",
        "25% of 40 is 40 * 25 / 100 = 10, so one costs 40 - 10 = 30. Two cost 2 * 30 = 60 dollars.",
        "60",
    ),
)


def examples(count: int) -> str:
    """The first `count` examples (0 to 8) as text before a question; ValueError for others."""
    if not 0 <= count <= len(SHOTS):
        raise ValueError(f"there are {len(SHOTS)} examples, not {count}")
    return "".join(
        f"Question: {question}\nAnswer: {steps} The answer is {answer}.\n\n"
        for question, steps, answer in SHOTS[:count]
    )
