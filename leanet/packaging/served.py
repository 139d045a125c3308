"""The detector as MLflow serves it: a file of code in the model, nothing pickled."""

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from leanet.detector.detector import Detector


class Served(PythonModel):
    """A table of image files in, their scores out."""

    def load_context(self, context) -> None:
        self.detector = Detector.load(context.artifacts["detector"])

    def predict(self, context, model_input: pd.DataFrame, params: dict | None = None) -> pd.DataFrame:
        """From a column "image" of files' bytes (in JSON, base64) to columns score and anomalous."""
        judged = self.detector.predict(model_input["image"].tolist())
        return pd.DataFrame({"score": judged.scores.astype(float), "anomalous": judged.labels})


set_model(Served())
