# SPDX-License-Identifier: MIT
"""TUF repositories of signed bundles, made with python-tuf: what scripts/ota-repository does. docs/source-repository.md describes them.

A repository is a folder:

    www/metadata, www/targets   what a web server serves, or what a stick holds; nothing else ever has to be trusted with it
    keys/                       private keys, and signers.json: key id -> URI of the signer. May lie elsewhere, and in parts on
                                several machines; each command signs with what it finds
    draft.json                  the targets of the next publication
    pending/                    metadata that lacks signatures of keys that are not on this machine
    root.json                   the root that devices get with their image

What is published is the truth: versions are counted from there, whatever else was restored from a backup.
"""

import contextlib
import datetime
import fcntl
import fnmatch
import getpass
import hashlib
import json
import os
import re
import shutil
from pathlib import Path

from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import CryptoSigner, Signer, SSlibKey
from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    ExpiredMetadataError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.ngclient import FetcherInterface, Updater

from otamgr import bundle, parts, settle

ROLES = (Root.type, Timestamp.type, Snapshot.type, Targets.type)
REPOSITORY_FIELD = "x-otamgr-repository"
#: In the timestamp: since when it has been true, for devices without a clock.
SIGNED_FIELD = "x-otamgr-signed"
CUSTOM = "otamgr"
#: In the custom part of targets that can be pulled in parts.
MANIFEST = "manifest-sha256"
#: Days that metadata holds, unless --days says otherwise.
DAYS = {Root.type: 365, Targets.type: 180, Snapshot.type: 60, Timestamp.type: 1}
#: What is signed again when less than this part of its time is left.
RENEW = 0.25
# As on the device: Limits.DEVICE.
LIMITS = {Root.type: 128 << 10, Timestamp.type: 16 << 10, Snapshot.type: 256 << 10, Targets.type: 1 << 20}
NAME = re.compile(r"[A-Za-z0-9_+~][A-Za-z0-9._+~-]{0,127}")


class RepositoryProblem(Exception):
    """The repository cannot be read or changed; the message says what was expected and what was found."""


class NotTrusted(RepositoryProblem):
    """What is published is not signed as devices want it."""


class Expired(RepositoryProblem):
    """What is published has expired."""


def now():
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def _secret(name):
    """The PIN of a token, or the password of a key: from the environment where nobody sits, else asked for."""
    return os.environ.get("OTA_REPOSITORY_PIN") or getpass.getpass(f"{name} of the signer: ")


