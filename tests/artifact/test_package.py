from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import everfit as ef
from everfit.artifact.fitted_model import Fitted
from everfit.artifact.infer import infer_schema
from everfit.artifact.manifest import Lineage
from everfit.artifact.package import HELD_OUT, Package, open_package
from everfit.artifact.package_writer import write_package
from everfit.artifact.provenance import code_version, library_versions
from everfit.artifact.runtimes.native import NativePredictor
from everfit.artifact.signing import Signer, Trust, open_keys
from everfit.core.clock import SystemClock
from everfit.core.columns import KNOWN_AT, LABEL, TIME
from everfit.core.errors import CorruptPackageError, InvalidRequestError, PackageError, UntrustedPackageError
from everfit.core.evidence import ID, Task, TrainingFrame
from everfit.core.records import FrameManifest

SIGNER = Signer(bytes(range(32)))
TRUST = Trust([SIGNER.key])
ROWS = 600


@ef.on_demand
def clock(request: pl.DataFrame) -> pl.DataFrame:
    return request.select(hour=pl.col("ordered_at").dt.hour(), big=pl.col("weight") > 0.5)


@ef.on_demand
def by_hand(request: pl.DataFrame) -> pl.DataFrame:
    return pl.DataFrame({"twice": [None if value is None else 2 * value for value in request["weight"]]})


