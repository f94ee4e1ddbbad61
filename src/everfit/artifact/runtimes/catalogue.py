"""Every form, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Mapping

from everfit.artifact.runtimes.lightgbm import LightgbmForm
from everfit.artifact.runtimes.lightgbm_fast import LightgbmFastForm
from everfit.artifact.runtimes.onnx import OnnxForm
from everfit.artifact.runtimes.pickled import PickledForm
from everfit.artifact.runtimes.runtime import Form
from everfit.artifact.runtimes.sklearn import SklearnForm
from everfit.artifact.runtimes.treelite import TreeliteForm
from everfit.artifact.runtimes.xgboost import XgboostForm

NATIVE: tuple[Form, ...] = (LightgbmForm(), XgboostForm(), SklearnForm(), PickledForm())
"""They hold the estimator itself; the first that can hold it, and gives back its answers, is kept."""

ACCELERATED: tuple[Form, ...] = (LightgbmFastForm(), TreeliteForm(), OnnxForm())
"""They hold what is needed to predict, and are used where they prove equal and faster."""

FORMS: Mapping[str, Form] = {form.name: form for form in NATIVE + ACCELERATED}
