# SPDX-License-Identifier: MIT
"""The TUF client of the device against repositories that python-tuf makes: what it takes, what it refuses, and how it heals."""

import hashlib
import json

import pytest
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, Root, Snapshot, SuccinctRoles, TargetFile, Targets, Timestamp

from repository import FAR, PAST, TOP, Client, Repository, Server, unpublished


@pytest.fixture(scope="session")
def server():
    return Server()


@pytest.fixture
def repo(server):
    server.repository = Repository()
    return server.repository


@pytest.fixture
def client(repo, server, tmp_path):
    return Client(server, tmp_path).init()


# ---- the plain way ----


def test_a_refresh_asks_for_four_files_and_trusts_them_byte_for_byte(repo, client):
    assert client.refresh()
    assert repo.asked == ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]
    assert (client.metadata / "timestamp.json").read_bytes() == repo.files["metadata/timestamp.json"]


def test_nothing_new_costs_two_requests(repo, client):
    assert client.refresh()
    repo.asked.clear()
    assert client.refresh()
    assert repo.asked == ["2.root.json", "timestamp.json"]


def test_without_consistent_snapshots_names_have_no_versions(repo, server, tmp_path):
    repo.root.consistent_snapshot = False
    root = repo.publish_root()
    repo.add_target("a/file", b"content")
    repo.publish()
    client = Client(server, tmp_path).init(root)
    assert client.download("a/file")
    assert repo.asked[-4:] == ["timestamp.json", "snapshot.json", "targets.json", "file"]


@pytest.mark.parametrize("algorithms", [["sha256"], ["sha512"], ["sha256", "sha512"]])
def test_targets_are_known_by_either_hash(repo, client, algorithms):
    repo.add_target("file", b"content", algorithms=algorithms)
    repo.publish()
    assert client.download("file")
    assert client.downloaded() == [b"content"]


@pytest.mark.parametrize("path", ["file", "a/b/c.bin", "blank in name", "%41", "ümlaut", "+~@"])
def test_a_target_has_whatever_name(repo, client, path):
    repo.add_target(path, b"content")
    repo.publish()
    if "%" in path or " " in path or "ü" in path:
        # URLs of such names differ from client to client; what counts is that nothing else is taken.
        client.download(path)
        assert client.downloaded() in ([], [b"content"])
    else:
        assert client.download(path)


def test_a_target_that_is_there_is_not_downloaded_again(repo, client):
    repo.add_target("file", b"content")
    repo.publish()
    assert client.download("file")
    repo.asked.clear()
    assert client.download("file")
    assert not [name for name in repo.asked if name.endswith("file")]


def test_metadata_with_hashes_and_lengths_is_taken(repo, client):
    repo.hashes = True
    repo.publish()
    repo.publish()
    assert client.refresh()


def test_members_that_nobody_knows_are_part_of_what_is_signed(repo, client):
    repo.root.unrecognized_fields["x"] = {"ä": ["\u20ac", "\U0001f600", True, None, -1]}
    repo.targets.unrecognized_fields["\uffff"] = 1
    repo.targets.unrecognized_fields["\U0001f600"] = 2
    repo.publish_root()
    repo.publish()
    assert client.refresh()
    assert client.version(Root.type) == 2


# ---- keys and signatures ----


@pytest.mark.parametrize(
    "make",
    [CryptoSigner.generate_ed25519, CryptoSigner.generate_ecdsa, CryptoSigner.generate_rsa],
    ids=["ed25519", "ecdsa", "rsa"],
)
def test_each_kind_of_key_counts(repo, client, make):
    signer = make()
    repo.root.add_key(signer.public_key, Timestamp.type)
    repo.root.roles[Timestamp.type].threshold = 2
    repo.publish_root()
    repo.publish_timestamp()
    assert not client.refresh()
    repo.signers[Timestamp.type].append(signer)
    repo.publish_timestamp()
    assert client.refresh()


