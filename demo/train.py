"""Make the whole demo again: `python -m demo.train`. Every part goes on where it was stopped."""

from demo import report, train_dictionaries, train_model
from demo.settings import ModelSettings


def main() -> None:
    """Train tokenizer and language model, then the dictionaries, then write the report."""
    print("1/3 language model", flush=True)
    train_model.train(ModelSettings())
    print("2/3 dictionaries", flush=True)
    train_dictionaries.train()
    print("3/3 report", flush=True)
    report.write()


if __name__ == "__main__":
    main()
