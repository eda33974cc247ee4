// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(60)
class PollingLoopTest {
    @TempDir
    private Path folder;

    private TestDevice device;
    private final ScriptedSource source = new ScriptedSource();
    private LocalDateTime now = LocalDateTime.of(2026, 3, 2, 12, 0);
    private final List<Long> pauses = new ArrayList<>();
    private final List<String> told = new ArrayList<>();
    private final List<Optional<LocalDateTime>> expected = new ArrayList<>();
    private Agent agent;
    private double random = 0.5;
    /** Drawn first; noon is one. */
    private double place;

    private boolean mayTake = true;

    @BeforeEach
    void aDevice() throws Exception {
        device = new TestDevice(folder);
    }

    private PollingLoop loop(Polling polling) throws Exception {
        agent = new Agent(source, device.open());
        Iterator<Double> first = List.of(place).iterator();
        return new PollingLoop(
                agent,
                polling,
                new PollingLoop.Time() {
                    @Override
                    public LocalDateTime now() {
                        return now;
                    }

                    @Override
                    public void pause(Duration time) throws InterruptedException {
                        pauses.add(time.toSeconds());
                        now = now.plus(time);
                        expected.add(agent.nextCheck().filter(when -> when.equals(now)));
                        if (pauses.size() > 20) {
                            throw new InterruptedException("long enough");
                        }
                    }
                },
                new MeteredLink(polling.meteredInterfaces(), folder),
                () -> first.hasNext() ? first.next() : random,
                new PollingLoop.Listener() {
                    @Override
                    public void answered() {
                        told.add("answered");
                    }

                    @Override
                    public void armed(Result result) {
                        told.add("armed");
                    }

                    @Override
                    public boolean mayTake() {
                        return mayTake;
                    }
                },
                device.eventLog());
    }

    private static Polling polling(Polling.Automatic automatic, String... windows) {
        return new Polling(
                automatic,
                Duration.ofSeconds(300),
                10,
                Duration.ofSeconds(30),
                Duration.ofSeconds(100),
                java.util.Arrays.stream(windows)
                        .map(text -> Window.parse(text).orElseThrow())
                        .toList(),
                false,
                List.of("wwan"),
                5);
    }

    @Test
    void whenTheSourceIsAskedAgainIsKnownDuringEachPause() throws Exception {
        assertThrows(InterruptedException.class, () -> loop(polling(Polling.Automatic.CHECK))
                .run());
        assertEquals(21, expected.size());
        assertTrue(expected.stream().allMatch(Optional::isPresent), expected.toString());
        expected.clear();
        loop(polling(Polling.Automatic.OFF)).run();
        assertEquals(Optional.empty(), agent.nextCheck());
    }

    @Test
    void whatIsOfferedIsPulledInstalledAndTheLoopEnds() throws Exception {
        source.offers.add(ScriptedSource.target("2.0"));
        loop(new Polling(
                        Polling.Automatic.INSTALL,
                        Duration.ofSeconds(300),
                        0,
                        Duration.ofSeconds(30),
                        Duration.ofSeconds(100),
                        List.of(),
                        false,
                        List.of(),
                        0))
                .run();
        assertEquals(List.of("answered", "armed"), told);
        assertEquals(List.of(0L), pauses);
    }

    @Test
    void whatLacksBlocksIsPulledAgainAtOnceButNotForEver() throws Exception {
        source.offers.add(ScriptedSource.target("2.0"));
        Path fails = Files.writeString(folder.resolve("sysupgrade-fails"), "22");
        assertEquals(300, loop(polling(Polling.Automatic.INSTALL)).round().toSeconds());
        assertEquals(5, source.pulls);
        Files.delete(fails);
        loop(polling(Polling.Automatic.INSTALL)).round();
        assertEquals(6, source.pulls);
        assertEquals(List.of("answered", "answered", "armed"), told);
    }

    @Test
    void checksKeepTheirPlaceInTheIntervalWhateverIsDrawnLater() throws Exception {
        place = 0.5;
        PollingLoop loop = loop(polling(Polling.Automatic.INSTALL));
        assertEquals(150, loop.round().toSeconds());
        random = 0;
        now = now.plusSeconds(150);
        assertEquals(300, loop.round().toSeconds());
        // A pull took ten seconds, a timer is early by five, and somebody has set the clock.
        now = now.plusSeconds(310);
        assertEquals(290, loop.round().toSeconds());
        now = now.plusSeconds(285);
        assertEquals(305, loop.round().toSeconds());
        now = now.minusYears(56).plusSeconds(5 + 200);
        assertEquals(100, loop.round().toSeconds());
    }