@pytest.mark.parametrize("role", TOP)
def test_a_wrong_signature_is_refused(repo, client, role):
    assert client.refresh()
    before = client.versions()
    repo.signers[role] = [CryptoSigner.generate_ed25519()]
    if role == Root.type:
        repo.publish_root()
    else:
        repo.publish()
    assert not client.refresh()
    position = TOP.index(role)
    assert client.version(role) == before[position]


@pytest.mark.parametrize("role", [Timestamp.type, Snapshot.type, Targets.type])
def test_a_signature_is_over_every_byte(repo, client, role):
    repo.publish()
    name = "metadata/timestamp.json" if role == Timestamp.type else f"metadata/2.{role}.json"
    repo.change(name, lambda value: value["signed"].update({"x": 1}))
    assert not client.refresh()


@pytest.mark.parametrize(
    "keys, threshold, signing, taken",
    [(3, 2, 2, True), (3, 2, 1, False), (5, 3, 3, True), (5, 3, 2, False), (2, 2, 2, True)],
)
def test_a_threshold_is_that_many_keys(repo, client, keys, threshold, signing, taken):
    repo.rotate(Targets.type, keys, threshold)
    repo.signers[Targets.type] = repo.signers[Targets.type][:signing]
    repo.publish()
    assert client.refresh() == taken


def test_two_signatures_of_one_key_are_refused(repo, client):
    repo.change("metadata/timestamp.json", lambda value: value["signatures"].append(value["signatures"][0]))
    assert not client.refresh()


def test_somebody_elses_signature_beside_does_no_harm(repo, client):
    repo.signers[Timestamp.type].append(CryptoSigner.generate_ed25519())
    repo.publish_timestamp()
    repo.change(
        "metadata/timestamp.json", lambda value: value["signatures"].insert(0, {"keyid": "00", "sig": "no hex"})
    )
    assert client.refresh()


@pytest.mark.parametrize(
    "change", [{"keytype": "dsa"}, {"scheme": "ed448"}, {"keyval": {"public": "00"}}, {"keyval": {"public": ""}}]
)
def test_a_key_that_nobody_understands_signs_nothing(repo, client, change):
    repo.rotate(Timestamp.type)
    keyid = repo.root.roles[Timestamp.type].keyids[0]
    content = json.loads(repo.files["metadata/2.root.json"])
    content["signed"]["keys"][keyid].update(change)
    signatures = [
        signer.sign(encode_canonical(content["signed"]).encode()).to_dict() for signer in repo.signers[Root.type]
    ]
    repo.files["metadata/2.root.json"] = json.dumps({"signed": content["signed"], "signatures": signatures}).encode()
    repo.publish_timestamp()
    assert not client.refresh()


# ---- the chain of roots ----


def test_twenty_rotations_are_followed_at_once(repo, client):
    for _ in range(20):
        repo.rotate(Root.type)
    assert client.refresh()
    assert client.version(Root.type) == 21


def test_a_root_that_the_old_keys_did_not_sign_is_refused(repo, client):
    repo.signers[Root.type] = [CryptoSigner.generate_ed25519()]
    repo.root.roles[Root.type].keyids.clear()
    repo.root.add_key(repo.signers[Root.type][0].public_key, Root.type)
    repo.publish_root()
    assert not client.refresh()
    assert client.version(Root.type) == 1


def test_a_root_that_its_own_keys_did_not_sign_is_refused(repo, client):
    old = repo.signers[Root.type]
    repo.rotate(Root.type)
    repo.files["metadata/2.root.json"] = repo.signed(repo.root, old)
    assert not client.refresh()


def test_a_root_that_skips_a_version_is_refused(repo, client):
    repo.root.version = 2
    repo.publish_root()
    repo.files["metadata/2.root.json"] = repo.files["metadata/3.root.json"]
    assert not client.refresh()
    assert client.version(Root.type) == 1


