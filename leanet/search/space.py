"""What is searched: settings and the values that they may take, as people write them."""

import dataclasses
import re
from dataclasses import dataclass

from leanet.attention.settings import TrainLEANet
from leanet.core import paths, settings
from leanet.core.errors import InputError

SECTION = "train_leanet."
KINDS = "uniform(low, high), loguniform(low, high), int(low, high) or choice(one, another, …)"


@dataclass(frozen=True)
class Axis:
    """A setting of section train_leanet, the kind of its values and what bounds or lists them."""

    name: str
    kind: str
    values: tuple[object, ...]

    @classmethod
    def parse(cls, text: str) -> "Axis":
        """From train_leanet.learning_rate=loguniform(1e-4, 1e-2), say.

        Raises:
            InputError: it is not written so, or the setting is another section's, or none.
        """
        found = re.fullmatch(r"\s*([\w.]+)\s*=\s*(\w+)\((.*)\)\s*", text)
        if not found or found[2] not in ("uniform", "loguniform", "int", "choice"):
            raise InputError(f"{text}: expected KEY={KINDS}")
        key, kind, values = found[1], found[2], tuple(_value(word.strip()) for word in found[3].split(","))
        known = [field.name for field in dataclasses.fields(TrainLEANet) if field.name not in ("points", "seed")]
        if key.removeprefix(SECTION) not in known or not key.startswith(SECTION):
            expected = ", ".join(SECTION + name for name in known)
            raise InputError(f"{key}: cannot be searched, expected one of {expected}")
        if kind != "choice":
            numbers = len(values) == 2 and all(isinstance(value, int | float) for value in values)
            if not numbers or not (values[0] < values[1] and (kind != "loguniform" or values[0] > 0)):
                above = " above 0" * (kind == "loguniform")
                raise InputError(f"{text}: expected two numbers{above}, the lower one first")
        return cls(key.removeprefix(SECTION), kind, values)

    def suggest(self, trial) -> object:
        """A value for a trial of Optuna's."""
        if self.kind == "choice":
            return trial.suggest_categorical(self.name, self.values)
        if self.kind == "int":
            return trial.suggest_int(self.name, *self.values)
        return trial.suggest_float(self.name, *self.values, log=self.kind == "loguniform")


def _value(word: str) -> object:
    """A number or a word of YAML's."""
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            pass
    return {"true": True, "false": False}.get(word, word)


def with_values(base: TrainLEANet, values: dict[str, object]) -> TrainLEANet:
    """The settings with these in place of theirs.

    Raises:
        InputError: a value is not valid.
    """
    return settings.read(TrainLEANet, dataclasses.asdict(base) | values, paths.PARAMS, "train_leanet")
