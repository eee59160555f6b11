"""Answers to the exercises of notebook 08; each replaces the line `answer = None`."""

SOLUTIONS = {
    "8.1": "answer = 1_001",
    "8.2": "answer = 1 + 60 // 12",
    "8.3": "answer = 7 * 7 * 3 * 64",
    "8.4": "answer = 2 / (1 - 0.8)",
    "8.5": "answer = np.log(2) * (1 / 3) * (2 / 3)",
}
