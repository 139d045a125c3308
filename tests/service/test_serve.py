"""The detector as an API: what it says."""

import base64
import io

import numpy as np
import pytest
import requests
from PIL import Image
from serving import form, leaf, sent, written

from leanet.service import answer, application

pytestmark = pytest.mark.alone


def test_the_api_says_what_the_detector_says(address, detector):
    said = sent(address, written(leaf())).json()
    judged = detector.predict([leaf()])
    assert said["score"] == pytest.approx(judged.scores[0], abs=1e-5)
    assert said["anomalous"] == judged.labels[0]
    assert said["layers"].keys() == {"map", "attention"}
    assert len(said["normal"]) == len(said["anomalous_like"]) == answer.NEIGHBOURS
    about = requests.get(f"{address}/api/detector", timeout=60).json()
    assert about["threshold"] == detector.threshold.value
    paths_ = requests.get(f"{address}/openapi.json", timeout=60).json()["paths"]
    assert paths_.keys() == {"/api/detector", "/api/predict", "/health"}
    predict = paths_["/api/predict"]["post"]
    assert set(application.REFUSALS) < set(map(int, predict["responses"]))
    assert predict["requestBody"]["content"].keys() == {"image/*", "multipart/form-data"}
    assert predict["parameters"][0]["schema"]["enum"] == ["1", "small", "0"]
    assert "Results" in str(predict["responses"]["200"])


def test_a_form_is_answered_file_by_file_in_its_order(address, detector):
    images = [leaf(seed) for seed in range(20)]  # of more than one batch
    files = [(f"{seed}.png", written(image)) for seed, image in enumerate(images)]
    files[3:3] = [("notes.png", b"hello"), ("Blätter/cut.png", files[0][1][:300])]
    said = form(address, *files)
    assert said.status_code == 200
    results = said.json()["results"]
    assert [each["file"] for each in results] == [name for name, _ in files]
    assert results[3].keys() == results[4].keys() == {"file", "error"}
    assert results[3]["error"].startswith("cannot be decoded as an image (no JPEG, PNG")
    assert "damaged or cut off" in results[4]["error"]
    good = [each for each in results if "error" not in each]
    judged = detector.predict(images)
    np.testing.assert_allclose([each["score"] for each in good], judged.scores, atol=1e-5)
    assert [each["anomalous"] for each in good] == judged.labels.tolist()


@pytest.mark.parametrize("alone", [True, False])
def test_pictures_come_as_they_are_asked_for(address, alone):
    content = written(leaf(side=200))

    def ask(pictures: str) -> dict:
        if alone:
            return sent(address, content, params={"pictures": pictures}).json()
        (result,) = form(address, ("a.png", content), pictures=pictures).json()["results"]
        assert result.pop("file") == "a.png"
        return result

    figures = {"score", "anomalous", "threshold", "map_p99"}
    assert ask("0").keys() == figures
    small, whole = ask("small"), ask("1")
    assert small.keys() == figures | {"picture", "layers"}
    assert small["layers"].keys() == {"map"}
    assert size(small["picture"]) == size(small["layers"]["map"]) == (answer.THUMBNAIL, answer.THUMBNAIL)
    assert whole.keys() == small.keys() | {"normal", "anomalous_like"}
    assert size(whole["picture"]) == size(whole["layers"]["attention"]) == (200, 200)
    if alone:
        assert sent(address, content).json() == whole


def size(picture: str) -> tuple[int, int]:
    return Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2]))).size


def test_pictures_of_another_size_are_refused_in_one_line(address):
    said = sent(address, written(leaf()), params={"pictures": "large"})
    assert said.status_code == 422
    assert said.json()["detail"] == "pictures: Input should be '1', 'small' or '0'"


def test_the_images_of_a_form_are_judged_in_batches(detector, monkeypatch):
    seen, networks = [], detector.networks
    counting = lambda images: (seen.append(len(images)), networks(images))[1]  # noqa: E731
    counting.batch, counting.threads = networks.batch, networks.threads
    monkeypatch.setattr(detector, "networks", counting)
    found = list(answer.answers(detector, [written(leaf(seed)) for seed in range(12)], "0"))
    assert len(found) == 12
    assert sorted(seen) == [4, networks.batch]


def test_the_nearest_image_of_a_training_image_is_itself(address, detector):
    known = detector.known
    for at in (0, len(known["gallery"]) - 1):
        place = known["gallery"][at]
        said = sent(address, written(known["thumbnails"][at])).json()
        found = said["anomalous_like" if known["labels"][place] else "normal"][0]
        assert found["path"] == detector.facts["images"][place]
        assert found["likeness"] == pytest.approx(1, abs=0.01)


BAD = {
    "a text": (b"hello", 415, "no JPEG, PNG"),
    "nothing": (b"", 400, "send its bytes as the body"),
    "a cut image": (written(leaf())[:300], 415, "damaged or cut off"),
    "too many pixels": (written(np.zeros((6501, 10_000), np.uint8)), 415, "more than 65,000,000 pixels"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_image_is_one_sentence(address, what):
    content, status, reason = BAD[what]
    said = sent(address, content)
    assert said.status_code == status
    assert reason in said.json()["detail"]
    assert sent(address, written(leaf())).ok


def test_fifty_megapixels_are_judged(address):
    assert sent(address, written(np.zeros((5000, 10_000, 3), np.uint8), "JPEG")).json()["score"] >= 0


FORMS = {
    "without a file": (b"--b--\r\n", "b", "the form has no file"),
    "cut off": (b'--b\r\nContent-Disposition: form-data; name="i"; filename="a"\r\n\r\nPNG', "b", "it has no end"),
    "of another boundary": (b"--c--\r\n", "b", "the form is damaged"),
    "with no boundary": (b"--b--\r\n", "", "the form is damaged"),
    "with a boundary too long": (b"--b--\r\n", "b" * 1000, "the form is damaged"),
}


@pytest.mark.parametrize("what", FORMS)
def test_a_form_that_cannot_be_read_is_one_sentence(address, what):
    body, boundary, reason = FORMS[what]
    said = sent(address, body, headers={"Content-Type": f"multipart/form-data; boundary={boundary}"})
    assert said.status_code == 400
    assert reason in said.json()["detail"]