class Stump:
    """A user's own estimator."""

    def fit(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> Stump:
        self.rate = float(y.mean())
        return self

    def predict_proba(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        chance = np.where(np.nan_to_num(X[:, 2]) > 0.5, self.rate, 1 - self.rate)
        return np.column_stack([1 - chance, chance])


def the_model(task: Task, *, own_code: bool = False) -> ef.Model:
    orders = ef.Source("orders", path="orders.parquet", timestamp="ordered_at")
    shop = ef.Entity("shop", dtype=pl.String)
    load = ef.FeatureView("load", entities=[shop], source=orders, features=["open"], ttl="3h")
    parts: list[Any] = [load, "shop", "weight", clock]
    return ef.Model(
        "late",
        task=task,
        events=ef.Events(orders, id="order"),
        request=["shop", "ordered_at", "weight"],
        features=[*parts, by_hand] if own_code else parts,
        label=ef.Label("late", known_at="delivered_at"),
    )


def the_frame(model: ef.Model, *, gaps: bool) -> TrainingFrame:
    random = np.random.default_rng(7)
    weight = random.random(ROWS)
    busy = random.integers(0, 20, ROWS).astype(float)
    shops = random.choice(["a", "b", "c"], ROWS).tolist()
    score = weight + busy / 20 + (np.array(shops) == "b") + random.normal(0, 0.2, ROWS)
    labels: Any = {
        "binary": score > np.median(score),
        "multiclass": np.digitize(score, np.quantile(score, [0.3, 0.6])),
        "regression": score,
    }[model.task]
    start = pl.datetime(2024, 3, 1, time_zone="UTC")
    data = pl.DataFrame({"shop": shops, "weight": weight, "load.open": busy, LABEL: labels}).with_row_index(ID)
    data = data.with_columns(
        pl.col(ID).cast(pl.String),
        (start + pl.duration(minutes=37 * pl.col(ID).cast(pl.Int64))).alias("ordered_at"),
        pl.lit(None).alias(KNOWN_AT),
    )
    if gaps:
        holes = pl.int_range(pl.len()) % 9 == 0
        data = data.with_columns(
            pl.when(~holes).then(pl.col(name)).alias(name) for name in ("shop", "weight", "load.open")
        )
    data = data.with_columns(pl.col("ordered_at").alias(TIME))
    features = ["load.open", "shop", "weight"]
    for part in model.on_demand:
        computed = part.function(data.select(model.request))
        data = data.with_columns(**{f"{part.name}.{name}": computed[name] for name in computed.columns})
        features += [f"{part.name}.{name}" for name in computed.columns]
    now = SystemClock().now()
    manifest = FrameManifest(
        model=model.name,
        start=now,
        end=now,
        as_of=now,
        sources=(),
        views=("load",),
        query="",
        columns=tuple(data.columns),
        rows=ROWS,
        labelled=ROWS,
        digest="sha256:0",
    )
    return TrainingFrame(data=data, features=tuple(features), request=tuple(model.request), manifest=manifest)


def write(
    folder: Path,
    estimator: Any,
    task: Task,
    *,
    gaps: bool = True,
    own_code: bool = False,
    signer: Signer = SIGNER,
    with_profile: bool = False,
) -> Package:
    model = the_model(task, own_code=own_code)
    frame = the_frame(model, gaps=gaps)
    learnt, held_back = frame.data.head(400), frame.data.tail(200)
    schema = infer_schema(model, frame, learnt)
    from everfit.artifact.encode import encode_frame

    estimator.fit(encode_frame(schema, learnt), learnt[LABEL].cast(pl.Float64).to_numpy())
    fitted = Fitted(estimator=estimator, schema=schema, predict=NativePredictor("fitted", estimator, schema).predict)
    lineage = Lineage(
        frame=frame.manifest, params={}, seed=0, code=code_version(folder.parent), libraries=library_versions()
    )
    profile = held_back.with_columns(pl.lit(True).alias(HELD_OUT)) if with_profile else None
    return write_package(
        folder, fitted=fitted, model=model, rows=held_back, lineage=lineage, signer=signer, profile=profile
    )


def lightgbm(task: Task) -> Any:
    import lightgbm

    kind = lightgbm.LGBMRegressor if task == "regression" else lightgbm.LGBMClassifier
    return kind(n_estimators=30, verbose=-1, n_jobs=1)


def xgboost(task: Task) -> Any:
    import xgboost

    kind = xgboost.XGBRegressor if task == "regression" else xgboost.XGBClassifier
    return kind(n_estimators=30, n_jobs=1)


def trees(task: Task) -> Any:
    kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    return kind(max_iter=30, categorical_features=[1])


def linear(task: Task) -> Any:
    return make_pipeline(StandardScaler(), LinearRegression() if task == "regression" else LogisticRegression())


def forest(task: Task) -> Any:
    return RandomForestClassifier(20, random_state=0)


CASES: list[tuple[Callable[[Task], Any], Task, bool, str, set[str]]] = [
    (trees, "binary", True, "skops", {"treelite"}),
    (trees, "multiclass", True, "skops", {"treelite"}),
    (trees, "regression", True, "skops", {"treelite"}),
    (forest, "binary", True, "skops", {"treelite"}),
    (forest, "multiclass", True, "skops", {"treelite"}),
    (linear, "binary", False, "skops", {"onnx"}),
    (linear, "multiclass", False, "skops", {"onnx"}),
    (linear, "regression", False, "skops", {"onnx"}),
    (lightgbm, "binary", True, "lightgbm", {"lightgbm-fast"}),
    (lightgbm, "multiclass", True, "lightgbm", {"lightgbm-fast"}),
    (lightgbm, "regression", True, "lightgbm", {"lightgbm-fast"}),
    (xgboost, "binary", True, "xgboost", {"treelite"}),
    (xgboost, "multiclass", True, "xgboost", {"treelite"}),
    (xgboost, "regression", True, "xgboost", {"treelite"}),
    (lambda _: Stump(), "binary", True, "pickle", {"pickle"}),
]


@pytest.mark.parametrize(("make", "task", "gaps", "native", "forms"), CASES)
def test_every_form_gives_back_the_estimators_answers(
    tmp_path: Path, make: Callable[[Task], Any], task: Task, gaps: bool, native: str, forms: set[str]
) -> None:
    write(tmp_path / "package", make(task), task, gaps=gaps)
    package = open_package(tmp_path / "package", trust=TRUST)
    assert package.manifest.native == native
    assert package.manifest.runtime in forms, package.manifest.proofs
    assert package.manifest.accepts_missing is gaps
    matrix, expected = package.reference()
    for predictor in (package.predictor(), package.native()):
        np.testing.assert_allclose(predictor.predict(matrix), expected, atol=1e-6)
        np.testing.assert_allclose([predictor.predict_one(row.tolist()) for row in matrix], expected, atol=1e-6)
    assert package.predictor().runtime == package.manifest.runtime
    stored = json.loads((package.folder / "manifest.json").read_bytes())
    assert stored["form"] == package.manifest.runtime, "packages of earlier releases are read under this key"
    assert [proof["form"] for proof in stored["proofs"]] == [proof.runtime for proof in package.manifest.proofs]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written") / "package"
    write(folder, trees("binary"), "binary")
    return folder


@pytest.fixture
def copied(written: Path, tmp_path: Path) -> Path:
    return shutil.copytree(written, tmp_path / "copied")


def test_a_request_becomes_the_vector_that_history_had(written: Path) -> None:
    package = open_package(written, trust=Trust())
    pipeline = package.row_pipeline()
    rows = pl.read_parquet(written / "reference.parquet")
    fields = [field.name for field in package.schema.request]
    asked, looked_up = rows.select(fields).rows(), rows.select("load.open").rows()
    used = [pipeline.used(*each) for each in zip(asked, looked_up, strict=True)]
    served = [pipeline.encode(*each) for each in zip(asked, used, strict=True)]
    np.testing.assert_array_equal(np.array(served), package.transform(rows))
    np.testing.assert_array_equal(pipeline.encode_all(asked, used), package.transform(rows))


def test_a_changed_byte_in_any_file_is_found(copied: Path) -> None:
    for path in [path for path in copied.rglob("*") if path.is_file()]:
        content = path.read_bytes()
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
        with pytest.raises(CorruptPackageError, match=path.name):
            open_package(copied, trust=TRUST)
        path.write_bytes(content)
    assert open_package(copied, trust=TRUST).manifest.model == "late"


def test_a_package_of_before_is_read(copied: Path) -> None:
    """Packages outlive releases that add fields to the manifest."""
    path = copied / "manifest.json"
    old = msgspec.json.decode(path.read_bytes())
    del old["largest"]
    for proof in old["proofs"]:
        del proof["arithmetic"]
    bare = msgspec.json.encode(old | {"digest": "", "signature": "", "key": ""})
    old["digest"] = f"sha256:{hashlib.sha256(bare).hexdigest()}"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(old), indent=1) + b"\n")
    assert open_package(copied, trust=TRUST).predictor().runtime == "treelite"


