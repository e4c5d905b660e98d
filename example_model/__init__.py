"""
Kettle 1, the smallest language model that makes sentences: it continues two words with a third.

It has read proverbs.txt, and nothing else. So the examples need no download and no key, and a
question with a seed always has the same answer.
"""

import random
import re
from collections import defaultdict
from pathlib import Path

NAME = "kettle-1"

# Common words of the proverbs; a question with one of them is not about it.
COMMON = {"a", "about", "an", "and", "for", "i", "in", "it", "not", "of", "on", "that", "the", "to"}
DRAFTS = 40
# For seeing what becomes of a failure: it fails if it is asked to, in the middle of its answer.
FAILURE = "boil over"


class Kettle:
    def __init__(self, text):
        # Which words follow two others; "" stands for what is before and after a sentence.
        self._following = defaultdict(list)
        for sentence in text.splitlines():
            words = ["", "", *sentence.split(), ""]
            for first, second, third in zip(words, words[1:], words[2:], strict=False):
                self._following[first, second].append(third)

    def answer(self, question, seed=None):
        """Yield an answer's words, each with the space before it."""
        chance = random.Random(None if seed is None else f"{seed} {question}")
        fails = FAILURE in question.lower()
        for number, word in enumerate(self._words(topics(question), chance)):
            if fails and number == 8:
                raise RuntimeError("the kettle has boiled over")
            yield f" {word}" if number else word

    def _words(self, asked, chance):
        said = set()
        for _ in range(chance.randint(3, 5)):
            drafts = [self._sentence(chance) for _ in range(DRAFTS)]
            # The draft that has most to do with the question, if it has not been said.
            best = max(drafts, key=lambda each: (each not in said, len(asked & topics(each))))
            said.add(best)
            yield from best.split()

    def _sentence(self, chance):
        words = ["", ""]
        while word := chance.choice(self._following[words[-2], words[-1]]):
            words.append(word)
        return " ".join(words[2:])


def topics(text):
    # Singular and plural are the same.
    return {word.rstrip("s") for word in re.findall(r"[a-z]+", text.lower())} - COMMON


kettle = Kettle(Path(__file__).with_name("proverbs.txt").read_text())
