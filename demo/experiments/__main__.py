"""Run what is missing of the experiments and write docs/experiments.md:   python -m demo.experiments [--write]

--write only writes, from the numbers that are there. A run that was stopped goes on. OMP_NUM_THREADS=1 is as fast.
"""

import argparse

from core.work.torch_library import import_model_library, keep_freed_memory


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m demo.experiments", description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="only write the document, from the numbers that are there")
    if not parser.parse_args().write:
        import_model_library()
        keep_freed_memory()
        from demo.experiments.asked import PLAN, SHIPPED
        from demo.experiments.run import on_the_demo, run_missing

        run_missing(PLAN, on_the_demo(PLAN), shipped=SHIPPED)
    from demo.experiments.document import write

    write()


if __name__ == "__main__":
    main()
