"""Answers to the exercises of notebook 00; each replaces the line `answer = None`."""

SOLUTIONS = {
    "0.1": "answer = 2 * height * width",
    "0.2": "answer = 'blue'",
    "0.3": "answer = int(((red.rgb != blue.rgb).any(axis=2) & ~red.masks[0]).sum())",
    "0.4": "answer = np.array([5.0, 40.0])",
}