def test_a_missing_file_is_found(copied: Path) -> None:
    for path in [path for path in copied.rglob("*") if path.is_file()]:
        content = path.read_bytes()
        path.unlink()
        with pytest.raises(CorruptPackageError, match=path.name):
            open_package(copied, trust=TRUST)
        path.write_bytes(content)


def test_a_file_too_many_is_found(copied: Path) -> None:
    (copied / "model" / "more.pkl").write_bytes(b"")
    with pytest.raises(CorruptPackageError, match=r"more\.pkl"):
        open_package(copied, trust=TRUST)


def test_a_link_is_refused(copied: Path, tmp_path: Path) -> None:
    real = copied / "schema.json"
    real.rename(tmp_path / "elsewhere.json")
    real.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(CorruptPackageError, match=r"schema\.json"):
        open_package(copied, trust=TRUST)


def test_the_note_that_mlflow_leaves_is_tolerated(copied: Path) -> None:
    (copied / "registered_model_meta").write_text("model_name: late\n")
    assert open_package(copied, trust=TRUST).manifest.model == "late"


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def forge(folder: Path, content: bytes, signer: Signer | None) -> None:
    """Put a pickle into a package, with consistent digests, and sign it with some key, or not at all."""
    from everfit.artifact.manifest import Manifest
    from everfit.artifact.package import record_files

    (folder / "model" / "estimator.pkl").write_bytes(content)
    manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest)
    manifest = msgspec.structs.replace(
        manifest, native="pickle", runtime="pickle", executes_code=(), files=record_files(folder)
    )
    if signer is not None:
        manifest = msgspec.structs.replace(manifest, key=signer.key)
    digest = manifest.content_digest()
    signature = "" if signer is None else signer.sign(digest.encode())
    manifest = msgspec.structs.replace(manifest, digest=digest, signature=signature)
    (folder / "manifest.json").write_bytes(manifest.to_json())


