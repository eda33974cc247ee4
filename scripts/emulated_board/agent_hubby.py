# SPDX-License-Identifier: MIT
"""The update agent of the emulated board when hubby brings the updates: nobody gives a command, the handler hears of all of it."""

from emulated_board import build, scenario
from emulated_board.agent_session import Running


class HubbyDemo:
    """What hubby delivers, from a download that breaks to a rollback."""

    # Case, the exit status of sysupgrade that refuses it.
    REFUSALS = (("tampered", 5), ("stranger", 6), ("foreign", 19), ("older", 20))
    BROUGHT = [("check-for-update-post", "OK"), ("download-post", "OK"), ("install-pre", "")]
    name = "hubby"
    # What a board of this source has beside its disk.
    network = True
    stick = None

    def __init__(self, screen, systems):
        self._screen, self._systems = screen, systems
        self._publisher = scenario.Publisher(build.BUILD / "publish-agent")
        self._disk = build.BUILD / "disk-agent-hubby.img"
        build.make_disk(
            self._disk, systems.flashed, {"ota_slot": "a", "ota_bootargs": f"board.url={self._publisher.address()}"}
        )
        self._log = build.BUILD / "logs/agent-hubby.console"
        self._log.parent.mkdir(exist_ok=True)
        self._log.unlink(missing_ok=True)
        self.messages = {}
        self.seconds_of_calls = []
        self.processor_of_check = None

    def attach(self, session):
        """Nothing has to be plugged in."""

    def close(self):
        self._publisher.close()

    def run(self):
        with self._session() as session:
            self._commands(session)
            self._screen.step("The power fails while hubby downloads version 2.0")
            self._publish("2.0", "good")
            session.board.wait(r"update offered: version=2\.0", 60)
            session.board.power_cut()
        with self._session() as session:
            self._good_update(session)
            self._refusals(session)
            self._rollback(session)

    def _session(self):
        return Running(self._screen, self._disk, self, self._log)

    def _publish(self, version, case):
        self._screen.line("cloud", f"{case}: version {version}")
        self._publisher.publish(version, self._systems.bundles[case])

    def _commands(self, session):
        self._screen.step("Version 1.0 in slot a: there is no source to be asked")
        for command in ("check", "pull", "install"):
            session.run(f"otamgr {command}", 4)

    def _good_update(self, session):
        self._screen.step("Power on: hubby downloads again, otamgr installs and reboots")
        session.board.wait("OTA: trial of slot b", 600, fail="ota_upgrade_failed|NO BOOTABLE SLOT")
        session.shell()
        session.run("otamgr run", 0, seconds=300)
        self.messages["good update"] = session.told(
            "good update",
            0,
            [*self.BROUGHT, ("install-post", "NEEDS_COMPLETION"), ("install-final-pre", ""), ("install-post", "OK")],
        )
        for command in ("status", "list"):
            self.seconds_of_calls.append(session.seconds_of(f"otamgr {command}"))

    def _refusals(self, session):
        self._screen.step("Version 2.0 in slot b: what must not be installed is refused, and nothing changes")
        before = session.environment()
        for case, status in self.REFUSALS:
            self._refused(session, case, rf"ota_upgrade_failed:.*exit={status},")
        self.messages["failed install"] = self._refused(
            session, "empty", "ota_upgrade_failed:.*the new system has no /sbin/init"
        )
        session.expect_unchanged(before)

    def _refused(self, session, case, line):
        first = len(session.lines)
        self._publish(f"3-{case}", case)
        session.board.wait_all([line, "callback:message=install-post,.*result=FAILED"], 180)
        return session.told(case, first, [*self.BROUGHT, ("install-post", "FAILED: …")])

    def _rollback(self, session):
        self._screen.step("An update that is never healthy is rolled back")
        first = len(session.lines)
        self._publish("3.0", "unhealthy")
        session.board.wait("OTA: trial of slot a", 600, fail="ota_upgrade_failed|NO BOOTABLE SLOT")
        self._publisher.withdraw()
        session.board.wait("OTA: booting slot b", 600)
        session.shell()
        session.run("otamgr run", 110, seconds=120)
        self.messages["rollback"] = session.told_of_rollback(
            first, [*self.BROUGHT, ("install-post", "NEEDS_COMPLETION")]
        )
        session.run("otamgr why", 4)
