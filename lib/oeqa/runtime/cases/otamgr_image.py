# SPDX-License-Identifier: MIT
"""An image with this layer, on a device or in QEMU: it runs as promised, updates itself, and rolls back from a bad update.

For local.conf:

    IMAGE_CLASSES += "testimage"
    IMAGE_FEATURES:append = " ssh-server-dropbear"
    IMAGE_INSTALL:append = " otamgr-simulators"
    TEST_SUITES = "ping ssh otamgr_image"

The update is the image's own hub_update.bin, or the file that OTA_TEST_UPDATE names. otamgr-simulators stand in for attrd and hubby;
without that package the updates are skipped.
"""

import hashlib
import os
import tempfile
import time

from oeqa.core.decorator.depends import OETestDepends
from oeqa.runtime.case import OERuntimeTestCase
from oeqa.runtime.decorator.package import OEHasPackage

# Emulated machines are slow: writing a slot, two boots, and the commit deadline of otamgr.json.
UPDATE_SECONDS = 1200
ROLLBACK_SECONDS = 2400


class OtamgrTest(OERuntimeTestCase):
    # Puts the process id of the daemon into a variable of the shell.
    DAEMON = "pid=$(cat /var/run/otamgr.pid 2>/dev/null || systemctl show -p MainPID --value otamgr)"

    def on_device(self, command):
        """Runs a command that must succeed; returns what it prints."""
        status, output = self.target.run(command)
        self.assertEqual(status, 0, f"{command}\n{output}")
        return output

    def slots(self):
        """The boot state as ota-slot says it."""
        return dict(line.split("=", 1) for line in self.on_device("ota-slot status").splitlines() if "=" in line)

    def boots_until(self, reached, seconds, what):
        """Waits through any number of reboots until `reached` says so; it gets no answer from a device that is starting."""
        deadline = time.monotonic() + seconds
        said = ""
        while time.monotonic() < deadline:
            try:
                status, said = self.target.run("ota-slot status && tail -n 20 /data/otamgr/journal", 30)
                if status == 0 and reached(said):
                    return said
            except AssertionError:
                # No connection is what a reboot looks like.
                pass
            time.sleep(5)
        self.fail("expected %s within %d s, the device last said:\n%s" % (what, seconds, said))

    def publish(self, version):
        """Offers the update to the simulated hubby; returns the hash of its header."""
        image = self.td.get("OTA_TEST_UPDATE") or os.path.join(self.td["DEPLOY_DIR_IMAGE"], self.td["OTA_UPDATE_NAME"])
        image = os.path.realpath(image)
        self.assertTrue(os.path.exists(image), f"{image} is missing: build the image, or set OTA_TEST_UPDATE")
        digest = hashlib.sha256()
        with open(image, "rb") as f:
            for block in iter(lambda: f.read(1 << 20), b""):
                digest.update(block)
        header = (f"test header\nversion={version}\nat={time.time():f}\n").encode()
        description = (
            f"version={version}\nimage=update.img\nheader=update.hdr\n"
            f"imageSha256={digest.hexdigest()}\nheaderSha256={hashlib.sha256(header).hexdigest()}\n"
        )
        self.on_device("mkdir -p /tmp/updates")
        self.target.copyTo(image, "/tmp/updates/update.img")
        for content, name in ((header, "update.hdr"), (description.encode(), "update.part")):
            with tempfile.NamedTemporaryFile() as f:
                f.write(content)
                f.flush()
                self.target.copyTo(f.name, f"/tmp/updates/{name}")
        # As the last step, and at once: hubby looks for this name.
        self.on_device("mv /tmp/updates/update.part /tmp/updates/update.properties")
        return hashlib.sha256(header).hexdigest()

    def header_in_etc(self):
        return self.on_device("sha256sum /etc/ota_type_5.hdr 2>/dev/null || echo none").split()[0]

    @OETestDepends(["ssh.SSHTest.test_ssh"])
    @OEHasPackage(["otamgr"])
    def test_the_committed_slot_runs_and_no_trial_is_pending(self):
        slots = self.slots()
        self.assertEqual(slots["running"], slots["committed"], slots)
        self.assertIn(slots.get("trial", ""), ("", "none"), slots)

    @OETestDepends(["ssh.SSHTest.test_ssh"])
    @OEHasPackage(["otamgr"])
    def test_data_is_a_partition_of_its_own(self):
        self.on_device("mountpoint -q /data && test -d /afero_nv/.")

    @OETestDepends(["ssh.SSHTest.test_ssh"])
    @OEHasPackage(["otamgr"])
    def test_the_daemon_runs(self):
        self.on_device(
            self.DAEMON + " && tr '\\0' '\\n' </proc/$pid/cmdline | grep -x org.metaotamgr.daemon.OtamgrMain"
        )

    @OETestDepends(["otamgr_image.OtamgrTest.test_the_daemon_runs"])
    @OEHasPackage(["otamgr"])
    def test_the_daemon_uses_the_archive_of_classes(self):
        # Built without OTAMGR_CLASS_ARCHIVE, or with another Java runtime.
        if self.target.run("test -e /usr/lib/otamgr/otamgr.jsa")[0] != 0:
            self.skipTest("the image has no CDS archive")
        self.on_device(self.DAEMON + " && grep /usr/lib/otamgr/otamgr.jsa /proc/$pid/maps")

    @OETestDepends(["ssh.SSHTest.test_ssh"])
    @OEHasPackage(["sysupgrade"])
    def test_ota_doctor_finds_no_problem(self):
        status, output = self.target.run("ota-doctor")
        # 1: warnings, such as a program for an image format that is not used.
        self.assertIn(status, (0, 1), output)

    @OETestDepends(["otamgr_image.OtamgrTest.test_the_committed_slot_runs_and_no_trial_is_pending"])
    @OEHasPackage(["otamgr-simulators"])
    def test_update_boots_the_other_slot_and_is_committed(self):
        before = self.slots()
        header = self.publish("1000.1")
        target = "b" if before["committed"] == "a" else "a"
        self.boots_until(
            lambda said: f"committed={target}" in said.split() and f"running={target}" in said.split(),
            UPDATE_SECONDS,
            f"slot {target} running and committed",
        )
        self.assertEqual(header, self.header_in_etc())

    @OETestDepends(["otamgr_image.OtamgrTest.test_update_boots_the_other_slot_and_is_committed"])
    @OEHasPackage(["otamgr-simulators"])
    def test_update_that_is_never_healthy_is_rolled_back_and_not_installed_again(self):
        before, header = self.slots(), self.header_in_etc()
        # The update keeps a health check that fails there; in the committed system no check runs.
        check, keep = "/etc/otamgr/health.d/99-never", "/lib/upgrade/keep.d/test"
        self.on_device(
            "mkdir -p /etc/otamgr/health.d && "
            f"printf '#!/bin/sh\\necho never\\nexit 1\\n' > {check} && chmod 755 {check} && echo {check} > {keep}"
        )
        self.addCleanup(self.target.run, f"rm -f {check} {keep}")
        self.publish("1000.2")
        said = self.boots_until(
            lambda said: (
                "running={}".format(before["committed"]) in said.split()
                and "health-failed" in said.split("rolled-back")[0]
                and "rolled-back" in said
            ),
            ROLLBACK_SECONDS,
            "a rollback in the journal",
        )
        self.assertIn("check=99-never", said)
        self.assertEqual(before["committed"], self.slots()["committed"])
        self.assertEqual(header, self.header_in_etc())
