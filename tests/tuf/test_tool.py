# SPDX-License-Identifier: MIT
"""scripts/ota-repository: signs no number twice, loses nothing, and what it publishes is what devices take."""

import io
import json
import random
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "lib"))
from otamgr import rollout  # noqa: E402

IMAGE = {"etc/hostname": b"x", "sbin/init": b"#!", "boot/Image": b"kernel"}


def run(*words, status=0, cwd=None):
    done = subprocess.run(
        [ROOT / "scripts" / words[0], *map(str, words[1:])], capture_output=True, text=True, cwd=cwd, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    run("ota-bundle", "keygen", folder / "release.key")
    made = {}
    for board, version in (("board", "1.9"), ("board", "1.10"), ("other", "1.0")):
        with tarfile.open(folder / "image.tar", "w") as archive:
            for name, content in IMAGE.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), 0o755
                archive.addfile(member, io.BytesIO(content))
        made[board, version] = folder / f"{board}-{version}.bundle"
        run(
            "ota-bundle",
            "create",
            "--key",
            folder / "release.key",
            "--compatible",
            board,
            "--version",
            version,
            folder / "image.tar",
            made[board, version],
        )
    return made


@pytest.fixture(scope="session")
def template(bundles, tmp_path_factory):
    folder = tmp_path_factory.mktemp("template") / "repo"
    run("ota-repository", "init", folder)
    run("ota-repository", "add", folder, bundles["board", "1.9"])
    run("ota-repository", "publish", folder)
    return folder


@pytest.fixture
def repo(template, tmp_path):
    return shutil.copytree(template, tmp_path / "repo")


def status(repo):
    return json.loads(run("ota-repository", "status", "--json", repo))


def version(repo, role="targets"):
    return status(repo)["roles"][role]["version"]


def test_what_it_publishes_is_what_devices_take(repo, bundles):
    assert "1 targets, signed as devices want it" in run(
        "ota-repository", "verify", repo, "--bundle-keys", bundles["board", "1.9"].parent / "release.pem"
    )


def test_the_draft_is_published_as_the_next_version(repo, bundles):
    before = version(repo)
    run("ota-repository", "add", repo, bundles["board", "1.10"])
    assert status(repo)["drafted"]
    assert "1 targets" in run("ota-repository", "verify", repo)
    run("ota-repository", "publish", repo)
    assert version(repo) == before + 1
    assert "2 targets" in run("ota-repository", "verify", repo)


def test_six_at_once_lose_nothing(repo, bundles):
    words = [ROOT / "scripts/ota-repository", "add", repo]
    started = [
        subprocess.Popen([*words, bundles["board", "1.9"], "--name", f"target-{i}"], stdout=subprocess.DEVNULL)
        for i in range(6)
    ]
    assert [process.wait() for process in started] == [0] * 6
    assert len(json.loads(run("ota-repository", "list", "--json", repo))) == 7
    before = version(repo, "timestamp")
    started = [
        subprocess.Popen([ROOT / "scripts/ota-repository", "sign", repo], stdout=subprocess.DEVNULL) for _ in range(6)
    ]
    assert [process.wait() for process in started] == [0] * 6
    assert version(repo, "timestamp") == before + 6


def test_an_older_draft_that_is_restored_publishes_nothing_older(repo, bundles):
    old = (repo / "draft.json").read_bytes()
    run("ota-repository", "add", repo, bundles["board", "1.10"])
    run("ota-repository", "publish", repo)
    published = version(repo)
    (repo / "draft.json").write_bytes(old)
    run("ota-repository", "publish", repo)
    assert version(repo) == published + 1
    assert "2 targets" in run("ota-repository", "verify", repo)


def test_metadata_that_got_lost_costs_no_version(repo, bundles):
    run("ota-repository", "add", repo, bundles["board", "1.10"])
    run("ota-repository", "publish", repo)
    published = version(repo)
    (repo / f"www/metadata/{published}.targets.json").unlink()
    (repo / "draft.json").unlink()
    run("ota-repository", "publish", repo)
    assert version(repo) == published + 1


