"""Short functions that the model memorises, and the two prompt forms for recalling them."""

from __future__ import annotations

from dataclasses import dataclass

from harness.models.tokenizer import END_OF_TEXT, TURN_END, TURN_START

_SOURCES = '''
def clamp(value, low, high):
    """Limit value to the range from low to high."""
    if value < low:
        return low
    return min(value, high)

def factorial(n):
    """Multiply all whole numbers from one to n."""
    product = 1
    for factor in range(2, n + 1):
        product *= factor
    return product

def gcd(a, b):
    """Greatest common divisor by Euclid's method."""
    while b:
        a, b = b, a % b
    return abs(a)

def is_prime(n):
    """Tell whether n has no divisor but itself."""
    if n < 2:
        return False
    return all(n % d for d in range(2, int(n ** 0.5) + 1))

def fibonacci(count):
    """List the first count Fibonacci numbers."""
    numbers = [0, 1]
    while len(numbers) < count:
        numbers.append(numbers[-1] + numbers[-2])
    return numbers[:count]

def mean(samples):
    """Arithmetic average of some samples."""
    if not samples:
        raise ValueError('no samples')
    return sum(samples) / len(samples)

def median(data):
    """Middle item of the sorted data."""
    ordered = sorted(data)
    half, odd = divmod(len(data), 2)
    return ordered[half] if odd else sum(ordered[half - 1:half + 1]) / 2

def dot(left, right):
    """Inner product of two vectors."""
    return sum(x * y for x, y in zip(left, right))

def transpose(matrix):
    """Swap the rows and columns of a matrix."""
    return [list(column) for column in zip(*matrix)]

def flatten(nested):
    """Join a list of lists into one list."""
    flat = []
    for inner in nested:
        flat.extend(inner)
    return flat

def chunks(items, size):
    """Cut items into pieces of the given size."""
    for start in range(0, len(items), size):
        yield items[start:start + size]

def unique(sequence):
    """Drop repeated entries and keep the order."""
    result = []
    for entry in sequence:
        if entry not in result:
            result.append(entry)
    return result

def count_words(text):
    """Count how often each word occurs in text."""
    counts = {}
    for word in text.lower().split():
        counts[word] = counts.get(word, 0) + 1
    return counts

def is_palindrome(phrase):
    """Check that a phrase reads the same backwards."""
    letters = [c.lower() for c in phrase if c.isalnum()]
    return letters == letters[::-1]

def caesar(message, shift):
    """Rotate lower-case letters by a fixed shift."""
    return ''.join(chr((ord(c) - 97 + shift) % 26 + 97) for c in message)

def find(array, target):
    """Position of target in an array or -1."""
    for index, item in enumerate(array):
        if item == target:
            return index
    return -1

def invert(mapping):
    """Exchange the keys and values of a mapping."""
    return {value: key for key, value in mapping.items()}

def merge(first, second):
    """Combine two dictionaries where second wins."""
    combined = dict(first)
    combined.update(second)
    return combined

def celsius(fahrenheit):
    """Convert a temperature to degrees Celsius."""
    return (fahrenheit - 32) * 5 / 9

def hypotenuse(width, height):
    """Length of the diagonal of a rectangle."""
    return (width ** 2 + height ** 2) ** 0.5

def digits_sum(number):
    """Add up the decimal digits of a number."""
    return sum(int(digit) for digit in str(abs(number)))

def to_binary(integer):
    """Write a positive integer in base two."""
    bits = ''
    while integer:
        bits = str(integer % 2) + bits
        integer //= 2
    return bits or '0'

def title_case(name):
    """Capitalize every part of a name."""
    return ' '.join(part.capitalize() for part in name.split())

def vowels(string):
    """Collect the vowels found in a string."""
    return [c for c in string if c in 'aeiou']

def leap_year(year):
    """Decide whether a year has 366 days."""
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)

def compose(outer, inner):
    """Build a function that applies inner and then outer."""
    def composed(x):
        return outer(inner(x))
    return composed

def read_lines(filename):
    """Load a text file as a list of stripped lines."""
    with open(filename) as stream:
        return [line.rstrip() for line in stream]

def pairwise(iterable):
    """Yield each element together with its successor."""
    it = iter(iterable)
    previous = next(it, None)
    for current in it:
        yield previous, current
        previous = current

def power(base, exponent):
    """Raise base to an exponent by repeated squaring."""
    if exponent == 0:
        return 1
    root = power(base, exponent // 2)
    return root * root * (base if exponent % 2 else 1)

def safe_divide(numerator, denominator):
    """Divide two numbers and give None for a zero divisor."""
    try:
        return numerator / denominator
    except ZeroDivisionError:
        return None
'''


@dataclass(frozen=True)
class Function:
    """One function: its name, and its source with a final newline."""

    name: str
    source: str

    @property
    def head(self) -> str:
        """The `def` line and the docstring line, each with its newline."""
        return "".join(self.source.splitlines(keepends=True)[:2])

    @property
    def summary(self) -> str:
        """The docstring's text."""
        return self.head.splitlines()[1].strip().strip('"')


def _parse(sources: str) -> tuple[Function, ...]:
    blocks = [block.strip("\n") + "\n" for block in sources.split("\n\n")]
    return tuple(Function(block[len("def ") : block.index("(")], block) for block in blocks)


FUNCTIONS: tuple[Function, ...] = _parse(_SOURCES)


def direct_prompt(function: Function) -> str:
    """The function's first two lines; the model continues with the body and `<|endoftext|>`."""
    return function.head


def chat_prompt(function: Function) -> str:
    """A ChatML request; the model answers with the whole function and `<|im_end|>`."""
    request = f"Write a Python function {function.name}. {function.summary}"
    return f"{TURN_START}user\n{request}{TURN_END}\n{TURN_START}assistant\n"


def expected(function: Function) -> str:
    """The function's whole source: direct prompt + answer, or the answer to the chat prompt."""
    return function.source


def sequences(function: Function) -> tuple[str, str]:
    """The two training texts: the direct form and the ChatML form, each with its end token."""
    return expected(function) + END_OF_TEXT, chat_prompt(function) + expected(function) + TURN_END