    @Test
    void theLongestWaitIsAnIntervalAndATenth() {
        Rhythm rhythm = new Rhythm(polling(Polling.Automatic.CHECK), () -> 0.3, () -> now);
        for (int second = 0; second < 300; second++) {
            now = now.plusSeconds(1);
            long wait = rhythm.usual(Optional.empty()).toSeconds();
            assertTrue(wait >= 30 && wait <= 330, second + ": " + wait);
            long asked = rhythm.usual(Optional.of(Duration.ofHours(2))).toSeconds();
            assertTrue(asked >= 720 && asked <= 7920, second + ": " + asked);
        }
    }

    @Test
    void whoWasSwitchedOnTogetherDoesNotAskTogether() throws Exception {
        assertEquals(List.of(75L, 300L, 300L), pausesAtTheStart(0.25));
        assertEquals(List.of(0L, 300L, 300L), pausesAtTheStart(0));
        assertEquals(List.of(297L, 300L, 300L), pausesAtTheStart(0.99));
    }

    @Test
    void whoPlugsAStickInDoesNotWaitForAWholeInterval() throws Exception {
        source.isRemote = false;
        assertEquals(List.of(29L, 267L, 300L), pausesAtTheStart(0.99));
    }

    @Test
    void aTrialIsNotKeptWaiting() throws Exception {
        mayTake = false;
        assertEquals(List.of(29L, 267L, 300L), pausesAtTheStart(0.99));
    }

    @Test
    void whatASourceWaitsToHearIsToldSoonAfterTheStart() throws Exception {
        Agent agent = new Agent(source, device.open());
        source.offers.add(ScriptedSource.target("2.0"));
        agent.pull(ScriptedSource.target("2.0"), bytes -> {});
        agent.install(ScriptedSource.target("2.0"), line -> {});
        assertEquals(29L, pausesAtTheStart(0.99).get(0));
    }

    private List<Long> pausesAtTheStart(double drawn) throws Exception {
        random = drawn;
        place = drawn;
        now = LocalDateTime.of(2026, 3, 2, 12, 0);
        pauses.clear();
        assertThrows(InterruptedException.class, () -> loop(polling(Polling.Automatic.CHECK))
                .run());
        return List.copyOf(pauses.subList(0, 3));
    }

    @Test
    void failuresDoubleTheWaitAndSuccessStartsItAnew() throws Exception {
        PollingLoop loop = loop(polling(Polling.Automatic.INSTALL));
        source.checkFails = Optional.of(new SourceException(SourceException.Reason.FETCH_FAILED, "x"));
        assertEquals(
                List.of(30L, 60L, 100L),
                List.of(
                        loop.round().toSeconds(),
                        loop.round().toSeconds(),
                        loop.round().toSeconds()));
        source.checkFails = Optional.of(
                new SourceException(SourceException.Reason.FETCH_FAILED, "x", Optional.of(Duration.ofSeconds(900))));
        assertEquals(900, loop.round().toSeconds(), "the server said when to come back");
        assertEquals(List.of(), told, "a source that fails has not answered");
        source.checkFails = Optional.empty();
        loop.round();
        source.checkFails = Optional.of(new SourceException(SourceException.Reason.FETCH_FAILED, "x"));
        assertEquals(30, loop.round().toSeconds());
        source.checkFails = Optional.of(new SourceException(SourceException.Reason.EXPIRED, "x"));
        assertEquals(300, loop.round().toSeconds(), "trying again soon would not help");
    }

    @Test
    void outsideOfTheWindowItIsPulledButNotInstalled() throws Exception {
        source.offers.add(ScriptedSource.target("2.0"));
        PollingLoop loop = loop(polling(Polling.Automatic.INSTALL, "12:03-12:10"));
        assertEquals(180, loop.round().toSeconds());
        assertEquals(1, source.pulls);
        assertEquals(List.of(), device.sysupgradeRuns());
        now = now.plusMinutes(3);
        loop.round();
        assertEquals(1, device.sysupgradeRuns().size());
    }

