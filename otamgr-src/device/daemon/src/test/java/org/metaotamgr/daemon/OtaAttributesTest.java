// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeoutException;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.metaotamgr.wire.AttributeStatus;

class OtaAttributesTest {
    private static final String FACTORY = "/usr/bin/factory";

    @TempDir
    private Path folder;

    private Device device;

    @BeforeEach
    void makeDevice() throws IOException {
        device = new Device(folder.toRealPath(), true, List.of(FACTORY, "--all"), List.of());
    }

    @Test
    void thePrefixIsAnsweredAtOnceWithItsNul() {
        assertArrayEquals(
                (device.folder + "\0").getBytes(StandardCharsets.UTF_8),
                device.attributes.read(51618).orElseThrow());
    }

    @Test
    void otherAttributesAreNotServed() {
        assertEquals(Optional.empty(), device.attributes.read(51612));
        assertEquals(Optional.empty(), device.attributes.read(-1));
    }

    @Test
    void thePrefixCannotBeSet() {
        assertEquals(AttributeStatus.FORBIDDEN, device.attributes.written(51618, new byte[] {'/', 0}));
    }

    @Test
    void hubbyIsAskedForItsStateAfterEachConnect() {
        device.connects();
        assertEquals(1, device.gets.size());
        device.disconnects();
        device.connects();
        assertEquals(2, device.gets.size());
    }

    @Test
    void hubbyIsAskedAgainUntilItHasAnswered() {
        device.started("committed").connects();
        device.gets.remove().completeExceptionally(new TimeoutException("no answer within 5 s"));
        device.pass(4);
        assertEquals(0, device.gets.size());
        device.pass(1);
        device.gets.remove().completeExceptionally(new TimeoutException("no answer within 5 s"));
        device.pass(10);
        device.gets.remove().complete(new byte[] {1});
        device.pass(3600);
        assertEquals(0, device.gets.size());
        assertTrue(device.log.has("hubby_state:value=1,meaning=connected"));
        assertEquals(1, device.log.count("get_hubby_state:error=no answer within 5 s"));
    }

    @Test
    void hubbyIsNotAskedAgainAfterItTold() {
        device.connects();
        device.gets.remove().completeExceptionally(new TimeoutException("no answer within 5 s"));
        device.hubbyState(2);
        device.pass(3600);
        assertEquals(0, device.gets.size());
    }

    @Test
    void aStateThatIsToldAgainAndAgainIsLoggedOnce() {
        device.started("committed").connects();
        for (int i = 0; i < 200; i++) {
            device.hubbyState(1);
        }
        device.hubbyState(2);
        device.hubbyState(1);
        assertEquals(2, device.log.count("hubby_state:value=1"));
        assertEquals(1, device.log.count("hubby_state:value=2"));
    }

    @Test
    void anAnswerIsOlderThanANotificationThatOvertookIt() {
        device.started("trial").connects();
        device.hubbyState(2);
        device.gets.remove().complete(new byte[] {1});
        device.loop.settle();
        assertEquals(0, device.programs.all(Device.OTA_SLOT, "commit").size());
    }

