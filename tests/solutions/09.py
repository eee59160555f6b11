"""Answers to the exercises of notebook 09; each replaces the line `answer = None`."""

SOLUTIONS = {
    "9.1": "answer = 100 - 20.4 - 39.0",
    "9.2": "answer = (256 + 1001) * 256 + 256",
    "9.3": "answer = 45",
    "9.4": "answer = np.array([0.0, 20.0])",
}
