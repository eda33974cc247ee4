# SPDX-License-Identifier: MIT
"""The emulated board in QEMU: Debian's U-Boot for arm64, one virtio disk, the serial console as a stream of lines."""

import argparse
import datetime
import os
import queue
import re
import subprocess
import threading
import time

UBOOT = "/usr/lib/u-boot/qemu_arm64/u-boot.bin"
# The board, and its 32-bit brother with Debian's U-Boot for it.
BOARD = ("qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a53")
ARM_BOARD = ("qemu-system-arm", "-M", "virt,highmem=off", "-cpu", "cortex-a15")
ARM_UBOOT = "/usr/lib/u-boot/qemu_arm/u-boot.bin"


def emulator(uboot, board=BOARD):
    """The words that start a board with this U-Boot."""
    return (*board, "-bios", str(uboot))


EMULATOR = emulator(UBOOT)
# Colour and cursor codes that U-Boot and the shell send to a terminal.
_TERMINAL_CODES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[78]")


CLOCK_HELP = "what the board's clock shows when it is switched on, in UTC, such as 2038-01-19T03:14:06; else the time"


def clock(text):
    """A time as QEMU takes it, of an option's text."""
    try:
        return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").isoformat()
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a time such as 2038-01-19T03:14:06, found {text}") from None


class Timeout(Exception):
    pass


class Console:
    """The lines that a board says, one after the other, to whoever waits for one."""

    def __init__(self, on_line=None):
        self._on_line = on_line or (lambda line: None)
        self._lines = queue.Queue()

    def _said(self, raw):
        line = _TERMINAL_CODES.sub(b"", raw).decode(errors="replace").strip("\r")
        # A line that was overwritten in place shows its last text.
        line = line.rsplit("\r", 1)[-1]
        self._on_line(line)
        self._lines.put(line)

    def _silent(self):
        """Nothing more will come."""
        self._lines.put(None)

    def wait(self, pattern, seconds, fail=None):
        """The match of the first line from here on that fits. A line that fits `fail` ends the waiting with an error."""
        return self.wait_all([pattern], seconds, fail)[0]

    def wait_all(self, patterns, seconds, fail=None):
        """The matches of the first lines that fit, one for each pattern, in whatever order the lines come."""
        found = dict.fromkeys(patterns)
        deadline = time.monotonic() + seconds
        while missing := [pattern for pattern, match in found.items() if match is None]:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise Timeout(f"expected a line like {missing[0]!r} within {seconds} s, the console had none") from None
            if line is None:
                raise Timeout(f"expected a line like {missing[0]!r}, the board was switched off before it")
            if fail and re.search(fail, line):
                raise RuntimeError(f"expected a line like {missing[0]!r}, found {line!r}")
            for pattern in missing:
                found[pattern] = re.search(pattern, line)
        return [found[pattern] for pattern in patterns]