def test_an_expired_root_is_followed_to_one_that_holds(repo, client):
    repo.root.expires = PAST
    repo.publish_root()
    repo.root.expires = FAR
    repo.publish_root()
    assert client.refresh()


def test_the_last_root_has_to_hold(repo, client):
    repo.root.expires = PAST
    repo.publish_root()
    assert not client.refresh()
    assert client.versions() == (2, None, None, None)


@pytest.mark.parametrize(
    "spoil", [lambda text: b"", lambda text: text[:100], lambda text: text.replace(b"root", b"toor")]
)
def test_a_first_root_that_is_none_is_refused_without_a_request(repo, server, tmp_path, spoil):
    client = Client(server, tmp_path).init(spoil(repo.first_root) or b"{}")
    assert not client.refresh()
    assert repo.asked == []


# ---- going back ----


@pytest.mark.parametrize("hashes", [False, True])
def test_nothing_goes_back(repo, client, hashes):
    repo.hashes = hashes
    repo.publish()
    repo.publish()
    assert client.refresh()
    trusted = client.versions()
    repo.timestamp.version = 1
    repo.publish_timestamp()
    assert not client.refresh()
    repo.timestamp.version = 9
    repo.snapshot.version = 1
    repo.publish_snapshot()
    repo.publish_timestamp()
    assert not client.refresh()
    repo.snapshot.version = 9
    repo.targets.version = 1
    repo.publish()
    assert not client.refresh()
    assert client.version(Targets.type) == trusted[3]


def test_a_role_does_not_disappear_from_the_snapshot(repo, client):
    repo.delegate(Targets.type, "other", ["*"])
    repo.publish("other", Targets.type)
    assert client.refresh()
    del repo.snapshot.meta["other.json"]
    repo.publish()
    assert not client.refresh()


@pytest.mark.parametrize("role", [Timestamp.type, Snapshot.type])
def test_new_keys_are_the_way_back_from_a_version_that_was_driven_up(repo, client, role):
    (repo.timestamp if role == Timestamp.type else repo.snapshot).version = 2**62
    repo.publish()
    assert client.refresh()
    repo.snapshot.version = 1
    if role == Timestamp.type:
        repo.timestamp.version = 1
    repo.publish()
    assert not client.refresh()
    repo.rotate(Timestamp.type)
    repo.rotate(Snapshot.type)
    repo.timestamp.version = repo.targets.version = 1
    repo.publish()
    assert client.refresh()
    assert client.versions()[1:] == (2, 3, 2)


def test_the_same_version_with_other_content_is_not_taken(repo, client):
    assert client.refresh()
    repo.timestamp.version = 0
    repo.timestamp.snapshot_meta.version = 7
    repo.publish_timestamp()
    assert client.refresh()
    assert (
        json.loads((client.metadata / "timestamp.json").read_text())["signed"]["meta"]["snapshot.json"]["version"] == 1
    )


# ---- standing still ----


@pytest.mark.parametrize("role", [Timestamp.type, Snapshot.type, Targets.type])
def test_expired_metadata_is_refused_and_what_holds_later_is_taken(repo, client, role):
    assert client.refresh()
    signed = {Timestamp.type: repo.timestamp, Snapshot.type: repo.snapshot, Targets.type: repo.targets}[role]
    signed.expires = PAST
    repo.publish()
    assert not client.refresh()
    assert "expired" in client.said
    assert client.version(role) == 1
    signed.expires = FAR
    repo.publish()
    assert client.refresh()


