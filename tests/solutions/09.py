"""Answers to the exercises of notebook 09; each replaces the line `answer = None`."""

SOLUTIONS = {
    "7.1": "answer = (256 + 1000) * 256 + 256",
    "7.2": "answer = 45",
    "7.3": "answer = np.array([0.0, 20.0])",
    "7.4": "answer = 100 - 20.4 - 39.0",
}