def test_the_timestamp_key_alone_is_enough_for_the_night(repo):
    keys = json.loads((repo / "keys/signers.json").read_text())
    for path in (repo / "keys").glob("*.key"):
        if not path.name.startswith("timestamp"):
            path.unlink()
    before = status(repo)["roles"]
    assert run("ota-repository", "sign", repo).startswith("published: timestamp")
    after = status(repo)["roles"]
    assert after["timestamp"]["version"] == before["timestamp"]["version"] + 1
    assert after["snapshot"]["version"] == before["snapshot"]["version"]
    assert len(keys) == 4
    assert "needs signatures" in run("ota-repository", "publish", repo, status=3)
    run("ota-repository", "verify", repo)


def test_a_threshold_is_reached_by_machines_one_after_the_other(tmp_path):
    repo = tmp_path / "repo"
    run("ota-repository", "init", "--threshold", "root=2", "--threshold", "targets=2", repo)
    mine, yours = tmp_path / "mine", tmp_path / "yours"
    for folder in (mine, yours):
        shutil.copytree(repo / "keys", folder)
    for folder, at in ((mine, 0), (yours, 1)):
        for role in ("root", "targets"):
            sorted(folder.glob(f"{role}-*.key"))[at].unlink()
    assert "needs signatures" in run("ota-repository", "publish", "--keys", mine, repo, status=3)
    before = version(repo)
    assert "needs signatures" in run("ota-repository", "sign", "--keys", mine, repo, status=3)
    assert version(repo) == before
    assert run("ota-repository", "sign", "--keys", yours, repo).startswith("published: targets")
    assert version(repo) == before + 1
    assert "needs signatures" in run("ota-repository", "rotate", "--keys", mine, repo, "root", status=3)
    assert status(repo)["roles"]["root"]["version"] == 1
    run("ota-repository", "sign", "--keys", yours, repo)
    assert status(repo)["roles"]["root"]["version"] == 2
    run("ota-repository", "verify", repo)


@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp"])
def test_each_key_can_be_replaced_and_devices_follow(repo, role):
    before = status(repo)["roles"][role]["keys"]
    run("ota-repository", "rotate", repo, role)
    run("ota-repository", "verify", repo)
    assert status(repo)["roles"][role]["keys"] != before


def test_a_key_is_revoked_unless_it_is_the_last(repo):
    last = status(repo)["roles"]["targets"]["keys"][0]
    assert "fewer keys than its threshold" in run("ota-repository", "revoke", repo, last[:8], status=1)
    run("ota-repository", "add-key", repo, "targets")
    run("ota-repository", "revoke", repo, last[:8])
    assert last not in status(repo)["roles"]["targets"]["keys"]
    run("ota-repository", "verify", repo)


def test_verify_judges_by_a_clock_and_a_root_of_choice(repo, tmp_path):
    assert "expired" in run("ota-repository", "verify", "--at", "2090-01-01T00:00:00Z", repo, status=12)
    run("ota-repository", "init", tmp_path / "stranger")
    run("ota-repository", "verify", "--root", tmp_path / "stranger/root.json", repo, status=6)


@pytest.mark.parametrize("name", ["timestamp.json", "2.snapshot.json", "2.targets.json"])
def test_verify_finds_what_was_changed(repo, name):
    path = repo / "www/metadata" / name
    path.write_text(path.read_text().replace('"version":2', '"version":3'))
    run("ota-repository", "verify", repo, status=6)


def test_a_damaged_file_is_found_and_replaced_when_its_bundle_is_added_again(repo, bundles):
    file = next((repo / "www/targets").iterdir())
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    run("ota-repository", "verify", repo, status=1)
    run("ota-repository", "add", repo, bundles["board", "1.9"])
    run("ota-repository", "verify", repo)


def test_a_stick_holds_what_its_board_lacks(repo, bundles, tmp_path):
    run("ota-repository", "add", repo, bundles["board", "1.10"])
    run("ota-repository", "add", repo, bundles["other", "1.0"])
    run("ota-repository", "publish", repo)
    stick = tmp_path / "stick"
    assert (
        run("ota-repository", "export", repo, stick, "--for", "board", "--since", "1.9")
        .strip()
        .endswith("board-1.10.bundle")
    )
    assert len(list((stick / "targets").iterdir())) == 1
    on_stick = json.loads((stick / "metadata/timestamp.json").read_text())["signed"]["version"]
    assert version(repo, "timestamp") == on_stick + 1
    assert "found none" in run("ota-repository", "export", repo, stick, "--for", "board", "--since", "2.0", status=1)