# ---- what is no metadata ----


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"signed": 1}',
        b"null",
        b"\x00",
        b"\xff\xfe",
        b"[" * 100000,
        b'{"a":' * 100000,
        b"<html>log in</html>",
    ],
    ids=range(10),
)
def test_what_is_no_metadata_is_refused(repo, client, content):
    assert client.refresh()
    repo.files["metadata/timestamp.json"] = content
    assert not client.refresh()
    assert client.version(Timestamp.type) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"_type": "snapshot"},
        {"version": 0},
        {"version": "2"},
        {"version": 2.5},
        {"version": 2**64},
        {"expires": "tomorrow"},
        {"spec_version": "2.0.0"},
        {"meta": {}},
        {"meta": {"snapshot.json": {"version": -1}}},
    ],
)
def test_a_timestamp_of_another_form_is_refused_although_it_is_signed(repo, client, change):
    class Raw(Timestamp):
        def to_dict(self):
            return {**super().to_dict(), **change}

    signer = repo.signers[Timestamp.type][0]
    raw = Raw(version=2, expires=FAR, snapshot_meta=repo.timestamp.snapshot_meta).to_dict()
    try:
        signature = signer.sign(encode_canonical(raw).encode())
    except Exception:
        # Canonical JSON has no fractions: nobody can sign it.
        signature = signer.sign(b"")
    repo.files["metadata/timestamp.json"] = json.dumps({"signed": raw, "signatures": [signature.to_dict()]}).encode()
    assert not client.refresh()
    assert client.version(Timestamp.type) is None


@pytest.mark.parametrize("name", ["timestamp.json", "1.snapshot.json", "1.targets.json"])
def test_a_file_that_is_missing_is_asked_for_again_next_time(repo, client, name):
    content = repo.files.pop(f"metadata/{name}")
    assert not client.refresh()
    repo.files[f"metadata/{name}"] = content
    assert client.refresh()


@pytest.mark.parametrize(
    "role, bytes_", [(Timestamp.type, 20_000), (Snapshot.type, 3_000_000), (Targets.type, 6_000_000)]
)
def test_metadata_without_end_is_refused(repo, client, role, bytes_):
    name = "metadata/timestamp.json" if role == Timestamp.type else f"metadata/1.{role}.json"
    repo.files[name] += b" " * bytes_
    assert not client.refresh()


@pytest.mark.parametrize(
    "change", [lambda meta: setattr(meta, "length", meta.length - 1), lambda meta: meta.hashes.update(sha256="0" * 64)]
)
def test_metadata_of_another_length_or_hash_is_refused(repo, client, change):
    repo.hashes = True
    repo.publish()
    change(repo.timestamp.snapshot_meta)
    repo.publish_timestamp()
    assert not client.refresh()


# ---- targets ----


@pytest.mark.parametrize("served", [b"", b"conten", b"content!", b"CONTENT", b"content" * 10_000])
def test_a_target_that_is_another_file_is_refused_and_not_kept(repo, client, served):
    target = repo.add_target("file", b"content")
    repo.publish()
    repo.files[f"targets/{target.hashes['sha256']}.file"] = served
    assert not client.download("file")
    assert client.downloaded() == []


def test_a_hash_that_nobody_knows_proves_nothing(repo, client):
    target = TargetFile.from_data("file", b"content", ["sha512"])
    target.hashes = {"other": target.hashes["sha512"]}
    repo.targets.targets["file"] = target
    repo.publish()
    assert not client.download("file")


# ---- delegations ----


def test_delegated_roles_are_asked_in_order_and_depth_first(repo, client):
    repo.delegate(Targets.type, "a", ["*"])
    repo.delegate(Targets.type, "b", ["*"])
    repo.delegate("a", "c", ["*"])
    repo.publish("a", "b", "c", Targets.type)
    assert not client.download("missing")
    assert repo.asked[4:] == ["1.a.json", "1.c.json", "1.b.json"]


def test_after_a_terminating_role_nobody_is_asked(repo, client):
    repo.delegate(Targets.type, "a", ["*"], terminating=True)
    repo.delegate(Targets.type, "b", ["*"])
    repo.add_target("file", b"of b", "b")
    repo.publish("a", "b", Targets.type)
    assert not client.download("file")
    assert repo.asked[4:] == ["1.a.json"]


