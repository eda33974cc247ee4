# SPDX-License-Identifier: MIT
"""A repository by python-tuf alone, without the tool of this project: python_tuf_repository.py FOLDER BUNDLE [ci]

With "ci" it has the keys and the fields of one that tuf-on-ci keeps, and its bundle in a delegated role.
"""

import datetime
import json
import sys
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

folder, bundle, ci = Path(sys.argv[1]), Path(sys.argv[2]), len(sys.argv) > 3
(folder / "metadata").mkdir(parents=True)
(folder / "targets").mkdir()
ends = datetime.datetime.now(datetime.UTC).replace(microsecond=0) + datetime.timedelta(days=7)
fields = {"x-tuf-on-ci-expiry-period": 7, "x-tuf-on-ci-signing-period": 3} if ci else {}


def signer():
    made = CryptoSigner.generate_ecdsa() if ci else CryptoSigner.generate_rsa()
    if ci:
        made.public_key.unrecognized_fields["x-tuf-on-ci-keyowner"] = "@releaser"
    return made


def write(signed, name, *signers):
    metadata = Metadata(signed)
    for each in signers:
        metadata.sign(each, append=True)
    (folder / "metadata" / name).write_bytes(metadata.to_bytes())


keys = {role: signer() for role in ("root", "timestamp", "snapshot", "targets", "releases")}
root = Root(expires=ends, consistent_snapshot=True, unrecognized_fields=dict(fields))
for role in ("root", "timestamp", "snapshot", "targets"):
    root.add_key(keys[role].public_key, role)
write(root, "1.root.json", keys["root"])
target = TargetFile.from_file("board/update.bundle" if ci else "update.bundle", str(bundle), ["sha256"])
target.unrecognized_fields["custom"] = {"otamgr": {"compatible": "qemuarm64", "version": "2.0"}}
place = folder / "targets" / Path(target.path).parent / f"{target.hashes['sha256']}.{Path(target.path).name}"
place.parent.mkdir(exist_ok=True)
place.write_bytes(bundle.read_bytes())
targets = Targets(expires=ends, unrecognized_fields=dict(fields))
meta = {"targets.json": MetaFile(1)}
if ci:
    role = DelegatedRole("releases", [keys["releases"].public_key.keyid], 1, True, paths=["board/*"])
    targets.delegations = Delegations(
        {keys["releases"].public_key.keyid: keys["releases"].public_key}, {"releases": role}
    )
    write(Targets(expires=ends, targets={target.path: target}), "1.releases.json", keys["releases"])
    meta["releases.json"] = MetaFile(1)
else:
    targets.targets[target.path] = target
write(targets, "1.targets.json", keys["targets"])
write(Snapshot(expires=ends, meta=meta, unrecognized_fields=dict(fields)), "1.snapshot.json", keys["snapshot"])
write(Timestamp(expires=ends, unrecognized_fields=dict(fields)), "timestamp.json", keys["timestamp"])
(folder / "root.json").write_bytes((folder / "metadata/1.root.json").read_bytes())
print(json.dumps({"root": str(folder / "root.json")}))
