"""Addresses without anybody's password in them."""

import pytest

from leanet.core.addresses import without_password

HIDDEN = {
    "http://me:secret@host:5000 fails": "http://host:5000 fails",
    "MLflow at 'https://token-secret@host/' (x)": "MLflow at 'https://host/' (x)",
    "postgresql+psycopg2://me:se/cret@host/db": "postgresql+psycopg2://host/db",
    "http://me:s@secret@host/a@b": "http://host/a@b",
    "http://:secret@host http://me:secret@other": "http://host http://other",
    "s3://key:secret@bucket/a/b.png: gone": "s3://bucket/a/b.png: gone",
    "postgresql:///db?host=a&password=secret&user=b": "postgresql:///db?host=a&password=…&user=b",
    "https://host/a.zip?X-Amz-Signature=secret): 403": "https://host/a.zip?X-Amz-Signature=…): 403",
}
PLAIN = (
    "http://host:8080/icons/a@2x.png",
    "s3://bucket/a:b@c/d.png",
    "models:/leanet-leaf@champion",
    "sqlite:////home/me@work/mlflow.db",
    "https://host/api?page=5",
    "a@b",
)


@pytest.mark.parametrize("text", HIDDEN)
def test_user_and_password_are_not_said(text):
    assert without_password(text) == HIDDEN[text]


@pytest.mark.parametrize("text", PLAIN)
def test_all_else_is(text):
    assert without_password(text) == text