@pytest.mark.parametrize(
    "pattern, path, found",
    [
        ("*.zip", "x.zip", True),
        ("*.zip", "a/x.zip", False),
        ("a/?.zip", "a/x.zip", True),
        ("a/*", "a/b/c", False),
        ("A*", "a", False),
    ],
)
def test_a_role_speaks_only_for_its_paths(repo, client, pattern, path, found):
    repo.delegate(Targets.type, "a", [pattern])
    repo.add_target(path, b"content", "a")
    repo.publish("a", Targets.type)
    assert client.download(path) == found


@pytest.mark.parametrize("mine", [True, False])
def test_a_role_may_speak_for_beginnings_of_hashes(repo, client, mine):
    prefix = hashlib.sha256(b"file").hexdigest()[:2]
    repo.delegate(Targets.type, "a", prefixes=[prefix if mine else ("00" if prefix != "00" else "01")])
    repo.add_target("file", b"content", "a")
    repo.publish("a", Targets.type)
    assert client.download("file") == mine


def test_hash_bins_are_found(repo, client):
    from tuf.api.metadata import Delegations

    bins = SuccinctRoles([], 1, 4, "bin")
    signer = CryptoSigner.generate_ed25519()
    repo.targets.delegations = Delegations(keys={}, succinct_roles=bins)
    repo.targets.add_key(signer.public_key)
    for name in bins.get_roles():
        repo.roles[name] = unpublished(Targets(expires=FAR))
        repo.signers[name] = [signer]
    for path in ("one", "two", "three"):
        repo.add_target(path, path.encode(), bins.get_role_for_target(path))
    repo.publish(*bins.get_roles(), Targets.type)
    assert client.download("one", "two", "three")
    assert len(repo.asked) <= 4 + 3 + 3


@pytest.mark.parametrize("name", ["?", "#", "/a", "../a", "a b", "ü"])
def test_a_role_has_whatever_name_and_stays_in_its_folder(repo, client, name, tmp_path):
    repo.delegate(Targets.type, name, ["*"])
    repo.publish(name, Targets.type)
    before = {path for path in tmp_path.iterdir()}
    assert not client.download("missing")
    assert client.version(name) == 1
    assert before == {path for path in tmp_path.iterdir()}


def test_a_circle_of_delegations_ends(repo, client):
    for parent, child in ((Targets.type, "a"), ("a", "b"), ("b", "a")):
        repo.delegate(parent, child, ["*"])
    repo.publish("a", "b", Targets.type)
    assert not client.download("missing")
    assert repo.asked[4:] == ["1.a.json", "1.b.json"]


def test_a_role_that_the_snapshot_does_not_name_is_not_asked(repo, client):
    repo.delegate(Targets.type, "a", ["*"])
    repo.publish("a", Targets.type)
    del repo.snapshot.meta["a.json"]
    repo.publish()
    assert not client.download("missing")
    assert "1.a.json" not in repo.asked


def test_a_role_that_is_trusted_on_one_way_is_not_trusted_on_another(repo, client):
    repo.delegate(Targets.type, "a", ["a/*"])
    repo.delegate(Targets.type, "b", ["b/*"])
    repo.delegate("a", "c", ["a/*"])
    good = repo.signers["c"]
    repo.signers["c"] = [CryptoSigner.generate_ed25519()]
    repo.delegate("b", "c", ["b/*"])
    repo.signers["c"] = good
    repo.add_target("a/file", b"a", "c")
    repo.add_target("b/file", b"b", "c")
    repo.publish("a", "b", "c", Targets.type)
    assert not client.download("a/file", "b/file")
    assert client.downloaded() == [b"a"]


@pytest.mark.parametrize("state", ["timestamp.json", "snapshot.json", "targets.json", "roots"])
def test_a_torn_state_heals(repo, client, state):
    assert client.refresh()
    (client.metadata / state).write_bytes(b'{"signed":')
    repo.publish()
    assert client.refresh()
    assert Metadata.from_file(str(client.metadata / "timestamp.json")).signed.version == 2
