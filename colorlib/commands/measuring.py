"""The commands that measure: methods (`evaluate`, `score`, `certify`, `sources`, `leaderboard`, `conditions`), data sets (`data`), speed (`bench`)."""
from pathlib import Path

from colorlib.commands.shared import add, add_device, add_geometry, add_size, add_trainings, count, positive, tell

__all__ = []      # for the command line alone


def add_evaluate(commands):
    p = add(commands, "evaluate", run_evaluate, "measure a method beside the trivial answers and append the rows to data/results",
            "koalarization --size class --data photos/",
            "hintnet --curve",
            "tcvc --clips --data clips/",
            "scgan --published",
            "scgan --size class --protocol standard --data photos/")
    p.add_argument("method", help="a name of `python -m colorlib list`")
    add_size(p)
    p.add_argument("--data", help="as for train; the test part is used")
    p.add_argument("--split", default="val", choices=("val", "legacy"), help="legacy: of VCIP2020's folder, the 28 pairs published numbers were measured on")
    p.add_argument("--weights", help="a .safetensors file instead of the shipped weights")
    p.add_argument("--limit", type=count, help="at most so many pictures")
    add_device(p)
    p.add_argument("--dry-run", action="store_true", help="print, write no rows")
    p.add_argument("--curve", action="store_true", help="for methods that take hints: PSNR against the number of hints, in three protocols")
    p.add_argument("--clips", action="store_true",
                   help="on clips, frame by frame and smoothed: how steady the colours are; --data: scenes or a folder of clips (default scenes)")
    p.add_argument("--published", action="store_true", help="for SCGAN: the authors' evaluation, slips included, beside the same done right")
    p.add_argument("--protocol", choices=("legacy", "standard"),
                   help="legacy: as CT2 and DDColor measure; standard: done right, with intervals; rows go to data/results/PROTOCOL.csv")
    add_geometry(p)


def run_evaluate(options):
    from colorlib import experiments
    if options.clips + options.curve + options.published + bool(options.protocol) > 1:
        raise ValueError("--clips, --curve, --published and --protocol are four measurements: ask for one at a time.")
    if options.protocol:
        from colorlib.experiments import evaluators
        summaries = evaluators.measure_method(options.method, options.protocol, options.size, options.data, options.weights, limit=options.limit,
                                              device=options.device, write=not options.dry_run, geometry=options.geometry, kernel=options.kernel)
        print_scores(summaries, options.protocol)
        return
    if options.curve:
        from colorlib.experiments import hint_curves
        rows = hint_curves.measure_method(options.method, options.size, options.data, options.weights, limit=options.limit, device=options.device,
                                          write=not options.dry_run)
        print(hint_curves.table(rows))
        return
    if options.published:
        from colorlib import zoo
        from colorlib.experiments import protocols
        if (measure := protocols.PROTOCOLS.get(zoo.get(options.method).module)) is None:
            raise ValueError(f"{options.method} has no evaluation of its own here: leave --published out.")
        summaries = measure(options.method, options.size, options.data, options.weights, limit=options.limit, device=options.device,
                            write=not options.dry_run)
        print(experiments.summary_table(summaries, protocols.SCGAN_METRICS))
        return
    if options.clips and options.split != "val":
        raise ValueError(f"Clips have no split {options.split}: leave --split or --clips out.")
    measure, more = (experiments.evaluate_clips, {}) if options.clips else (experiments.evaluate_method, {"split": options.split})
    summaries = measure(options.method, options.size, options.data, options.weights, limit=options.limit, device=options.device,
                        write=not options.dry_run, **more)
    print(experiments.summary_table({row or options.method: summary for row, summary in summaries.items()}))


def add_score(commands):
    p = add(commands, "score", run_score, "score two folders of pictures, painted and true, matched by name",
            "painted/ true/", "painted/ true/ --protocol legacy")
    p.add_argument("painted", help="a folder")
    p.add_argument("true", help="a folder with the same names")
    p.add_argument("--protocol", default="standard", choices=("legacy", "standard"), help="see evaluate")
    add_geometry(p)


def run_score(options):
    from colorlib.experiments import evaluators
    summary = evaluators.score_folders(options.painted, options.true, options.protocol, options.geometry, options.kernel)
    print_scores({options.painted: summary}, options.protocol)


def add_certify(commands):
    p = add(commands, "certify", run_certify, "is a folder the set published numbers were measured on, and with which resize kernel?",
            "val5k/ --set val5k")
    p.add_argument("folder", help="the true pictures, of any size")
    p.add_argument("--set", required=True, choices=("val5k", "val50k", "coco", "ade20k"), help="the first two are of ImageNet")


def run_certify(options):
    from colorlib.experiments import certification
    tell(certification.certify(options.folder, options.set))


def add_sources(commands):
    p = add(commands, "sources", run_sources, "measure methods on photographs of other kinds, each folder on its own",
            "faces/ groceries/ --methods photonet scgan --size class")
    p.add_argument("folders", nargs="+", help="of photographs; all in them are measured")
    p.add_argument("--methods", nargs="+", help="default: all with weights that are automatic or take hints")
    add_size(p)
    p.add_argument("--limit", type=count, help="at most so many photographs of each folder")
    add_device(p)


def run_sources(options):
    from colorlib import train, zoo
    from colorlib.experiments import other_sources
    size = options.size or train.size()
    for name in options.methods or [name for name in zoo.METHODS if other_sources.can_be_measured(name, size)]:
        for folder in options.folders:
            found = other_sources.measure(name, folder, size, limit=options.limit, device=options.device)
            print(f"{name} on {found['n']} photographs of {folder}: {found['gain']:+.2f} dB over grey, "
                  f"{found['colorfulness_ratio']:.2f} as colourful as the truth", flush=True)
    print(other_sources.table(size))


