"""Answers to the exercises of notebook 04; each replaces the line `answer = None`."""

SOLUTIONS = {
    "4.1": "answer = 251",
    "4.2": "answer = 0.125",
    "4.3": "answer = 1.7 ** 1.5",
    "4.4": "answer = torch.tensor([30.3, 27.0])",
}
