"""The built-in benchmark ``demo``: 120 short questions of our own; a first run downloads nothing.

The kinds alternate, so that a run with a small ``limit`` already meets all three. Every answer is a
bare number, symbol, word or time: what an exact comparison can judge.
"""

from __future__ import annotations

from typing import Any

PROMPT = "{question} Reply with the answer only, as short as possible."
"""Template over the fields of a row."""

ARITHMETIC = (
    # Sums and differences
    ("What is 47 + 38?", "85"),
    ("What is 126 + 259?", "385"),
    ("What is 1208 + 794?", "2002"),
    ("What is 15 + 27 + 58?", "100"),
    ("What is 64 plus 19?", "83"),
    ("What is the sum of 48 and 76?", "124"),
    ("What is 91 - 46?", "45"),
    ("What is 500 - 183?", "317"),
    ("What is 72 minus 35?", "37"),
    ("What is the difference between 84 and 29?", "55"),
    ("What is 18 - 25?", "-7"),
    ("What is -4 + 9?", "5"),
    ("What is 2024 - 1987 + 13?", "50"),
    # Products
    ("What is 7 × 8?", "56"),
    ("What is 12 * 12?", "144"),
    ("What is 25 × 16?", "400"),
    ("What is 11 * 23?", "253"),
    ("What is 13 times 6?", "78"),
    ("What is the product of 9 and 14?", "126"),
    ("What is 5 × 4 × 3?", "60"),
    ("What is 99 × 0?", "0"),
    ("What is -3 × 6?", "-18"),
    # Exact divisions
    ("What is 144 ÷ 12?", "12"),
    ("What is 96 / 8?", "12"),
    ("What is 625 ÷ 25?", "25"),
    ("What is 1000 / 40?", "25"),
    ("What is 84 divided by 7?", "12"),
    ("What is the quotient of 81 and 9?", "9"),
    # Two steps
    ("What is (3 + 4) × 5?", "35"),
    ("What is 3 + 4 × 5?", "23"),
    ("What is (20 - 6) / 2?", "7"),
    ("What is 50 - 6 × 7?", "8"),
    ("What is (8 + 4) × (9 - 6)?", "36"),
    ("What is 100 - (35 + 25)?", "40"),
    ("What is (45 + 15) ÷ 6?", "10"),
    ("What is 2 × (17 - 9)?", "16"),
    ("What is 81 ÷ 9 + 14?", "23"),
    ("What is 6 × 7 - 5 × 8?", "2"),
    # In words
    ("Mia has 14 pencils and buys 9 more. How many pencils does she have now?", "23"),
    ("A choir has 27 girls and 25 boys. How many children sing in it altogether?", "52"),
    ("A farmer picks 53 apples and sells 28 of them. How many apples are left?", "25"),
    ("A tank holds 240 litres. 95 litres are used. How many litres remain?", "145"),
    ("Leo is 31 years old and Nora is 18. How many years older is Leo?", "13"),
    ("A bookcase has 6 shelves with 12 books on each. How many books are there in all?", "72"),
    ("A train has 8 coaches with 64 seats each. How many seats are there in total?", "512"),
    ("Tickets cost 17 euros each. How many euros do 5 tickets cost?", "85"),
    ("4 children share 36 sweets equally. How many sweets does each child get?", "9"),
    ("A ribbon of 84 cm is cut into 7 equal pieces. How many cm long is each piece?", "12"),
    ("A baker packs 96 rolls into bags of 6. How many bags does she fill?", "16"),
    ("A cyclist rides 15 km per hour for 4 hours. How many km does she ride?", "60"),
)

