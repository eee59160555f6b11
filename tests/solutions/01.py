"""Answers to the exercises of notebook 01; each replaces the line `answer = None`."""

SOLUTIONS = {
    "1.1": "answer = 119",
    "1.2": "answer = lab.gamut_mask(75.0, bins).count_nonzero().item()",
    "1.3": "answer = 0.36 / (0.36 + 0.16)",
    "1.4": "answer = lab.rgb_to_lab(np.clip(lab.lab_to_rgb(wanted, clip=False), 0, 1))[0]",
}