@pytest.mark.parametrize("signer", [None, Signer(bytes(32))])
def test_code_that_nobody_trusted_signed_is_refused_unexecuted(
    copied: Path, tmp_path: Path, signer: Signer | None
) -> None:
    mark = tmp_path / "executed"
    forge(copied, pickle.dumps(Payload(mark)), signer)
    with pytest.raises(UntrustedPackageError):
        open_package(copied, trust=TRUST)
    assert not mark.exists()
    pickle.loads((copied / "model" / "estimator.pkl").read_bytes())
    assert mark.exists()


def test_a_forged_package_that_keeps_the_old_signature_is_refused(copied: Path, tmp_path: Path) -> None:
    forge(copied, pickle.dumps(Payload(tmp_path / "executed")), SIGNER)
    text = json.loads((copied / "manifest.json").read_text())
    text["signature"] = Signer(bytes(32)).sign(text["digest"].encode())
    (copied / "manifest.json").write_text(json.dumps(text))
    with pytest.raises(UntrustedPackageError, match="this very package"):
        open_package(copied, trust=TRUST)


def test_own_on_demand_code_needs_a_trusted_signature(tmp_path: Path) -> None:
    package = write(tmp_path / "package", trees("binary"), "binary", own_code=True)
    assert package.manifest.computations == {"clock": "python", "by_hand": "code"}
    assert package.uncompiled == ("by_hand",), "everfit doctor names it"
    assert (package.manifest.runtime, package.is_compiled) == ("treelite", False)
    assert package.manifest.executes_code == ("code/by_hand.pkl",)
    with pytest.raises(UntrustedPackageError):
        open_package(tmp_path / "package", trust=Trust())
    opened = open_package(tmp_path / "package", trust=TRUST)
    pipeline = opened.row_pipeline()
    row = [{"weight": 0.25, "shop": "a"}.get(field.name) for field in opened.schema.request]
    assert pipeline.encode(row, pipeline.used(row, [None]))[-1] == 0.5


def test_a_package_of_treelite_needs_no_library_of_its_training(written: Path) -> None:
    assert open_package(written, trust=TRUST).is_compiled


def test_an_estimator_that_takes_no_gaps_refuses_them(tmp_path: Path) -> None:
    predictor = write(tmp_path / "package", linear("binary"), "binary", gaps=False).predictor()
    with pytest.raises(InvalidRequestError, match="weight"):
        predictor.predict_one([1.0, 1.0, float("nan"), 3.0, 1.0])
    with pytest.raises(InvalidRequestError, match="weight"):
        predictor.predict(np.array([[1.0, 1.0, float("nan"), 3.0, 1.0]]))


def test_nothing_is_overwritten(written: Path) -> None:
    with pytest.raises(PackageError, match="never overwritten"):
        write(written, trees("binary"), "binary")
    assert [path.name for path in written.parent.iterdir()] == ["package"]


def test_keys_are_made_once_and_private(tmp_path: Path) -> None:
    signer, trust = open_keys(tmp_path / "keys")
    again, _ = open_keys(tmp_path / "keys")
    assert signer.key == again.key
    assert (tmp_path / "keys" / "private.pem").stat().st_mode & 0o777 == 0o600
    trust.verify(b"message", signature=signer.sign(b"message"), key=signer.key, place="here")
    with pytest.raises(UntrustedPackageError):
        trust.verify(b"other", signature=signer.sign(b"message"), key=signer.key, place="here")


LOAD_WITH_MLFLOW = """
import json, sys
import mlflow.pyfunc, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
columns = json.loads(open(sys.argv[1] + "/input_example.json").read())
frame = pandas.DataFrame(json.loads(open(sys.argv[2]).read()))[columns["columns"]]
whole = frame.convert_dtypes()
wrong = frame.assign(**{"clock.hour": "noon"})
try:
    refusal = model.predict(wrong) and ""
except Exception as error:
    refusal = str(error)
print(json.dumps({
    "inputs": model.metadata.get_input_schema().input_names(),
    "types": [str(kind) for kind in model.metadata.get_input_schema().input_types()],
    "example": len(model.input_example),
    "answers": model.predict(frame).tolist(),
    "whole": model.predict(whole).tolist(),
    "int64": str(frame["clock.hour"].dtype),
    "refusal": refusal,
}))
"""