FACTS = (
    # Shapes and numbers
    ("How many sides does a hexagon have?", "6"),
    ("How many faces does a cube have?", "6"),
    ("How many degrees are there in a right angle?", "90"),
    ("How many degrees do the angles of a flat triangle add up to?", "180"),
    ("What is the smallest prime number?", "2"),
    ("How many zeros does one million have when written in digits?", "6"),
    ("Which number does the Roman numeral XIV stand for?", "14"),
    # Measures and the calendar
    ("How many days are there in a leap year?", "366"),
    ("How many days are there in June?", "30"),
    ("How many months of the year have exactly 31 days?", "7"),
    ("How many hours are there in one week?", "168"),
    ("How many minutes are there in one hour?", "60"),
    ("How many years are there in a century?", "100"),
    ("How many grams are there in a kilogram?", "1000"),
    ("How many inches are there in one foot?", "12"),
    # Chemistry and the sky
    ("What is the chemical symbol for gold?", "Au"),
    ("What is the chemical symbol for sodium?", "Na"),
    ("What is the chemical symbol for iron?", "Fe"),
    ("What is the chemical symbol for tungsten?", "W"),
    ("What is the chemical formula of water?", "H2O"),
    ("What is the atomic number of carbon?", "6"),
    ("Which planet is closest to the Sun?", "Mercury"),
    ("Which planet of the Solar System is the largest?", "Jupiter"),
    # Places
    ("What is the capital of France?", "Paris"),
    ("What is the capital of Japan?", "Tokyo"),
    ("What is the capital of Italy?", "Rome"),
    ("What is the capital of Canada?", "Ottawa"),
    ("What is the capital of Norway?", "Oslo"),
    ("What is the capital of Peru?", "Lima"),
    ("On which continent does Kenya lie?", "Africa"),
    ("Which continent has the largest area?", "Asia"),
    # Living things, games and history
    ("How many legs does a spider have?", "8"),
    ("How many hearts does an octopus have?", "3"),
    ("How many chambers does a human heart have?", "4"),
    ("How many letters are there in the modern English alphabet?", "26"),
    ("How many cards are there in a standard deck without jokers?", "52"),
    ("How many pieces does each player have at the start of a game of chess?", "16"),
    ("How many strings does a violin have?", "4"),
    ("In which year did people first walk on the Moon?", "1969"),
    ("What is the surname of the author of the play Hamlet?", "Shakespeare"),
)

REASONING = (
    # Sequences
    ("Which number comes next: 2, 4, 6, 8?", "10"),
    ("Which number comes next: 3, 6, 12, 24?", "48"),
    ("Which number comes next: 1, 1, 2, 3, 5, 8?", "13"),
    ("Which number comes next: 100, 90, 80, 70?", "60"),
    ("Which number comes next: 1, 4, 9, 16?", "25"),
    ("Which number comes next: 1, 2, 4, 7, 11?", "16"),
    ("Which number is missing from the evenly spaced list 5, 10, _, 20, 25?", "15"),
    ("Which letter comes next: A, C, E, G?", "I"),
    # Comparisons
    ("Which of these numbers is the largest: 17, 71, 67, 61?", "71"),
    ("Which number is larger: 0.5 or 0.45?", "0.5"),
    ("Which of these numbers is the smallest: 0.3, 0.09, 0.21?", "0.09"),
    ("Which fraction is larger: 2/3 or 3/4?", "3/4"),
    ("How many of these numbers are even: 3, 8, 12, 15, 20?", "3"),
    ("Which word comes first in alphabetical order: pear, plum, peach?", "peach"),
    # Letters
    ("How many letters does the word elephant have?", "8"),
    ("How many times does the letter r occur in the word strawberry?", "3"),
    ("How many times does the letter e occur in the word evergreen?", "4"),
    ("How many vowels does the word banana have, repeated ones counted?", "3"),
    ("Which word do you get when you spell the word stop backwards?", "pots"),
    ("Which letter is the third one of the word planet?", "a"),
    # Order of people
    ("Anna is taller than Ben, and Ben is taller than Carl. Who is the tallest?", "Anna"),
    ("Dora, Emil and Finn ran a race. Emil finished before Dora and after Finn. Who won?", "Finn"),
    ("Gina is older than Hugo. Ivan is younger than Hugo. Who is the youngest?", "Ivan"),
    (
        "Three people sit in a row: Lena left of Max, Max left of Nils. Who sits in the middle?",
        "Max",
    ),
    ("Five children stand in a row, Kim in the exact middle. How many stand left of Kim?", "2"),
    # Calendar and clock
    ("Today is Monday. Which day of the week will it be in 10 days?", "Thursday"),
    ("Yesterday was Friday. Which day of the week is tomorrow?", "Sunday"),
    ("Which month comes three months after November?", "February"),
    ("A meeting starts at 9:40 and lasts 35 minutes. At what time does it end?", "10:15"),
    ("How many days are there from 28 March to 3 April, both counted?", "7"),
)


def _rows() -> list[dict[str, Any]]:
    """All questions as rows, each kind spread evenly over the whole."""
    kinds = (("arithmetic", ARITHMETIC), ("facts", FACTS), ("reasoning", REASONING))
    placed = [
        ((index + 0.5) / len(questions), question, answer, tag)
        for tag, questions in kinds
        for index, (question, answer) in enumerate(_dealt(questions))
    ]
    placed.sort(key=lambda entry: entry[0])
    return [
        {"id": f"demo-{number:03}", "question": question, "answer": answer, "tags": [tag]}
        for number, (_, question, answer, tag) in enumerate(placed, start=1)
    ]


def _dealt(questions: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    """The questions with neighbours apart, because a topic's questions stand together above."""
    step = 7
    return [question for start in range(step) for question in questions[start::step]]


ROWS: list[dict[str, Any]] = _rows()
"""One dict a question: ``id``, ``question``, ``answer``, ``tags``."""
