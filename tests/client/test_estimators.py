"""scikit-learn's face and river's, against a real service. Each test imports what it needs of them: both libraries take
seconds to load, in each process that collects tests."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pandas
import pytest

from service.client import Client, Conflict, UnknownLabels
from tests.client.conftest import KEY


@pytest.fixture(autouse=True)
def service(service_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSUIKA_URL", service_url)
    monkeypatch.setenv("TSUIKA_KEY", KEY)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # checks fit noise, which the gate holds, and more that warns
@pytest.mark.parametrize("kind", ["TsuikaClassifier", "TsuikaRegressor"])
def test_scikit_learn_takes_it_for_one_of_its_own(kind: str) -> None:
    from sklearn.utils.estimator_checks import check_estimator

    import tsuika.sklearn

    # a service computes in float32, in passes whose size follows how busy it is; these two ask for float64's last bits
    order = dict.fromkeys(("check_methods_subset_invariance", "check_methods_sample_order_invariance"), "float32")
    check_estimator(getattr(tsuika.sklearn, kind)(), on_skip=None, expected_failed_checks=order)


@pytest.mark.long
def test_a_row_is_answered_the_same_among_others() -> None:
    from sklearn.datasets import load_iris

    from tsuika.sklearn import TsuikaClassifier

    X, y = load_iris(return_X_y=True)
    model = TsuikaClassifier().fit(X, y)
    alone = np.concatenate([model.predict_proba(row[None]) for row in X[::10]])
    assert model.predict_proba(X[::-1])[::-1][::10] == pytest.approx(alone, abs=1e-6)


def test_a_classifier_in_a_pipeline() -> None:
    from sklearn.datasets import load_iris
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from tsuika.sklearn import TsuikaClassifier

    X, y = load_iris(return_X_y=True, as_frame=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    pipeline = make_pipeline(StandardScaler(), TsuikaClassifier())
    fitted = pickle.loads(pickle.dumps(pipeline.fit(X[::2], names[::2])))
    assert fitted.score(X[1::2], names[1::2]) > 0.9
    assert list(fitted.classes_) == ["setosa", "versicolor", "virginica"]
    shares = fitted.predict_proba(X)
    assert (fitted.classes_[shares.argmax(1)] == fitted.predict(X)).all()


@pytest.mark.long
def test_a_model_that_is_named_goes_on(client: Client) -> None:
    from sklearn.base import clone
    from sklearn.datasets import load_iris

    from tsuika.sklearn import TsuikaClassifier

    X, y = load_iris(return_X_y=True)
    model = TsuikaClassifier("irises")
    model.partial_fit(X[y < 2], y[y < 2])
    assert model.classes_.tolist() == [0, 1]
    with pytest.raises(UnknownLabels):
        model.partial_fit(X, y)
    model.partial_fit(X, y, classes=[0, 1, 2])
    assert model.predict(X).dtype == y.dtype
    assert model.score(X, y) > 0.9
    again = TsuikaClassifier("irises").partial_fit(X[:30], y[:30])
    assert again.classes_.tolist() == [0, 1, 2]
    with pytest.raises(Conflict, match="taken"):
        clone(model).fit(X, y)


@pytest.mark.long
def test_a_model_that_is_made_of_a_frame_of_numbers_keeps_the_names_of_its_columns(client: Client) -> None:
    from sklearn.datasets import load_iris

    from tsuika.sklearn import TsuikaClassifier

    X, y = load_iris(return_X_y=True, as_frame=True)
    TsuikaClassifier("named-irises").fit(X, y)
    assert client.model("named-irises").info().model_dump()["input"]["names"] == [*X.columns]
    for mixed, named in ((X[[*X.columns[::-1]]], X.columns[0]), (X.rename(columns={X.columns[1]: "b"}), X.columns[1])):
        with pytest.raises(ValueError, match=re.escape(named)):
            TsuikaClassifier("named-irises").partial_fit(mixed, y)
    model = TsuikaClassifier("named-irises").partial_fit(X[:30], y[:30])
    for rows in (X.to_records(index=False), [row for _, row in X.iterrows()], [*X.itertuples(index=False)]):
        with pytest.raises(ValueError, match="send a frame"):
            model.predict(rows)
        with pytest.raises(ValueError, match="send a frame"):
            TsuikaClassifier("named-irises").partial_fit(rows, y)


@pytest.mark.long
def test_names_of_a_frame_are_as_a_model_has_them(client: Client) -> None:
    from sklearn.datasets import load_iris

    from tsuika.sklearn import TsuikaClassifier

    X, y = load_iris(return_X_y=True, as_frame=True)
    spelt = X.set_axis([" a", "b ", "cafe\u0301", "d"], axis=1)
    TsuikaClassifier("spelt-irises").fit(spelt, y).predict(spelt)
    assert client.model("spelt-irises").info().model_dump()["input"]["names"] == ["a", "b", "caf\u00e9", "d"]
    TsuikaClassifier("spelt-irises").partial_fit(X.set_axis(["a", "b", " caf\u00e9", "d"], axis=1)[:30], y[:30])
    with pytest.raises(ValueError, match='Columns 1 and 2 of this frame are both called "a"'):
        TsuikaClassifier().fit(X.set_axis(["a", " a", "c", "d"], axis=1), y)


def test_a_frame_with_more_than_numbers_is_a_table() -> None:
    from tsuika.sklearn import TsuikaRegressor

    rng = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {"city": np.array(["Osaka", "Kyoto"])[rng.integers(0, 2, 200)], "rooms": rng.integers(1, 6, 200)}
    )
    rent = 20.0 * frame["rooms"] + 30 * (frame["city"] == "Kyoto") + rng.normal(0, 2, 200)
    model = TsuikaRegressor().fit(frame, rent)
    assert model.feature_names_in_.tolist() == ["city", "rooms"]
    assert model.score(frame, rent) > 0.9


def test_what_the_gate_holds_answers_with_a_warning() -> None:
    from tsuika.sklearn import TsuikaClassifier

    rng = np.random.default_rng(0)
    with pytest.warns(UserWarning, match="^Held: "):
        model = TsuikaClassifier().fit(rng.normal(0, 1, (200, 3)), rng.integers(0, 2, 200))
    assert model.version_ == 1
    assert len(model.predict(rng.normal(0, 1, (5, 3)))) == 5


def test_numbers_are_predicted() -> None:
    from sklearn.datasets import load_diabetes

    from tsuika.sklearn import TsuikaRegressor

    X, y = load_diabetes(return_X_y=True)
    assert TsuikaRegressor().fit(X, y).score(X, y) > 0.4


@pytest.mark.long
def test_a_stream_of_rows_is_learned_in_batches() -> None:
    from river import datasets, evaluate, metrics

    from tsuika import river

    model = river.TsuikaClassifier("phishing", batch_rows=80)
    accuracy = evaluate.progressive_val_score(datasets.Phishing().take(161), model, metrics.Accuracy())
    assert 0.3 < accuracy.get() < 0.95  # nothing is known of the first 80
    result = model.flush()
    assert len(result.batches) == 1
    assert model.flush() is None
    x, y = next(iter(datasets.Phishing()))
    assert model.predict_one(x) is y
    assert sum(model.predict_proba_one(x).values()) == pytest.approx(1)
    model.learn_one(x, "a typing error")
    with pytest.raises(UnknownLabels):
        model.flush()
    model.discard()
    assert model.flush() is None


def test_a_stream_of_numbers_has_numbers_for_targets(client: Client) -> None:
    from tsuika import river

    model = river.TsuikaRegressor("counts", batch_rows=100)
    assert model.predict_one({"x": 1.0}) == 0
    for k in range(100):
        model.learn_one({"x": k % 10, "weekend": k % 7 > 4}, k % 10)
    assert client.model("counts").info().target.kind == "number"
    assert model.predict_one({"x": 7, "weekend": False}) == pytest.approx(7, abs=1)
    with pytest.raises(ValueError, match='Columns 1 and 2 of this row are both called "1"'):
        model.learn_one({1: 2.0, "1": 3.0}, 4)


def test_an_estimator_shows_no_key() -> None:
    from sklearn.base import clone

    from tsuika.sklearn import TsuikaClassifier

    made = TsuikaClassifier("digits", key="a-secret")
    assert repr(made) == "TsuikaClassifier(key=…, model='digits')"
    assert clone(made).key == "a-secret"
    assert "secret" not in made._repr_html_()