@pytest.mark.slow
def test_mlflow_loads_a_package_and_answers_the_same(written: Path, tmp_path: Path) -> None:
    package = open_package(written, trust=Trust())
    rows = pl.read_parquet(written / "reference.parquet").select(package.schema.names)
    (tmp_path / "rows.json").write_text(json.dumps(rows.to_dicts()))
    done = subprocess.run(
        [sys.executable, "-c", LOAD_WITH_MLFLOW, str(written), str(tmp_path / "rows.json")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["inputs"] == list(package.schema.names)
    assert told["types"] == ["Any", "DataType.string", "Any", "Any", "Any"]
    assert told["int64"] == "int64"
    assert told["refusal"] == "clock.hour: the column must hold a number, but got 'String'."
    np.testing.assert_array_equal(told["whole"], told["answers"])
    np.testing.assert_allclose(told["answers"], package.native().predict(package.transform(rows)), atol=1e-9)


@pytest.mark.slow
def test_mlflow_is_refused_code_that_nobody_trusts(tmp_path: Path) -> None:
    write(tmp_path / "package", Stump(), "binary")
    command = [sys.executable, "-c", f"import mlflow.pyfunc; mlflow.pyfunc.load_model({str(tmp_path / 'package')!r})"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "UntrustedPackageError" in done.stderr
    open_keys(tmp_path / "keys")
    (tmp_path / "keys" / "trusted" / "writer.key").write_text(SIGNER.key)
    environment = {**os.environ, "EVERFIT_KEYS": str(tmp_path / "keys")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("make", "light"), [(trees, "treelite"), (lightgbm, "lightgbm-fast")])
def test_a_prediction_needs_no_heavy_library(tmp_path: Path, make: Callable[[Task], Any], light: str) -> None:
    write(tmp_path / "package", make("binary"), "binary")
    code = """
import sys
from pathlib import Path
from everfit.artifact.package import open_package
from everfit.artifact.signing import Trust
package = open_package(Path(sys.argv[1]), trust=Trust())
predictor, pipeline = package.predictor(), package.row_pipeline()
row = [{"weight": 0.5, "shop": "a"}.get(field.name) for field in package.schema.request]
predictor.predict_one(pipeline.encode(row, pipeline.used(row, [3.0])))
heavy = {"sklearn", "lightgbm", "treelite", "scipy", "pandas", "polars", "mlflow", "skops"}
print(predictor.runtime, *sorted(heavy & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "package")], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == [light], done.stderr


def test_numbers_that_the_estimator_refuses_are_refused_by_name(tmp_path: Path) -> None:
    """scikit-learn's forests take no number beyond float32; treelite would take it for infinity."""
    package = write(tmp_path / "package", forest("binary"), "binary")
    matrix, expected = package.reference()
    large = matrix[:3].copy()
    large[1, 2] = -1e39
    for predictor in (package.predictor(), package.native()):
        for ask in (lambda: predictor.predict(large), lambda: predictor.predict_one(large[1].tolist())):  # noqa: B023
            with pytest.raises(InvalidRequestError, match=r"between -3\.4e\+38 and 3\.4e\+38.*'weight': -1e\+39"):
                ask()
        assert predictor.predict_one([float("nan"), *matrix[0, 1:].tolist()]) is not None
        np.testing.assert_allclose(predictor.predict(matrix), expected, atol=1e-9)


@pytest.mark.parametrize("make", [trees, forest])
def test_a_tree_whose_nodes_point_nowhere_is_refused(tmp_path: Path, make: Callable[[Task], Any]) -> None:
    from everfit.artifact.runtimes.sklearn import SKOPS

    package = write(tmp_path / "package", make("binary"), "binary")
    native: Any = SKOPS.load(package.folder / "model" / SKOPS.file, package.schema)
    estimator = native.estimator
    tree = estimator._predictors[0][0] if make is trees else estimator.estimators_[0].tree_
    if make is trees:
        tree.nodes["left"][0] = 10**6
    else:
        state = tree.__getstate__()
        state["nodes"]["left_child"][0] = 10**6
        tree.__setstate__(state)
    SKOPS.save(estimator, tmp_path / SKOPS.file, package.schema)
    with pytest.raises(CorruptPackageError, match="point at what exists"):
        SKOPS.load(tmp_path / SKOPS.file, package.schema)
