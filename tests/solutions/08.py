"""Answers to the exercises of notebook 08; each replaces the line `answer = None`."""

SOLUTIONS = {
    "7.1": "answer = 7 * 7 * 3 * 64",
    "7.2": "answer = 10_001",
    "7.3": "answer = np.log(2) * (1 / 3) * (2 / 3)",
    "7.4": "answer = 2 / (1 - 0.8)",
    "7.5": "answer = 1 + 60 // 12",
}