def _replace(path, content):
    """Complete or not at all, also for a web server that reads meanwhile."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with open(new, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        new.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        new.unlink(missing_ok=True)


def _sha256(path):
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class Repository:
    """A repository folder, for one command. Commands that change it wait for one another."""

    def __init__(self, folder, keys=None, clock=now):
        self.folder = Path(folder)
        self.keys = Path(keys) if keys else self.folder / "keys"
        self.metadata = self.folder / "www/metadata"
        self.targets = self.folder / "www/targets"
        self.pending = self.folder / "pending"
        self.clock = clock

    @contextlib.contextmanager
    def locked(self):
        """Two commands at once would each lose what the other one did."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self

    # ---- what is published -------------------------------------------------------------------------------------------

    def _numbered(self, role):
        """The versions of a role that are published, lowest first."""
        found = (
            re.fullmatch(rf"([1-9][0-9]*)\.{role}\.json", path.name) for path in self.metadata.glob(f"*.{role}.json")
        )
        return sorted(int(match[1]) for match in found if match)

    def published(self, role):
        """The newest metadata of a role, or None."""
        if role == Timestamp.type:
            path = self.metadata / "timestamp.json"
            return Metadata.from_file(str(path)) if path.exists() else None
        versions = self._numbered(role)
        return Metadata.from_file(str(self.metadata / f"{versions[-1]}.{role}.json")) if versions else None

    def root(self):
        root = self.published(Root.type)
        if root is None:
            raise RepositoryProblem(
                f"{self.folder}: expected a repository, found none; make one with: ota-repository init {self.folder}"
            )
        return root

    def _next_version(self, role):
        """Above whatever devices may have seen: after a backup was restored, what lies there need not be the newest."""
        seen = [0, *(self._numbered(role) if role != Timestamp.type else [])]
        timestamp = self.published(Timestamp.type)
        if timestamp and role == Timestamp.type:
            seen.append(timestamp.signed.version)
        if timestamp and role == Snapshot.type:
            seen.append(timestamp.signed.snapshot_meta.version)
        if role == Targets.type:
            seen += [
                Metadata.from_file(str(self.metadata / f"{version}.snapshot.json")).signed.meta["targets.json"].version
                for version in self._numbered(Snapshot.type)
            ]
            draft = self.folder / "draft.json"
            seen.append(json.loads(draft.read_text()).get("published", 0) if draft.exists() else 0)
        return max(seen) + 1

    # ---- keys --------------------------------------------------------------------------------------------------------

    def _uris(self):
        path = self.keys / "signers.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def _remember(self, keyid, uri):
        self.keys.mkdir(parents=True, exist_ok=True, mode=0o700)
        _replace(
            self.keys / "signers.json",
            (json.dumps({**self._uris(), keyid: uri}, indent=2, sort_keys=True) + "\n").encode(),
        )

    def new_key(self, role, uri=None, public=None):
        """A key for a role: a new one in a file, or that of a signer that is named by its URI and its public key."""
        if uri:
            if not public:
                raise RepositoryProblem("--public: expected the public key (PEM) of the signer, found nothing")
            from cryptography.hazmat.primitives.serialization import load_pem_public_key

            key = SSlibKey.from_crypto(load_pem_public_key(Path(public).read_bytes()))
            self._remember(key.keyid, uri)
            return key
        signer = CryptoSigner.generate_ed25519()
        key = signer.public_key
        self.keys.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = f"{role}-{key.keyid[:8]}.key"
        with open(os.open(self.keys / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(signer.private_bytes)
        # Relative, so that the folder can be moved.
        self._remember(key.keyid, f"file2:{name}")
        return key

    def signer(self, key):
        """The signer of a key, or None if it is not on this machine."""
        uri = self._uris().get(key.keyid)
        if uri is None:
            return None
        if uri.startswith("file2:"):
            path = self.keys / uri.removeprefix("file2:")
            if not path.exists():
                return None
            uri = f"file2:{path}"
        try:
            return Signer.from_priv_key_uri(uri, key, _secret)
        except Exception as e:
            raise RepositoryProblem(f"{uri}: expected a signer, found: {e}") from None

    def _sign(self, metadata, role, delegators):
        """Signs with all keys that this machine has. Returns how many signatures are still missing, for the worst delegator."""
        for delegator in delegators:
            for keyid in delegator.roles[role].keyids:
                signer = self.signer(delegator.keys[keyid])
                if signer and not self._has_signed(metadata, delegator.keys[keyid]):
                    self._sign_with(metadata, signer, self._uris()[keyid])
        return max(self._missing(metadata, role, delegator) for delegator in delegators)

    @staticmethod
    def _sign_with(metadata, signer, uri):
        try:
            metadata.sign(signer, append=True)
        except UnsignedMetadataError as e:
            raise RepositoryProblem(
                f"{uri}: expected a signature, found: {e}; is the token there, the PIN right (OTA_REPOSITORY_PIN)?"
            ) from None

    @staticmethod
    def _has_signed(metadata, key):
        try:
            key.verify_signature(metadata.signatures[key.keyid], metadata.signed_bytes)
            return True
        except (KeyError, UnverifiedSignatureError):
            return False

    @classmethod
    def _missing(cls, metadata, role, delegator):
        signed = sum(cls._has_signed(metadata, delegator.keys[keyid]) for keyid in delegator.roles[role].keyids)
        return max(0, delegator.roles[role].threshold - signed)

    # ---- writing -----------------------------------------------------------------------------------------------------

    def _body(self, kind, role, root, **more):
        fields = (
            {REPOSITORY_FIELD: root.unrecognized_fields[REPOSITORY_FIELD]}
            if REPOSITORY_FIELD in root.unrecognized_fields
            else {}
        )
        if kind is Timestamp:
            fields[SIGNED_FIELD] = self.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
        return Metadata(
            kind(
                version=self._next_version(role),
                expires=self.clock() + datetime.timedelta(days=self._days(root, role)),
                unrecognized_fields=fields,
                **more,
            )
        )

    @staticmethod
    def _days(root, role):
        return root.unrecognized_fields.get("x-otamgr-days", DAYS).get(role, DAYS[role])

    def _write(self, metadata, role):
        content = metadata.to_bytes()
        if len(content) > LIMITS[role]:
            raise RepositoryProblem(
                f"{role}: expected at most {LIMITS[role]} bytes, which is what devices take, found {len(content)}; "
                "remove targets"
            )
        name = "timestamp.json" if role == Timestamp.type else f"{metadata.signed.version}.{role}.json"
        _replace(self.metadata / name, content)

    def _publish_signed(self, metadata, role):
        """Publishes metadata that has all its signatures; one that has not waits in pending/. Returns whether it is out."""
        root = self.root().signed
        delegators = [root]
        if role == Root.type:
            delegators.append(metadata.signed)
        missing = self._sign(metadata, role, delegators)
        place = self.pending / f"{role}.json"
        if missing:
            self.pending.mkdir(exist_ok=True)
            _replace(place, metadata.to_bytes())
            return False
        self._write(metadata, role)
        place.unlink(missing_ok=True)
        return True

    def init(self, name="main", root_keys=1, thresholds=None, days=None):
        """A new repository with new keys and nothing in it."""
        if self._numbered(Root.type):
            raise RepositoryProblem(f"{self.folder} is a repository already; keys change with: ota-repository rotate")
        if not NAME.fullmatch(name):
            raise RepositoryProblem(f"--name: expected letters, digits and . _ + ~ -, found '{name}'")
        thresholds = thresholds or {}
        self.metadata.mkdir(parents=True, exist_ok=True)
        self.targets.mkdir(parents=True, exist_ok=True)
        root = Root(
            version=1,
            expires=self.clock(),
            consistent_snapshot=True,
            unrecognized_fields={REPOSITORY_FIELD: name, "x-otamgr-days": {**DAYS, **(days or {})}},
        )
        root.expires = self.clock() + datetime.timedelta(days=self._days(root, Root.type))
        for role in ROLES:
            threshold = thresholds.get(role, 1)
            for _ in range(max(threshold, root_keys if role == Root.type else 1)):
                root.add_key(self.new_key(role), role)
            root.roles[role].threshold = threshold
        metadata = Metadata(root)
        if self._sign(metadata, Root.type, [root]):
            raise RepositoryProblem("the first root needs all its keys on one machine")
        self._write(metadata, Root.type)
        _replace(self.folder / "root.json", metadata.to_bytes())
        self._save_draft({})
        self.publish()

    # ---- targets -----------------------------------------------------------------------------------------------------

    def draft(self):
        """The targets of the next publication: path -> {"length", "sha256", "custom"}."""
        path = self.folder / "draft.json"
        published = self.published(Targets.type)
        current = self.published_as_draft()
        if not path.exists():
            return current
        draft = json.loads(path.read_text())
        if published and draft.get("published", 0) != published.signed.version:
            # Restored from a backup, or published elsewhere: what is out counts.
            return current
        return draft["targets"]

    def _save_draft(self, targets):
        published = self.published(Targets.type)
        value = {"published": published.signed.version if published else 0, "targets": targets}
        _replace(self.folder / "draft.json", (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())

    def add(self, path, name=None, minimum=None, floor=None):
        """Copies a bundle into the repository, and drafts it. Returns (path, entry)."""
        self.root()
        if minimum:
            bundle.version_key(minimum)
        if floor:
            bundle.version_key(floor)
        with bundle.open_bundle(path) as opened:
            opened.check_image()
            manifest = opened.values()
            # What is pulled in parts cannot be hashed whole: it is known by its manifest, which signs the hash of the index.
            in_parts = (
                {MANIFEST: hashlib.sha256(opened.manifest).hexdigest()} if manifest["format"] == bundle.FORMAT_2 else {}
            )
        if floor and bundle.version_key(floor) > bundle.version_key(manifest["version"]):
            raise RepositoryProblem(
                f"--floor: expected at most the version of the bundle, {manifest['version']}, found {floor}; "
                "devices would refuse the bundle itself"
            )
        name = name or f"{manifest['compatible']}-{manifest['version']}.bundle".replace(",", "_")
        if not NAME.fullmatch(name):
            raise RepositoryProblem(
                f"name: expected letters, digits and . _ + ~ -, at most 128, found '{name}'; choose one with --name"
            )
        custom = {
            "compatible": manifest["compatible"],
            "version": manifest["version"],
            **in_parts,
            **({"minimum": minimum} if minimum else {}),
            **({"floor": floor} if floor else {}),
        }
        entry = {"length": Path(path).stat().st_size, "sha256": _sha256(path), "custom": {CUSTOM: custom}}
        place = self.targets / f"{entry['sha256']}.{name}"
        # One that is damaged is of no use to devices that are in the middle of it.
        if not place.exists() or _sha256(place) != entry["sha256"]:
            new = place.with_name(f"{place.name}.{os.getpid()}.new")
            try:
                shutil.copyfile(path, new)
                if _sha256(new) != entry["sha256"]:
                    raise RepositoryProblem(f"{path} changed while it was copied; add it again")
                new.replace(place)
            finally:
                new.unlink(missing_ok=True)
        self._save_draft({**self.draft(), name: entry})
        return name, entry

    def remove(self, name):
        """Takes a target out of the next publication. Its file stays, as devices may be in the middle of it."""
        draft = self.draft()
        self.entry(draft, name)
        del draft[name]
        self._save_draft(draft)

    @staticmethod
    def entry(draft, name):
        """What a draft says of a target."""
        if name not in draft:
            near = fnmatch.filter(draft, f"*{name}*")
            raise RepositoryProblem(
                f"expected the name of a target, found '{name}'; "
                f"{'did you mean ' + near[0] if near else 'see: ota-repository list'}"
            )
        return draft[name]

    def change_custom(self, name, change):
        """Changes what the draft says of a target."""
        draft = self.draft()
        entry = self.entry(draft, name)
        change(entry["custom"].setdefault(CUSTOM, {}))
        self._save_draft(draft)

    def publish(self):
        """Signs and publishes the draft. Returns (version, roles that lack signatures of other machines)."""
        root = self.root().signed
        # What the files are is known here; that they are still there is looked at before anybody is told.
        draft = self.draft()
        for name, entry in draft.items():
            place = self.targets / f"{entry['sha256']}.{name}"
            if not place.exists() or place.stat().st_size != entry["length"]:
                raise RepositoryProblem(
                    f"{place}: expected a file of {entry['length']} bytes, found none; add the bundle again"
                )
        targets = {
            name: TargetFile(entry["length"], {"sha256": entry["sha256"]}, name, {"custom": entry["custom"]})
            for name, entry in draft.items()
        }
        metadata = self._body(Targets, Targets.type, root, targets=targets)
        if not self._publish_signed(metadata, Targets.type):
            return metadata.signed.version, [Targets.type]
        self._save_draft(draft)
        return metadata.signed.version, self._refresh_online()

    def _refresh_online(self, snapshot_too=True):
        """A new snapshot if the targets changed or it ends soon, and a new timestamp. Returns the roles that lack signatures."""
        root = self.root().signed
        targets, snapshot = self.published(Targets.type), self.published(Snapshot.type)
        changed = snapshot is None or snapshot.signed.meta["targets.json"].version != targets.signed.version
        if changed or snapshot_too and self._ends_soon(snapshot.signed, Snapshot.type, root):
            made = self._body(Snapshot, Snapshot.type, root, meta={"targets.json": MetaFile(targets.signed.version)})
            if not self._publish_signed(made, Snapshot.type):
                return [Snapshot.type]
            snapshot = made
        made = self._body(Timestamp, Timestamp.type, root, snapshot_meta=MetaFile(snapshot.signed.version))
        return [] if self._publish_signed(made, Timestamp.type) else [Timestamp.type]

    def _ends_soon(self, signed, role, root):
        return signed.expires - self.clock() < RENEW * datetime.timedelta(days=self._days(root, role))

    def sign(self):
        """Adds the signatures of this machine's keys to whatever waits for them, publishes what is complete, and renews what ends
        soon; with the key of the timestamp alone, that one. Returns (what was published, what still lacks signatures)."""
        done, missing = [], []
        for role in (Root.type, Targets.type, Snapshot.type, Timestamp.type):
            place = self.pending / f"{role}.json"
            if place.exists():
                if self._publish_signed(Metadata.from_file(str(place)), role):
                    done.append(role)
                    if role == Targets.type:
                        self._save_draft(self.published_as_draft())
                else:
                    missing.append(role)
        if not missing or missing == [Root.type]:
            root = self.root().signed
            online = [keyid for keyid in root.roles[Snapshot.type].keyids if self.signer(root.keys[keyid])]
            lacking = self._refresh_online(snapshot_too=len(online) >= root.roles[Snapshot.type].threshold)
            missing += lacking
            if not lacking:
                done.append(Timestamp.type)
        return done, missing

    def published_as_draft(self):
        """What is published, in the form of a draft."""
        published = self.published(Targets.type)
        targets = published.signed.targets if published else {}
        return {
            name: {"length": target.length, "sha256": target.hashes["sha256"], "custom": target.custom or {}}
            for name, target in targets.items()
        }

    # ---- changing keys -----------------------------------------------------------------------------------------------

    def change_root(self, change):
        """The next root: changed, signed by the keys of the one before and by its own. Returns whether it is published; until
        enough machines have signed it, it waits."""
        metadata = Metadata.from_bytes(self.root().to_bytes())
        before = self.root().signed
        metadata.signatures.clear()
        metadata.signed.version += 1
        metadata.signed.expires = self.clock() + datetime.timedelta(days=self._days(metadata.signed, Root.type))
        change(metadata.signed)
        if not self._publish_signed(metadata, Root.type):
            return False
        # What other keys signed is worth nothing any more, and new keys are how devices forget versions that were driven up.
        after = metadata.signed
        if any(
            before.roles[role].keyids != after.roles[role].keyids
            for role in (Targets.type, Snapshot.type, Timestamp.type)
        ):
            self.publish()
        return True

    def rotate(self, role, uri=None, public=None, replace=None):
        """A new key for a role, in place of one (the first, unless one is named)."""

        def change(root):
            old = self._key(root, role, replace) if replace else root.roles[role].keyids[0]
            root.add_key(self.new_key(role, uri, public), role)
            root.revoke_key(old, role)

        return self.change_root(change)

    def add_key(self, role, uri=None, public=None, threshold=None):
        def change(root):
            root.add_key(self.new_key(role, uri, public), role)
            if threshold:
                root.roles[role].threshold = threshold

        return self.change_root(change)

    def revoke(self, keyid):
        """Takes a key away from all roles that have enough others."""

        def change(root):
            full = self._key(root, None, keyid)
            for role in ROLES:
                if full in root.roles[role].keyids:
                    if len(root.roles[role].keyids) <= root.roles[role].threshold:
                        raise RepositoryProblem(
                            f"{role} would have fewer keys than its threshold of {root.roles[role].threshold}; "
                            f"replace the key: ota-repository rotate --replace {keyid} {self.folder} {role}"
                        )
                    root.revoke_key(full, role)

        return self.change_root(change)

    @staticmethod
    def _key(root, role, beginning):
        known = root.roles[role].keyids if role else root.keys
        found = [keyid for keyid in known if keyid.startswith(beginning)]
        if len(found) != 1:
            raise RepositoryProblem(
                f"expected the beginning of one key id, found '{beginning}', which {len(found)} keys begin with; "
                "see: ota-repository status"
            )
        return found[0]

    # ---- what devices would say --------------------------------------------------------------------------------------

    def verify(self, root=None, bundle_keys=()):
        """Judges what is published as a device does that begins with a root: python-tuf's own client, at the time of the clock. Returns
        (targets, the earliest end). Every file is compared with its hash; with keys, bundles are verified, too."""
        import tempfile

        with tempfile.TemporaryDirectory() as state:
            content = Path(root or self.folder / "root.json").read_bytes()
            try:
                updater = Updater(
                    state,
                    "file:///metadata/",
                    target_base_url="file:///targets/",
                    fetcher=_Folder(self.folder / "www"),
                    bootstrap=content,
                )
                updater._trusted_set.reference_time = self.clock()
                updater.refresh()
                trusted = updater._trusted_set
                ends = min(role.expires for role in trusted)
            except ExpiredMetadataError as e:
                raise Expired(f"{self.folder}: {e}; sign it again") from None
            except (UnsignedMetadataError, RepositoryError, DownloadError) as e:
                raise NotTrusted(f"{self.folder}: {e}") from None
        for name, target in trusted.targets.targets.items():
            place = self.targets / f"{target.hashes['sha256']}.{name}"
            if not place.exists() or place.stat().st_size != target.length or _sha256(place) != target.hashes["sha256"]:
                raise RepositoryProblem(
                    f"{place}: expected {target.length} bytes with the SHA-256 {target.hashes['sha256']}, found others"
                )
            if bundle_keys:
                with bundle.open_bundle(place) as opened:
                    opened.signed_by(bundle_keys)
                    opened.check_image()
                    manifest = {**opened.values(), MANIFEST: hashlib.sha256(opened.manifest).hexdigest()}
                for key in ("version", "compatible", MANIFEST):
                    if manifest[key] != target.custom[CUSTOM].get(key, manifest[key]):
                        raise RepositoryProblem(
                            f"{place}: expected {key} {target.custom[CUSTOM][key]} as published, found {manifest[key]}"
                        )
        return trusted.targets.targets, ends

    def status(self):
        """What there is of each role: version, end, keys, threshold, which of them are on this machine; what is drafted and waits."""
        root = self.root().signed
        roles = {}
        for role in ROLES:
            metadata = self.published(role)
            keys = root.roles[role].keyids
            roles[role] = {
                "version": metadata.signed.version if metadata else 0,
                "expires": metadata.signed.expires.strftime("%Y-%m-%dT%H:%M:%SZ") if metadata else "",
                "threshold": root.roles[role].threshold,
                "keys": keys,
                "here": [keyid for keyid in keys if self.signer(root.keys[keyid])],
            }
        return {
            "repository": root.unrecognized_fields.get(REPOSITORY_FIELD, ""),
            "roles": roles,
            "pending": sorted(path.stem for path in self.pending.glob("*.json")),
            "drafted": self.draft() != self.published_as_draft(),
        }

    def export(self, board, out, since=None, days=30):
        """Copies metadata, and the targets of a board, into a folder, for a stick; with a version, those that are newer, and of them what
        devices on that version lack. Its timestamp holds for some days, as sticks travel slowly; for that the key of the timestamp has to
        be here. Returns {target: [its bytes on the stick, the bytes of its bundle]}."""
        out = Path(out)
        targets, _ = self.verify()
        chosen = {
            name: target
            for name, target in targets.items()
            if target.custom[CUSTOM]["compatible"] == board
            and (since is None or bundle.version_key(target.custom[CUSTOM]["version"]) > bundle.version_key(since))
        }
        if not chosen:
            raise RepositoryProblem(
                f"expected targets for {board}{' newer than ' + since if since else ''}, found none"
            )
        metadata = out / "metadata"
        metadata.mkdir(parents=True, exist_ok=True)
        (out / "targets").mkdir(exist_ok=True)
        copied = {}
        for name, target in sorted(chosen.items()):
            source = self.targets / f"{target.hashes['sha256']}.{name}"
            copied[name] = [self._copied(source, target, board, out / "targets" / source.name, since), target.length]
        root, snapshot = self.root().signed, self.published(Snapshot.type).signed
        stick = self._body(Timestamp, Timestamp.type, root, snapshot_meta=MetaFile(snapshot.version))
        stick.signed.expires = self.clock() + datetime.timedelta(days=days)
        if self._sign(stick, Timestamp.type, [root]):
            raise RepositoryProblem("the stick's own timestamp needs the key of the role timestamp, which is not here")
        needed = [
            *(f"{version}.root.json" for version in self._numbered(Root.type)),
            f"{snapshot.version}.snapshot.json",
            f"{snapshot.meta['targets.json'].version}.targets.json",
        ]
        for name in needed:
            _replace(metadata / name, (self.metadata / name).read_bytes())
        # What is published gets a later number, or devices that saw the stick would refuse it; and the stick's timestamp comes last:
        # who looks at it meanwhile finds the old state, whole.
        made = self._body(Timestamp, Timestamp.type, root, snapshot_meta=MetaFile(snapshot.version))
        made.signed.version += 1
        self._sign(made, Timestamp.type, [root])
        self._write(made, Timestamp.type)
        _replace(metadata / "timestamp.json", stick.to_bytes())
        return copied

    def _copied(self, source, target, board, place, since):
        """Copies a target to its place, or what devices on a version lack of it; returns its bytes."""
        in_parts = place.with_name(place.name + parts.SUFFIX)
        if since is not None and MANIFEST in target.custom[CUSTOM]:
            try:
                size = parts.write(in_parts, source, self._bundle_of(board, since), since)
            except settle.Unsettled as e:
                raise RepositoryProblem(
                    f"what devices on {since} lack cannot be said, as of their file system {e}; export without --since"
                ) from None
            # Devices prefer it.
            place.unlink(missing_ok=True)
            return size
        in_parts.unlink(missing_ok=True)
        if not place.exists() or _sha256(place) != target.hashes["sha256"]:
            shutil.copyfile(source, place)
        return target.length

    def _bundle_of(self, board, version):
        """The bundle of a version, published, drafted or removed: its file is still there."""
        for place in sorted(self.targets.iterdir()):
            try:
                with bundle.open_bundle(place) as opened:
                    values = opened.values()
            except bundle.BundleError:
                continue
            if values["compatible"] == board and bundle.version_key(values["version"]) == bundle.version_key(version):
                return place
        raise RepositoryProblem(
            f"{self.targets}: expected the bundle of {board} {version}, to know what its devices have, found none; add it (and remove it "
            "again, if nobody shall get it), or export without --since"
        )


class _Folder(FetcherInterface):
    """python-tuf's client asks a folder in place of a server."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def _fetch(self, url):
        path = self.folder / url.removeprefix("file:///")
        if not path.exists():
            raise DownloadHTTPError(f"{path}: not found", 404)
        return iter([path.read_bytes()])