def add_leaderboard(commands):
    p = add(commands, "leaderboard", run_leaderboard, "train and measure all automatic methods under equal updates, in equal time, and as shipped",
            "",
            "--methods cic scgan --steps 200")
    p.add_argument("--budget", default="all", choices=("steps", "minutes", "shipped", "all"), help="what all get alike (default all, one after the other)")
    add_size(p)
    p.add_argument("--data", help="as for train; default scenes")
    p.add_argument("--methods", nargs="+", help="default: all automatic ones")
    p.add_argument("--seeds", type=count, default=3, help="trainings of each row (default 3)")
    p.add_argument("--steps", type=count, help="updates of the budget steps (default by size)")
    p.add_argument("--minutes", type=positive, help="of the budget minutes (default by size)")
    p.add_argument("--limit", type=count, help="at most so many test pictures (default 200)")
    add_trainings(p)


def run_leaderboard(options):
    from colorlib import experiments, train
    from colorlib.experiments import leaderboard
    size, spec = options.size or train.size(), options.data or "scenes"
    tell(leaderboard.run(options.budget, size, spec, options.methods, options.seeds, options.steps, options.minutes, options.limit,
                         options.device, options.precision, options.run))
    for budget in leaderboard.BUDGETS if options.budget == "all" else (options.budget,):
        print(f"\n{leaderboard.TITLES[budget]}\n\n{leaderboard.table(budget, size, f'{experiments.data_name(spec)} val')}")


def add_conditions(commands):
    p = add(commands, "conditions", run_conditions, "what a hint, a caption, a reference or a saliency map buys, on the same pictures",
            "--size class --data imagenette")
    p.add_argument("--methods", nargs="+", help="only these conditioned methods")
    add_size(p)
    p.add_argument("--data", help="as for train (default: scenes at smoke size, else imagenette)")
    p.add_argument("--seeds", type=count, default=3, help="of SCGAN's trainings with and without saliency maps")
    p.add_argument("--steps", type=count, help="their updates (default: the leaderboard's)")
    p.add_argument("--limit", type=count, help="at most so many test pictures (default 200)")
    add_trainings(p)


def run_conditions(options):
    from colorlib import train
    from colorlib.experiments import condition_table
    size = options.size or train.size()
    tell(condition_table.run(size, options.data, options.limit, options.steps, options.seeds, options.methods or condition_table.METHODS,
                             device=options.device, precision=options.precision, folder=options.run))
    print(f"\n{condition_table.TITLE}\n\n{condition_table.table(size)}")


def print_scores(summaries, protocol):
    """{row name: summary} of an evaluator as a table, its intervals under it, and what is not in it for want of weights."""
    from colorlib import experiments
    from colorlib.experiments import evaluators
    first = next(iter(summaries.values()))
    print(experiments.summary_table(summaries, [metric for metric in evaluators.EVALUATORS[protocol] if first.get(metric) is not None]))
    for row, summary in summaries.items():
        known = [metric for metric in evaluators.INTERVALS if summary.get(f"{metric}_low") is not None]
        if intervals := [f"{metric} {summary[f'{metric}_low']:.3f}–{summary[f'{metric}_high']:.3f}" for metric in known]:
            print(f"{row}, 95 % of {summary['n']} pictures: {', '.join(intervals)}")
    if left_out := evaluators.missing(protocol):
        print(left_out)


def add_data(commands):
    p = add(commands, "data", run_data, "look through a data set: counts, sizes, grey and unreadable files",
            "photos/", "scenes", "clip.mp4", "EPFL/ --vcip-like pairs/")
    p.add_argument("path", help="folder of pictures, tar shards, scenes, a torchvision set, or a video, whose cuts are found")
    p.add_argument("--vcip-like", metavar="TARGET",
                   help="path is the EPFL RGB-NIR Scene set: cut its pairs the way the VCIP2020 challenge did into this folder")


def run_data(options):
    from colorlib import data
    names = {name.lower() for name in data.TORCHVISION_SETS}
    if options.vcip_like:
        print(f"{options.vcip_like}: {data.build_vcip_like(options.path, options.vcip_like):,} pairs")
    elif options.path == "scenes":
        print(data.describe(data.SceneSet(200)))
    elif options.path.lower() in names and not Path(options.path).exists():
        print(data.describe(data.torchvision_set(options.path)))
    else:
        print(data.describe(options.path))


def add_bench(commands):
    p = add(commands, "bench", run_bench, "measure speed and memory beside named peers, in one run, and append the rows to data/results",
            "",
            "lab loader",
            "train --only scgan tcvc")
    p.add_argument("kinds", nargs="*", metavar="kind",
                   help="lab: colour conversion; loader: pictures from files; train: updates of whole methods; infer: colouring; memory; scaling: one process "
                   "beside several (default: all, about ten minutes on two cores)")
    p.add_argument("--only", nargs="+", metavar="VARIANT", help="only these, such as scgan or tcvc")
    p.add_argument("--rounds", type=count, help="how often each contestant runs (default: 15, fewer for slow ones)")
    add_device(p)
    p.add_argument("--dry-run", action="store_true", help="print, write no rows")


def run_bench(options):
    from colorlib import bench
    for text in bench.run(options.kinds, options.only, options.rounds, options.device, write=not options.dry_run):
        print(f"{text}\n", flush=True)
