"""Updates of whole methods: ours beside its plain form and beside the authors' code, where a folder holds it. A file for each paper."""
from colorlib.bench import train_eccv16, train_gray2color, train_hscau, train_language, train_scgan, train_tcvc

__all__ = ["VARIANTS"]      # what `python -m colorlib bench` measures: {name: function of (rounds, device) that returns rows}

VARIANTS = train_eccv16.VARIANTS | train_scgan.VARIANTS | train_tcvc.VARIANTS | train_hscau.VARIANTS \
    | train_language.VARIANTS | train_gray2color.VARIANTS
