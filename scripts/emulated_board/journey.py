# SPDX-License-Identifier: MIT
"""scripts/journey: from an OTA record to the new version installed, with the host tools, the simulated service and the emulated board."""

import argparse
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import threading

from emulated_board import build, layer, machine, scenario, show
from otamgr import options

FOLDER = build.BUILD / "journey"
DEVICE = "board-1"
BUILD_NUMBER = "2"


class Service:
    """The simulated OTA service, as its users start it."""

    def __init__(self, screen):
        self._process = subprocess.Popen(
            [layer.ROOT / "scripts/ota-service", "--folder", FOLDER / "ota-service", "--port", "0", "--device", DEVICE],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.address = None
        for line in self._process.stdout:
            screen.line("service", line.rstrip())
            if match := re.match(r"service\s+(http\S+)", line):
                self.address = match[1]
            if line.startswith("devices"):
                break
        if self.address is None:
            raise RuntimeError("expected the service to print its address, it ended instead")
        threading.Thread(target=self._log, args=(screen,), daemon=True).start()
        # With 10.0.2.2 the board reaches this host's loopback.
        self.address_for_board = re.sub(r"//[^:]+:", "//10.0.2.2:", self.address)

    def _log(self, screen):
        for line in self._process.stdout:
            screen.line("service", line.rstrip())

    def close(self):
        self._process.terminate()
        self._process.wait()


def ota(service, screen, *words):
    """Runs the ota command, as a person would; returns what it answers in JSON."""
    screen.line("host", f"$ ota {' '.join(words)}")
    done = subprocess.run(
        [layer.ROOT / "scripts/ota", *words, "--json"],
        cwd=FOLDER,
        env={**os.environ, "OTA_SERVICE_URL": service.address},
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(f"ota {words[0]} ended with status {done.returncode}")
    screen.line("host", re.sub(r"\s+", " ", done.stdout.strip())[:300])
    return json.loads(done.stdout)


def journey(screen):
    screen.step("Start the service")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    service = Service(screen)
    try:
        shutil.copy(FOLDER / "ota-service/partner-ota-conf.json", FOLDER)
        key = (FOLDER / "ota-service/signing-key-public.pem").read_text()

        screen.step("Create the record of build 2, before the image is built")
        ota(service, screen, "record", "create", "-n", BUILD_NUMBER, "-s")
        record = (FOLDER / "full_ota_record.json").read_text()
        version = json.loads(record)["version"]

        screen.step(f"Build the board with version 1.0, and the image of version {version} with its record in /etc")
        board_build = scenario.Builder(screen)
        old = board_build.rootfs("1.0", "rootfs-journey-old", service_key=key, flashed=True)
        new = board_build.rootfs(version, "rootfs-journey-new", record=record, service_key=key)
        shutil.copy(board_build.image("hub_update-journey", new), FOLDER / "hub_update.bin")
        disk = build.BUILD / "disk-journey.img"
        build.make_disk(
            disk,
            old,
            {"ota_slot": "a", "ota_bootargs": f"board.service={service.address_for_board} board.device={DEVICE}"},
        )

        screen.step("Upload the image")
        image = ota(service, screen, "image", "upload", "-n", BUILD_NUMBER, "-s")

        screen.step("Switch the board on, in slot a")
        log = build.BUILD / "logs" / "journey.console"
        log.parent.mkdir(exist_ok=True)
        log.unlink(missing_ok=True)
        with machine.Machine(disk, log, on_line=functools.partial(scenario.show_line, screen), network=True) as board:
            before = board.wait(scenario.BOOTED, scenario.BOOT, fail=scenario.DANGER)
            board.wait("told the service: version=1.0,slot=a", scenario.COMMIT)
            screen.step("Deploy")
            started = screen.seconds()
            ota(service, screen, "deploy", "-i", str(image["imageId"]), "-d", DEVICE)
            board.wait("OTA: trial of slot b", scenario.UPDATE, fail="ota_upgrade_failed|ota_refused|NO BOOTABLE SLOT")
            after, _, _ = board.wait_all(
                [scenario.BOOTED, "slot_committed:slot=b", f"told the service: version={re.escape(version)},slot=b"],
                scenario.COMMIT,
            )
            seconds = screen.seconds() - started
        status = ota(service, screen, "status", "-n", BUILD_NUMBER, "-d", DEVICE)
    finally:
        service.close()

    device = status["devices"][0]
    problems = []
    if (after[1], after[2]) != ("b", version):
        problems.append(f"expected version {version} in slot b, found {after[2]} in slot {after[1]}")
    if device.get("version") != version:
        problems.append(f"expected the service to know {version} as installed, found {device}")
    screen.table(
        [
            ("slot before → after", f"{before[1]} → {after[1]}"),
            ("version before → after", f"{before[2]} → {after[2]}"),
            ("image on the service", image["imageId"]),
            (
                "the service says",
                f"{device['deviceId']} runs {device.get('version')}, version number {device.get('versionNumber')}",
            ),
            ("deploy to committed", f"{seconds:.0f} s"),
            ("whole journey", f"{screen.seconds():.0f} s"),
        ]
    )
    return problems


def main():
    options.Parser(
        formatter_class=argparse.HelpFormatter,
        prog="scripts/journey",
        description="Creates an OTA record, builds an image with it, uploads it to the simulated OTA service, deploys it to the emulated board and "
        "waits until the board runs it, has committed it, and the service knows.",
        epilog="Example: scripts/journey. Exit status: 0 the new version is installed everywhere, 1 it is not, 2 usage",
    ).parse_args()
    screen = show.Show()
    try:
        problems = journey(screen)
    except (machine.Timeout, RuntimeError) as problem:
        screen.line("FAILED", str(problem))
        return 1
    for problem in problems:
        print(f"  NOT AS PROMISED: {problem}")
    if not problems:
        print("  Installed: the board and the service agree.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
