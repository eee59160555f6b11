"""Answers to the exercises of notebook 07; each replaces the line `answer = None`."""

SOLUTIONS = {
    "7.1": "answer = (8 * 40 - 8 * 25) / 255",
    "7.2": "answer = np.degrees(np.arccos(1 / 3 ** 0.5))",
    "7.3": "answer = torch.tensor([3 / 5, 1.0])",
    "7.4": "answer = 0.20 / 255 ** 2",
    "7.5": "answer = 34",
}