    @ParameterizedTest
    @ValueSource(strings = {"CHECK", "PULL"})
    void itGoesNoFurtherThanItMay(Polling.Automatic automatic) throws Exception {
        source.offers.add(ScriptedSource.target("2.0"));
        loop(polling(automatic)).round();
        assertEquals(automatic == Polling.Automatic.PULL ? 1 : 0, source.pulls);
        assertEquals(List.of(), device.sysupgradeRuns());
    }

    @Test
    void aLinkThatCostsMoneyIsNotUsedForLargeUpdates() throws Exception {
        source.offers.add(ScriptedSource.target("2.0"));
        PollingLoop loop = loop(polling(Polling.Automatic.PULL));
        route("wwan0\t00000000\t0102A8C0\t0003\t0\t0\t700\t00000000\t0\t0\t0");
        loop.round();
        assertEquals(0, source.pulls);
        route(
                "wwan0\t00000000\t0102A8C0\t0003\t0\t0\t700\t00000000\t0\t0\t0",
                "eth0\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0");
        loop.round();
        assertEquals(1, source.pulls);
    }

    @Test
    void ofWhatIsPulledInPartsOnlyTheNeededBytesCountOnALinkThatCostsMoney() throws Exception {
        source.offers.add(ScriptedSource.target("2.0"));
        route("wwan0\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0");
        source.needs = Optional.of(6L);
        assertEquals(300, loop(polling(Polling.Automatic.PULL)).round().toSeconds());
        assertTrue(device.log.toString().contains("6 bytes are more than the 0 MB"), device.log.toString());
        source.needs = Optional.of(5L);
        told.clear();
        loop(polling(Polling.Automatic.INSTALL)).round();
        assertEquals(List.of("answered", "armed"), told);
    }

    private void route(String... lines) throws Exception {
        Files.write(
                folder.resolve("route"),
                List.of(
                        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT",
                        String.join("\n", lines)));
    }

    @Test
    void ipv6RoutesAreKnownToo() throws Exception {
        MeteredLink link = new MeteredLink(List.of("wwan"), folder);
        assertFalse(link.isMetered(), "no network at all");
        String zeros = "0".repeat(32);
        Files.writeString(
                folder.resolve("ipv6_route"),
                zeros + " 00 " + zeros + " 00 " + zeros
                        + " ffffffff 00000001 00000000 00200200       lo\n" + zeros + " 00 " + zeros + " 00 "
                        + "fe800000000000000000000000000001 00000400 00000001 00000000 00000003    wwan0\n");
        assertTrue(link.isMetered());
    }

