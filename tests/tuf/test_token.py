# SPDX-License-Identifier: MIT
"""Keys in a PKCS #11 token, the one in software of Debian: scripts/ota-repository signs with them, and devices take it."""

import subprocess
import sysconfig
from pathlib import Path

import pytest

from test_tool import bundles, repo, run, template, version  # noqa: F401

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
LABEL, PIN = "release", "1234"


@pytest.fixture
def token(tmp_path, monkeypatch):
    """A token with a key of P-256 at 02; returns the file of its public key."""
    store, public = tmp_path / "tokens", tmp_path / "public.pem"
    store.mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {store}\nobjectstore.backend = file\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    # The library for tokens that is installed here for the tests.
    monkeypatch.setenv("PYTHONPATH", sysconfig.get_path("purelib"))
    monkeypatch.setenv("PYKCS11LIB", MODULE)
    monkeypatch.setenv("OTA_REPOSITORY_PIN", PIN)
    tool = ["pkcs11-tool", "--module", MODULE, "--token-label", LABEL]
    for words in (
        ["softhsm2-util", "--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", PIN],
        [*tool, "--login", "--pin", PIN, "--keypairgen", "--key-type", "EC:prime256v1", "--id", "02"],
        [*tool, "--read-object", "--type", "pubkey", "--id", "02", "-o", tmp_path / "public.der"],
        ["openssl", "pkey", "-pubin", "-inform", "DER", "-in", tmp_path / "public.der", "-out", public],
    ):
        subprocess.run(words, check=True, capture_output=True)
    return public


@pytest.mark.parametrize("role", ["root", "targets", "timestamp"])
def test_a_key_in_a_token_signs_and_devices_take_it(repo, bundles, token, role):  # noqa: F811
    run("ota-repository", "rotate", repo, role, "--signer", f"hsm:2?label={LABEL}", "--public", token)
    before = version(repo)
    run("ota-repository", "add", repo, bundles["board", "1.10"])
    run("ota-repository", "publish", repo)
    assert version(repo) == before + 1
    assert "2 targets" in run("ota-repository", "verify", repo)


def test_a_wrong_pin_is_named_and_publishes_nothing(repo, bundles, token, monkeypatch):  # noqa: F811
    run("ota-repository", "rotate", repo, "targets", "--signer", f"hsm:2?label={LABEL}", "--public", token)
    run("ota-repository", "add", repo, bundles["board", "1.10"])
    before = {place: place.read_bytes() for place in Path(repo, "www/metadata").iterdir()}
    monkeypatch.setenv("OTA_REPOSITORY_PIN", "4321")
    assert "OTA_REPOSITORY_PIN" in run("ota-repository", "publish", repo, status=1)
    assert before == {place: place.read_bytes() for place in Path(repo, "www/metadata").iterdir()}
    monkeypatch.setenv("OTA_REPOSITORY_PIN", PIN)
    run("ota-repository", "publish", repo)
    assert "2 targets" in run("ota-repository", "verify", repo)