class Machine(Console):
    """One run of the board, from power on until stop or power cut."""

    def __init__(
        self,
        disk,
        log,
        on_line=None,
        network=False,
        memory_mib=1024,
        cpus=2,
        write_protected=False,
        skip_autoboot_delay=False,
        write_log=None,
        emulator=EMULATOR,
        mmc=False,
        failing_writes=False,
        devices=(),
        stick=None,
        ssh_port=None,
        card=None,
        rom_card=False,
        clock=None,
    ):
        """With `mmc` the disk is an SD card, or what mmc says, with `card` (an emmc.Card, which says how it is emulated) an eMMC, with `rom_card` the card that the ROM
        of the emulated board reads, else on virtio. Failing writes end in an error, of which an SD card tells nothing. A stick is a second disk, as a
        USB stick is one; it appears as /dev/vdb. A board with network can have its SSH server at a port of 127.0.0.1. Its real-time clock
        starts at `clock` (UTC, such as 2038-01-19T03:14:06), else it has this machine's time."""
        super().__init__(on_line)
        words = ["-accel", "tcg,thread=multi", "-smp", str(cpus), "-m", str(memory_mib), "-nographic"]
        attached = "sd" if rom_card else "none,id=disk"
        if not card and not rom_card:
            words += (
                ["-device", "sdhci-pci", "-device", f"{'sd-card' if mmc is True else mmc},drive=disk"]
                if mmc
                else ["-device", "virtio-blk-pci,drive=disk"]
            )
        if clock:
            words += ["-rtc", f"base={clock}"]
        for device in devices:
            words += ["-device", device]
        if write_log:
            # The log must exist; every write and flush of the disk is appended to it.
            open(write_log, "wb").close()
            logged = f"driver=blklogwrites,file.driver=file,file.filename={disk},log.driver=file,log.filename={write_log},log-sector-size=512"
            words += ["-drive", f"if=sd,{logged}"] if rom_card else ["-blockdev", f"node-name=disk,{logged}"]
        elif failing_writes:
            words += [
                "-blockdev",
                f"driver=blkdebug,node-name=disk,image.driver=file,image.filename={disk},inject-error.0.event=none,"
                "inject-error.0.iotype=write,inject-error.0.errno=5",
            ]
        else:
            words += [
                "-drive",
                f"if={attached},file={disk},format=raw,cache=writeback,readonly={'on' if write_protected else 'off'}",
            ]
        if stick:
            words += [
                "-drive",
                f"if=none,id=stick,file={stick},format=raw,readonly=on",
                "-device",
                "virtio-blk-pci,drive=stick",
            ]
        forwarded = f",hostfwd=tcp:127.0.0.1:{ssh_port}-:22" if ssh_port else ""
        words += (
            ["-netdev", f"user,id=net{forwarded}", "-device", "virtio-net-pci,netdev=net,romfile="]
            if network
            else ["-nic", "none"]
        )
        self._log = open(log, "ab")
        self._skip_autoboot_delay = skip_autoboot_delay
        self._emulator, self._words, self._card = emulator, words, card
        self._power, self._is_off = threading.Lock(), False
        self.started = time.monotonic()
        self._process = self._powered()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _powered(self):
        words = [*self._card.powered(), *self._words] if self._card else [*self._emulator, *self._words]
        return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def _read(self):
        self._read_to_its_end()
        # With an eMMC QEMU ends when the board resets: what the chip was told is known then, and its ROM decides again.
        while self._card and self._powered_again():
            self._read_to_its_end()
        self._silent()

    def _powered_again(self):
        with self._power:
            if self._is_off:
                return False
            status = self._process.wait()
            if status != 0:
                return False
            self._process.stdin.close()
            self._process.stdout.close()
            # The log of writes goes on, and has its own size of sectors.
            self._words = [word.replace(",log-sector-size=512", ",log-append=on") for word in self._words]
            self._process = self._powered()
        return True

    def _stays_off(self):
        with self._power:
            self._is_off = True

    def _read_to_its_end(self):
        pending = b""
        while block := os.read(self._process.stdout.fileno(), 65536):
            self._log.write(block)
            self._log.flush()
            *lines, pending = (pending + block).split(b"\n")
            for raw in lines:
                self._said(raw)
            if self._skip_autoboot_delay and b"to stop autoboot" in pending:
                # The first key stops the countdown, the rest does what U-Boot would have done after it.
                self._process.stdin.write(b"\nrun bootcmd\n")
                self._process.stdin.flush()
                pending = b""

    def type(self, text):
        """Types on the console, where a shell reads."""
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()

    def switch_off(self):
        """Ends QEMU in order, so that a write log is complete; for the board it is a power cut all the same."""
        self._stays_off()
        self._process.stdin.write(b"\x01x")
        self._process.stdin.flush()
        self.wait_off(30)

    def power_cut(self):
        self._stays_off()
        self._process.kill()
        self._finish()

    def wait_off(self, seconds):
        self._stays_off()
        self._process.wait(seconds)
        self._finish()

    def _finish(self):
        self._process.wait()
        self._reader.join()
        self._process.stdin.close()
        self._process.stdout.close()
        self._log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self._log.closed:
            self.power_cut()


class Board(Machine):
    """A machine with network whose system's commands are typed on its serial console."""

    def __init__(self, disk, log, on_line=None, **options):
        self._watched = on_line or (lambda line: None)
        self._answer = None
        self._collected = []
        self._answered = threading.Event()
        self._questions = 0
        super().__init__(disk, log, on_line=self._listen, network=True, skip_autoboot_delay=True, **options)

    def _listen(self, line):
        self._watched(line)
        if self._answer and (match := re.search(rf"{self._answer} (\d+)$", line)):
            self._status = int(match[1])
            self._answered.set()
        elif self._answer and line.startswith("| "):
            self._collected.append(line[2:])

    def shell(self, command, seconds=120):
        """Runs a command line in the running system; (exit status, output)."""
        self._questions += 1
        self._collected, self._answer = [], f"answer-{self._questions}"
        self._answered.clear()
        # Each line of the answer is marked, because services log to the same console. What is typed is echoed, hence the sum.
        self._process.stdin.write(
            f"\n{{ {command}; }} > /tmp/answer 2>&1; s=$?; sed 's/^/| /' /tmp/answer; echo answer-$((0+{self._questions})) $s\n".encode()
        )
        self._process.stdin.flush()
        if not self._answered.wait(seconds):
            raise Timeout(f"expected an answer to {command!r} within {seconds} s, the console had none")
        self._answer = None
        return self._status, "".join(f"{line}\n" for line in self._collected)