    @Test
    void anAnswerOfAnEarlierConnectionDoesNotCount() {
        device.started("trial").connects();
        CompletableFuture<byte[]> late = device.gets.remove();
        device.disconnects();
        device.connects();
        late.complete(new byte[] {1});
        device.loop.settle();
        assertEquals(0, device.programs.all(Device.OTA_SLOT, "commit").size());
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 2, 4})
    void aStateOfTheWrongLengthCountsAsUnknown(int length) {
        device.started("trial").connects();
        byte[] value = new byte[length];
        Arrays.fill(value, (byte) 1);
        device.notifies(51611, value);
        assertTrue(device.log.has("on_get_hubby_state_len:length=" + length));
        assertEquals(0, device.programs.all(Device.OTA_SLOT, "commit").size());
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 2, 4, 10, 255})
    void commandsForOthersAreIgnored(int command) {
        device.started("committed").commands(command);
        device.pass(60);
        assertEquals(0, device.reboots());
        assertTrue(device.log.has(
                "on_hubby_command_ignore:command=" + String.format("%02x", command) + ":command was ignored"));
    }

    @Test
    void anEmptyCommandDoesNothing() {
        device.started("committed").notifies(65012, new byte[0]);
        device.pass(60);
        assertEquals(0, device.reboots());
        assertTrue(device.log.has("command_attribute_bad_size:length=0"));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 3, 5})
    void aCommandOfTheWrongLengthIsWarnedAboutAndCarriedOut(int length) {
        byte[] value = new byte[length];
        value[0] = 1;
        device.started("committed").notifies(65012, value);
        assertTrue(device.log.has("command_attribute_bad_size:length=" + length));
        device.pass(5);
        assertEquals(1, device.reboots());
    }

    @Test
    void theFactoryTestProgramIsRunOnceAtATime() {
        device.started("committed").commands(3);
        assertEquals(List.of(FACTORY, "--all"), device.programs.running(FACTORY).command);
        device.commands(3);
        assertEquals(1, device.programs.all(FACTORY).size());
        device.pass(24 * 3600);
        device.programs.running(FACTORY).ends(2);
        assertTrue(device.log.has("factory_test_ended:exit=2"));
        device.commands(3);
        assertEquals(2, device.programs.all(FACTORY).size());
    }

    @Test
    void withoutAFactoryTestProgramTheCommandIsIgnored() throws IOException {
        device = new Device(folder.toRealPath()).started("committed");
        device.commands(3);
        assertTrue(device.log.has("on_hubby_command_ignore:command=03:no factory test program is configured"));
    }

    @Test
    void aMissingFactoryTestProgramIsLogged() {
        device.programs.isMissing(FACTORY);
        device.started("committed").commands(3);
        assertEquals(1, device.log.count("factory_test_failed:error="));
    }

    @Test
    void anOfferThatWasMadeInAGapIsSeen() {
        device.has("a", "header a").started("committed").connects();
        assertEquals(1, device.pathGets.size());
        device.pathGets.remove().complete(new byte[0]);
        device.loop.settle();
        assertEquals(List.of(), device.images());
        device.disconnects();
        device.connects();
        device.pathGets.remove().complete((device.path("a") + "\0").getBytes(StandardCharsets.UTF_8));
        device.loop.settle();
        assertEquals(List.of("a.img"), device.images());
        device.sysupgradeFails(14);
        // It is what was heard of already, so it is no new offer.
        device.disconnects();
        device.connects();
        device.pathGets.remove().complete((device.path("a") + "\0").getBytes(StandardCharsets.UTF_8));
        device.loop.settle();
        assertEquals(List.of("a.img"), device.images());
    }

    @Test
    void anOfferThatIsAskedForIsOlderThanANotificationThatOvertookIt() {
        device.has("a", "header a").has("b", "header b").started("committed").connects();
        device.offers("b");
        device.pathGets.remove().complete((device.path("a") + "\0").getBytes(StandardCharsets.UTF_8));
        device.loop.settle();
        assertEquals(List.of("b.img"), device.images());
    }

    @Test
    void whatIsOfferedIsAskedForAgainOnlyWhileNobodyAnswers() {
        device.started("committed").connects();
        device.pathGets.remove().completeExceptionally(new TimeoutException("no answer within 5 s"));
        device.pass(5);
        device.pathGets.remove().complete(new byte[1]);
        device.pass(3600);
        assertEquals(0, device.pathGets.size());
    }

    @Test
    void afterNotificationsWereRefusedBothAreAskedForAgain() {
        device.started("committed").connects();
        device.gets.clear();
        device.pathGets.clear();
        device.attributes.missed();
        device.loop.settle();
        assertEquals(1, device.gets.size());
        assertEquals(1, device.pathGets.size());
    }

    @Test
    void howeverMuchIsToldWhileAnUpdateRunsOneOfferWaits() {
        device.has("a", "header a").has("b", "header b").started("committed").offers("a");
        for (int i = 0; i < 1_000; i++) {
            device.attributes.notified(51612, new byte[65_534]);
            device.attributes.notified(65012, new byte[65_534]);
            device.attributes.notified(51611, new byte[65_534]);
            device.attributes.notified(100 + i, new byte[65_534]);
        }
        device.offers("b");
        device.sysupgradeFails(13);
        assertEquals(List.of("a.img", "b.img"), device.images());
    }

    @Test
    void anUnknownNotificationIsLogged() {
        device.notifies(51613, new byte[] {1});
        assertTrue(device.log.has("notification_unknown:attributeId=51613"));
    }
}