def system(folder, version, files):
    """A bundle of a file system with these files."""
    tree, image = folder / f"tree-{version}", folder / f"image-{version}.ext4"
    for name, content in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(content)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-b", "4096", "-d", tree, image, "16M"], check=True)
    made = folder / f"{version}.bundle"
    run(
        "ota-bundle",
        "create",
        "--key",
        folder / "release.key",
        "--compatible",
        "board",
        "--version",
        version,
        image,
        made,
    )
    return made


@pytest.fixture(scope="session")
def systems(tmp_path_factory):
    """Two versions of a system with a large file in common, and a file that devices change."""
    folder = tmp_path_factory.mktemp("systems")
    run("ota-bundle", "keygen", folder / "release.key")
    draw = random.Random(20)
    common, setting, new = draw.randbytes(3_000_000), draw.randbytes(20_000), draw.randbytes(200_000)
    return [
        system(folder, "2.0", {"usr/lib/common": common, "etc/setting": setting}),
        system(folder, "2.1", {"usr/lib/common": common, "etc/setting": setting, "usr/lib/a-new-one": new}),
    ]


def read_parts(file):
    """The lines of the head of a file of parts, its ranges, and what is in them."""
    head, _, content = file.read_bytes().partition(b"\n\n")
    lines = head.decode().split("\n")
    ranges = [tuple(map(int, line[6:].split())) for line in lines if line.startswith("range=")]
    assert len(content) == sum(length for _, length in ranges)
    return [line for line in lines if not line.startswith("range=")], ranges, content


@pytest.mark.parametrize("is_published", [True, False])
def test_a_stick_for_a_version_has_only_what_that_lacks(repo, systems, tmp_path, is_published):
    for bundle in systems:
        run("ota-repository", "add", repo, bundle)
    if not is_published:
        run("ota-repository", "remove", repo, "board-2.0.bundle")
    run("ota-repository", "publish", repo)
    stick = tmp_path / "stick"
    run("ota-repository", "export", repo, stick, "--for", "board")
    assert {place.suffix for place in (stick / "targets").iterdir()} == {".bundle"}
    said = run("ota-repository", "export", repo, stick, "--for", "board", "--since", "2.0")
    (made,) = [place for place in (stick / "targets").iterdir() if "2.1" in place.name]
    whole = systems[1].read_bytes()
    assert f"board-2.1.bundle ({made.stat().st_size} of {len(whole)} bytes: what 2.0 lacks)" in said
    assert made.name.endswith(".board-2.1.bundle.parts")
    # The new file, the one that devices change, what is about files, and the first 64 KiB.
    assert 220_000 < made.stat().st_size < 400_000
    head, ranges, content = read_parts(made)
    assert head == ["otamgr-parts-1", "since=2.0", f"bytes={len(whole)}"]
    assert ranges[0][0] == 0 and ranges == sorted(ranges)
    at = 0
    for offset, length in ranges:
        assert content[at : at + length] == whole[offset : offset + length]
        at += length
    # A whole copy again, and nothing of the parts is left.
    run("ota-repository", "export", repo, stick, "--for", "board")
    assert not made.exists()


def test_a_stick_for_a_version_that_nobody_knows_is_not_made(repo, systems, tmp_path):
    run("ota-repository", "add", repo, systems[1])
    run("ota-repository", "publish", repo)
    said = run("ota-repository", "export", repo, tmp_path / "stick", "--for", "board", "--since", "1.7", status=1)
    assert "expected the bundle of board 1.7" in said and "--since" in said
    assert not (tmp_path / "stick/metadata/timestamp.json").exists()