    @Test
    void aVetoWaitsAsLongAsItIsConfigured() throws Exception {
        device.handler("exit 75");
        device.puts(75);
        assertEquals(30, loop(polling(Polling.Automatic.INSTALL)).round().toSeconds());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "02:00-04:00|2026-03-02T01:59|false",
                "02:00-04:00|2026-03-02T02:00|true",
                "02:00-04:00|2026-03-02T04:00|false",
                "22:00-03:00|2026-03-02T23:00|true",
                "22:00-03:00|2026-03-02T02:59|true",
                "22:00-03:00|2026-03-02T03:00|false",
                "sat,sun 00:00-24:00|2026-03-01T23:59|true",
                "sat,sun 00:00-24:00|2026-03-02T00:00|false",
                "sun 22:00-03:00|2026-03-02T02:00|true",
                "mon 22:00-03:00|2026-03-02T02:00|false",
                "fri-mon 00:00-24:00|2026-03-02T10:00|true",
                "00:00-24:00|1970-01-01T00:10|false"
            })
    void windows(String window, LocalDateTime at, boolean isOpen) {
        assertEquals(isOpen, Window.parse(window).orElseThrow().isOpen(at));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "2:00-4:00",
                "02:00",
                "25:00-26:00",
                "02:00-02:00",
                "xyz 02:00-03:00",
                "mon- 02:00-03:00",
                "02:00-24:01"
            })
    void whatIsNoWindow(String text) {
        assertEquals(Optional.empty(), Window.parse(text));
    }

    @Test
    void aPullThatBringsSomethingElseIsTriedAgainWithBackOff() throws Exception {
        source.offers.add(ScriptedSource.target("2.0"));
        source.pullFails = Optional.of(new SourceException(SourceException.Reason.VERIFICATION_FAILED, "x"));
        PollingLoop loop = loop(polling(Polling.Automatic.INSTALL));
        assertEquals(
                List.of(30L, 60L),
                List.of(loop.round().toSeconds(), loop.round().toSeconds()));
        source.pullFails = Optional.of(new SourceException(SourceException.Reason.BAD_BUNDLE, "x"));
        assertEquals(300, loop.round().toSeconds());
    }

    @Test
    void anEndThatTheDaemonNoticesIsToldAtOnce() throws Exception {
        AgentDevice here = device.open();
        Agent agent = new Agent(source, here);
        source.offers.add(ScriptedSource.target("2.0"));
        agent.pull(ScriptedSource.target("2.0"), bytes -> {});
        agent.install(ScriptedSource.target("2.0"), line -> {});
        device.slot("b", "a", "b", device.txn(), "");
        PollingLoop.Time time = new PollingLoop.RealTime();
        here.finalisation().onEnd(time::wake);
        Polling patient = new Polling(
                Polling.Automatic.CHECK,
                Duration.ofHours(1),
                0,
                Duration.ofHours(1),
                Duration.ofHours(1),
                List.of(),
                false,
                List.of(),
                0);
        java.util.concurrent.CountDownLatch checked = new java.util.concurrent.CountDownLatch(1);
        Thread polling = new Thread(() -> {
            try {
                new PollingLoop(
                                agent,
                                patient,
                                time,
                                new MeteredLink(List.of(), folder),
                                () -> 0.5,
                                new PollingLoop.Listener() {
                                    @Override
                                    public void answered() {
                                        checked.countDown();
                                    }

                                    @Override
                                    public void armed(Result result) {
                                        throw new AssertionError(result);
                                    }
                                },
                                device.eventLog())
                        .run();
            } catch (InterruptedException e) {
                return;
            }
        });
        polling.start();
        assertTrue(checked.await(20, java.util.concurrent.TimeUnit.SECONDS));
        device.slot("b", "b", "", device.txn(), "");
        assertTrue(here.finalisation().settle(here.slots().status()));
        for (int i = 0; i < 2000 && !source.reports.contains("42 Done[]"); i++) {
            Thread.sleep(10);
        }
        polling.interrupt();
        polling.join();
        assertTrue(source.reports.contains("42 Done[]"), source.reports.toString());
    }

    @ParameterizedTest
    @CsvSource({
        "2.0-rc1, 2.0",
        "2.0-rc1, 2.0.0",
        "2.0-rc9, 2.0-rc10",
        "2.0-alpha, 2.0-beta",
        "2.0-rc, 2.0-rc1",
        "1.9, 2.0-rc1",
        "2.0-1, 2.0-rc1",
        "2.0-99999999999999999999, 2.0-100000000000000000000"
    })
    void whatHasASuffixIsOlderThanWhatHasNone(String older, String newer) {
        assertTrue(Version.OLDEST_FIRST.compare(new Version(older), new Version(newer)) < 0);
        assertTrue(Version.OLDEST_FIRST.compare(new Version(newer), new Version(older)) > 0);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "v2.0",
                "",
                ".",
                "1.",
                ".1",
                "1..2",
                "1.2-",
                "-rc1",
                "1:2.0",
                "2.0+5",
                "2.0~rc1",
                "1234567890",
                "1.2.3.4.5.6.7.8.9",
                "x",
                "1.2 ",
                "1.2\n",
                "\u0661.0",
                "1.0-\u00e4",
                "1.0-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
            })
    void whatIsNoVersion(String text) {
        assertFalse(Version.isVersion(text));
        assertTrue(Version.problem(text).contains("is no version"));
    }

    @ParameterizedTest
    @CsvSource({
        "1.9, 1.10, -1",
        "1.0, 1, 0",
        "2.0-rc1, 2.0, 0",
        "10, 9.9.9, 1",
        "1.2.3, 1.2, 1",
        "2.0, 2.0.0, 0",
        "999999999, 1, 1",
        "007, 7, 0",
        "1.2.3.4.5.6.7.8, 1.2.3.4.5.6.7.9, -1"
    })
    void versions(String one, String other, int order) {
        assertEquals(order, Integer.signum(new Version(one).compareTo(new Version(other))));
        assertEquals(-order, Integer.signum(new Version(other).compareTo(new Version(one))));
    }
}