def test_a_rollout_is_planned_halted_and_recalled(repo, bundles):
    run("ota-repository", "add", repo, bundles["board", "1.10"])
    run("ota-repository", "publish", "--phase", "1%/24h,10%/48h,100%", repo)
    draft = json.loads(run("ota-repository", "list", "--json", repo))
    assert draft["board-1.10.bundle"]["custom"]["otamgr"]["rollout"]["phases"] == [
        {"hours": 24, "share": 1000},
        {"hours": 48, "share": 10000},
        {"share": 100000},
    ]
    assert "rollout" not in draft["board-1.9.bundle"]["custom"]["otamgr"]
    assert run("ota-repository", "plan", repo, "board-1.10.bundle").count("%") == 3
    for command, state in (("halt", "halted"), ("resume", "running"), ("recall", "recalled")):
        run("ota-repository", command, repo, "board-1.10.bundle")
        assert state in run("ota-repository", "list", repo)
    assert "did you mean board-1.10.bundle" in run("ota-repository", "halt", repo, "1.10", status=1)


def test_a_rollout_goes_on_where_it_was_halted():
    def at(text):
        return rollout.read(f"2027-03-{text}:00Z")

    one = rollout.planned(at("05T18:00"), [(1, 24), (10, 48), (100, None)])
    halted = rollout.changed(one, "halted", at("06T12:00"))
    # Again, and recalled meanwhile: since when it stands does not change.
    halted = rollout.changed(rollout.changed(halted, "halted", at("07T12:00")), "recalled", at("07T13:00"))
    assert halted == {**one, "state": "recalled", "halted": "2027-03-06T12:00:00Z"}
    # 18 of the 24 hours of the first phase were over, so six are left, and not none after a week-end.
    assert rollout.changed(halted, "running", at("08T12:00")) == {**one, "start": "2027-03-07T18:00:00Z"}
    # What stood before it began, begins as it was planned, or at once.
    early = rollout.changed(one, "halted", at("05T12:00"))
    assert rollout.changed(early, "running", at("05T15:00")) == one
    assert rollout.changed(early, "running", at("05T20:00"))["start"] == "2027-03-05T20:00:00Z"
    # A resume of what runs is nothing, and so is one by a clock that is behind.
    assert rollout.changed(one, "running", at("09T12:00")) == one
    assert rollout.changed(halted, "running", at("06T11:00")) == one


def test_a_rollout_has_windows(repo, bundles):
    run("ota-repository", "add", repo, bundles["board", "1.10"])
    run("ota-repository", "publish", "--window", "mon-fri,sun 22:00-04:00", "--window", "12:00-24:00", repo)
    entry = json.loads(run("ota-repository", "list", "--json", repo))["board-1.10.bundle"]
    policy = entry["custom"]["otamgr"]["rollout"]
    assert policy["windows"] == ["mon-fri,sun 22:00-04:00", "12:00-24:00"]
    assert policy["phases"] == [{"share": 100000}]
    assert "mon-fri,sun 22:00-04:00; 12:00-24:00" in run("ota-repository", "plan", repo, "board-1.10.bundle")


@pytest.mark.parametrize(
    "window", ["", "22:00", "24:00-02:00", "22:00-24:01", "03:00-03:00", "xyz 22:00-04:00", "mon-wed-fri 22:00-04:00"]
)
def test_windows_that_make_no_sense_are_refused(repo, window):
    run("ota-repository", "publish", "--window", window, repo, status=2)


@pytest.mark.parametrize(
    "phases", ["", "1%", "1%,100%", "10%/24h,1%/24h,100%", "1%/24h", "101%", "1%/24h,100%/1h", "x"]
)
def test_phases_that_make_no_sense_are_refused(repo, phases):
    if phases == "1%":
        run("ota-repository", "publish", "--phase", phases, repo)
    else:
        run("ota-repository", "publish", "--phase", phases, repo, status=2)


def test_an_update_that_devices_would_refuse_is_not_added(repo, tmp_path, bundles):
    (tmp_path / "no.bundle").write_bytes(b"nonsense" * 1000)
    run("ota-repository", "add", repo, tmp_path / "no.bundle", status=1)
    damaged = bytearray(bundles["board", "1.10"].read_bytes())
    damaged[damaged.index(b"kernel")] ^= 1
    (tmp_path / "damaged.bundle").write_bytes(damaged)
    run("ota-repository", "add", repo, tmp_path / "damaged.bundle", status=1)
    assert not status(repo)["drafted"]
