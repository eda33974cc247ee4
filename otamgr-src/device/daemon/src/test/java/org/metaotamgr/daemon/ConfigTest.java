// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.metaotamgr.agent.AgentConfig;
import org.metaotamgr.agent.Callbacks;
import org.metaotamgr.agent.ConfigFiles;
import org.metaotamgr.agent.Fetching;
import org.metaotamgr.agent.Polling;
import org.metaotamgr.agent.RetryPolicy;
import org.metaotamgr.agent.RootHelper;
import org.metaotamgr.agent.Window;
import org.metaotamgr.device.ConfigException;

class ConfigTest {
    @TempDir
    private Path folder;

    private final List<String> warnings = new ArrayList<>();

    private OtamgrConfig read(String json) throws ConfigException {
        ConfigFiles files = new ConfigFiles("otamgr.json", warnings::add);
        files.add("otamgr.json", json.getBytes(StandardCharsets.UTF_8));
        return OtamgrConfig.of(files.read());
    }

    private String error(String json) {
        return assertThrows(ConfigException.class, () -> read(json)).getMessage();
    }

    @Test
    void everyKeyHasADefault() throws ConfigException {
        assertEquals(OtamgrConfig.defaults(), read("{}"));
        assertEquals(List.of(), warnings);
    }

    @Test
    void theFileThatIsInstalledHoldsTheDefaults() throws Exception {
        Path installed = Path.of("../../../recipes-ota/otamgr/files/otamgr.json");
        assertEquals(OtamgrConfig.defaults(), OtamgrConfig.of(ConfigFiles.read(installed, warnings::add)));
        assertEquals(List.of(), warnings);
    }

    @Test
    void everyKeyCanBeSet() throws ConfigException {
        OtamgrConfig config = read(
                """
                {"attrdSocket": "/run/a", "updatePathPrefix": "/data/ota", "allowedPrefixes": ["/tmp", "/data"],
                 "sysupgrade": ["/bin/su", "-v"], "otaSlot": ["/bin/slot"], "reboot": ["/bin/rb", "-f"],
                 "rebootDelaySeconds": 0, "factoryTest": ["/bin/ft"], "pushLogs": ["/usr/bin/logpush"],
                 "rebootReason": "/data/why", "commit": {"requireHubbyConnected": false, "hubbyStableSeconds": 9,
                 "healthDirectory": "/opt/health",
                 "checkTimeoutSeconds": 7, "deadlineSeconds": 100},
                 "retry": {"directory": "/data/memory", "attempts": 5, "backoffSeconds": 60},
                 "attributes": true, "control": "/run/c", "rootHelper": {"ask": ["/bin/ask", "x"], "socket": "/run/h"}, "storage": "/data/agent", "otaVerify": ["/bin/verify"],
                 "callback": {"program": ["/bin/handler", "-x"], "timeoutSeconds": 9, "vetoExitStatus": 75,
                 "vetoSeconds": 30, "reasons": false},
                 "polling": {"automatic": "pull", "intervalSeconds": 60, "jitterPercent": 5, "backoffSeconds": 2,
                 "longestBackoffSeconds": 4, "windows": ["02:00-04:00"], "windowForPull": true,
                 "meteredInterfaces": ["wwan"], "meteredMegabytes": 3, "streaming": "always",
                 "downloadKilobytesPerSecond": 200}}""");
        AgentConfig agent = config.agent();
        assertEquals(Path.of("/data/agent"), agent.storage());
        assertEquals(List.of("/bin/verify"), agent.otaVerify());
        assertEquals(
                new Callbacks.Config(
                        List.of("/bin/handler", "-x"),
                        Duration.ofSeconds(9),
                        OptionalInt.of(75),
                        Duration.ofSeconds(30),
                        false),
                agent.callbacks());
        assertEquals(
                new Polling(
                        Polling.Automatic.PULL,
                        Duration.ofSeconds(60),
                        5,
                        Duration.ofSeconds(2),
                        Duration.ofSeconds(4),
                        List.of(Window.parse("02:00-04:00").orElseThrow()),
                        true,
                        List.of("wwan"),
                        3_000_000),
                agent.polling());
        assertEquals(new Fetching(Fetching.Streaming.ALWAYS, 200_000), agent.fetching());
        assertEquals(
                new OtamgrConfig(
                        Path.of("/run/a"),
                        "/data/ota",
                        List.of("/tmp", "/data"),
                        List.of("/bin/su", "-v"),
                        List.of("/bin/slot"),
                        List.of("/bin/rb", "-f"),
                        Duration.ZERO,
                        List.of("/bin/ft"),
                        List.of("/usr/bin/logpush"),
                        Path.of("/data/why"),
                        new OtamgrConfig.Commit(
                                false,
                                Duration.ofSeconds(9),
                                Path.of("/opt/health"),
                                Duration.ofSeconds(7),
                                Duration.ofSeconds(100),
                                true,
                                false),
                        new RetryPolicy(Path.of("/data/memory"), 5, Duration.ofSeconds(60)),
                        true,
                        Path.of("/run/c"),
                        Optional.of(new RootHelper(List.of("/bin/ask", "x"), Path.of("/run/h"))),
                        agent),
                config);
        assertEquals(List.of(), warnings);
    }

    @Test
    void whereTheDaemonIsNotRootSomebodyElseIsAskedUnlessProgramsAreNamed() throws ConfigException {
        OtamgrConfig config = read("{\"rootHelper\": {}, \"reboot\": [\"/bin/own\"]}");
        String helper = "/usr/lib/otamgr/otamgr-root";
        assertEquals(List.of(helper, "ask", "sysupgrade"), config.sysupgrade());
        assertEquals(List.of(helper, "ask", "ota-slot"), config.otaSlot());
        assertEquals(List.of("/bin/own"), config.reboot());
        assertEquals(
                Path.of("/run/otamgr-root"), config.rootHelper().orElseThrow().socket());
        assertEquals(
                List.of(helper, "ask", "reboot"), read("{\"rootHelper\": {}}").reboot());
        assertEquals(Optional.empty(), OtamgrConfig.defaults().rootHelper());
        assertThrows(ConfigException.class, () -> read("{\"rootHelper\": true}"));
        assertThrows(ConfigException.class, () -> read("{\"rootHelper\": {\"ask\": []}}"));
    }

    @Test
    void theUpdatePathPrefixIsAllowedUnlessSomethingElseIsSaid() throws ConfigException {
        assertEquals(
                List.of("/data/ota"),
                read("{\"updatePathPrefix\":\"/data/ota\"}").allowedPrefixes());
    }

    @Test
    void filesInConfDReplaceKeyByKeyInTheOrderOfTheirNames() throws Exception {
        Files.writeString(
                folder.resolve("otamgr.json"), "{\"rebootDelaySeconds\": 1, \"commit\": {\"deadlineSeconds\": 2}}");
        Files.createDirectory(folder.resolve("conf.d"));
        Files.writeString(folder.resolve("conf.d/20-b.json"), "{\"commit\": {\"checkTimeoutSeconds\": 4}}");
        Files.writeString(folder.resolve("conf.d/10-a.json"), "{\"commit\": {\"checkTimeoutSeconds\": 3}}");
        Files.writeString(folder.resolve("conf.d/other.txt"), "not JSON");
        OtamgrConfig config = OtamgrConfig.of(ConfigFiles.read(folder.resolve("otamgr.json"), warnings::add));
        assertEquals(
                List.of(1L, 2L, 4L),
                List.of(
                        config.rebootDelay().toSeconds(),
                        config.commit().deadline().toSeconds(),
                        config.commit().checkTimeout().toSeconds()));
        Files.writeString(folder.resolve("conf.d/30-c.json"), "[]");
        assertEquals(
                folder.resolve("conf.d/30-c.json") + ": expected a JSON object, found an empty list",
                assertThrows(
                                ConfigException.class,
                                () -> OtamgrConfig.of(ConfigFiles.read(folder.resolve("otamgr.json"), warnings::add)))
                        .getMessage());
    }

    @Test
    void anotherSourceThanHubbyNeedsNoAttributeDaemonButAnAnswer() throws ConfigException {
        OtamgrConfig config = read("{\"source\": {\"type\": \"bundle\"}}");
        assertFalse(config.attributes());
        assertFalse(config.commit().requireAttributes());
        assertFalse(config.commit().requireHubbyConnected());
        assertTrue(config.commit().requireSource());
        assertTrue(read("{\"source\": {\"type\": \"bundle\"}, \"attributes\": true}")
                .commit()
                .requireHubbyConnected());
        assertEquals(
                "otamgr.json: commit.requireHubbyConnected: expected false, because nothing is known of hubby with "
                        + "\"attributes\": false, found true; correct it, or remove the key to use the default",
                error("{\"attributes\": false, \"commit\": {\"requireHubbyConnected\": true}}"));
    }

    @Test
    void anUnknownKeyIsOnlyWarnedAbout() throws ConfigException {
        read("{\"rebootDelay\":3,\"commit\":{\"deadline\":1},\"retry\":{\"attempt\":1}}");
        assertEquals(
                List.of(
                        "otamgr.json: the key \"rebootDelay\" is unknown and ignored",
                        "otamgr.json: the key \"commit.deadline\" is unknown and ignored",
                        "otamgr.json: the key \"retry.attempt\" is unknown and ignored"),
                warnings);
    }

    // Which column is Jackson's affair: for a word 2.22 names its first character, 2.18, which devices have, the one
    // after it.
    @ParameterizedTest
    @CsvSource(
            quoteCharacter = '`',
            delimiter = '|',
            value = {
                "{`a`:1 | line 1, column",
                "nonsense | line 1, column",
                "{} {} | line 1, column",
            })
    void whatIsNotJsonIsRefusedWithItsPlace(String json, String expected) {
        String error = error(json);
        assertTrue(error.startsWith("otamgr.json: expected JSON, found: ") && error.contains(expected), error);
    }

    @ParameterizedTest
    @CsvSource(
            quoteCharacter = '`',
            delimiter = '|',
            value = {
                "[] | expected a JSON object, found an empty list",
                "`` | expected a JSON object, found nothing",
                "{\"rebootDelaySeconds\":\"5\"} | rebootDelaySeconds: expected a whole number of seconds from 0 to 3600, found the string \"5\"",
                "{\"rebootDelaySeconds\":-1} | found the number -1",
                "{\"rebootDelaySeconds\":3601} | found the number 3601",
                "{\"rebootDelaySeconds\":4294967296} | found the number 4294967296",
                "{\"rebootDelaySeconds\":1.5} | found the number 1.5",
                "{\"attrdSocket\":5} | attrdSocket: expected an absolute path, found the number 5",
                "{\"attrdSocket\":\"IPC\"} | attrdSocket: expected an absolute path, found the string \"IPC\"",
                "{\"attrdSocket\":\"/run/\\u0000\"} | attrdSocket: expected a path without NUL",
                "{\"attrdSocket\":null} | attrdSocket: expected an absolute path, found null",
                "{\"rebootReason\":[]} | rebootReason: expected an absolute path, found an empty list",
                "{\"updatePathPrefix\":\"/tmp/\"} | updatePathPrefix: expected an absolute path without . or .. or empty parts",
                "{\"updatePathPrefix\":\"/tmp/../etc\"} | updatePathPrefix: expected",
                "{\"updatePathPrefix\":\"/\"} | updatePathPrefix: expected",
                "{\"allowedPrefixes\":[]} | allowedPrefixes: expected a list of at least one absolute path, found an empty list",
                "{\"allowedPrefixes\":\"/tmp\"} | allowedPrefixes: expected a list of at least one absolute path, found the string",
                "{\"allowedPrefixes\":[\"/tmp\",7]} | allowedPrefixes[1]: expected an absolute path, found the number 7",
                "{\"allowedPrefixes\":[\"/data\"]} | allowedPrefixes: expected a list which covers updatePathPrefix \"/tmp\"",
                "{\"allowedPrefixes\":[\"/tm\"]} | allowedPrefixes: expected a list which covers updatePathPrefix \"/tmp\"",
                "{\"sysupgrade\":\"/sbin/sysupgrade\"} | sysupgrade: expected a list of strings, a program and its arguments, found the string",
                "{\"sysupgrade\":[]} | sysupgrade: expected a list of at least one string",
                "{\"reboot\":[\"reboot\"]} | reboot[0]: expected the absolute path of a program, found the string \"reboot\"",
                "{\"otaSlot\":[\"/sbin/ota-slot\",1]} | otaSlot[1]: expected a string without NUL, found the number 1",
                "{\"pushLogs\":{}} | pushLogs: expected a list of strings, a program and its arguments, found an object",
                "{\"factoryTest\":[\"\"]} | factoryTest[0]: expected the absolute path of a program",
                "{\"commit\":true} | commit: expected an object, found true",
                "{\"commit\":{\"requireHubbyConnected\":1}} | commit.requireHubbyConnected: expected true or false, found the number 1",
                "{\"commit\":{\"healthDirectory\":\"health.d\"}} | commit.healthDirectory: expected an absolute path, found the string",
                "{\"commit\":{\"checkTimeoutSeconds\":0}} | commit.checkTimeoutSeconds: expected a whole number of seconds from 1 to 3600, found the number 0",
                "{\"commit\":{\"deadlineSeconds\":-1}} | commit.deadlineSeconds: expected a whole number of seconds from 0 to 2147483647, found the number -1",
                "{\"retry\":[]} | retry: expected an object, found an empty list",
                "{\"retry\":{\"directory\":1}} | retry.directory: expected an absolute path, found the number 1",
                "{\"retry\":{\"attempts\":0}} | retry.attempts: expected a whole number from 1 to 100, found the number 0",
                "{\"retry\":{\"attempts\":\"3\"}} | retry.attempts: expected a whole number from 1 to 100, found the string \"3\"",
                "{\"retry\":{\"backoffSeconds\":86401}} | retry.backoffSeconds: expected a whole number of seconds from 0 to 86400, found",
            })
    void aWrongValueIsRefusedWithKeyExpectationAndFinding(String json, String expected) {
        String error = error(json);
        assertTrue(error.startsWith("otamgr.json: ") && error.contains(expected), error);
    }

    @Test
    void aKeyThatIsGivenTwiceIsRefused() {
        String error = error("{\"updatePathPrefix\":\"/tmp\",\"updatePathPrefix\":\"/data\"}");
        assertTrue(
                error.contains("Duplicate field 'updatePathPrefix'")
                        || error.contains("Duplicate Object property \"updatePathPrefix\""),
                error);
    }

    @Test
    void aSocketPathThatDoesNotFitIsRefused() throws ConfigException {
        String longest = "/" + "s".repeat(106);
        assertEquals(
                longest,
                read("{\"attrdSocket\":\"" + longest + "\"}").attrdSocket().toString());
        assertTrue(error("{\"attrdSocket\":\"" + longest + "s\"}").contains("at most 107 bytes"));
    }

    @Test
    void aMissingFileIsAnError() {
        Path file = folder.resolve("none.json");
        String error = assertThrows(ConfigException.class, () -> OtamgrConfig.of(ConfigFiles.read(file, warnings::add)))
                .getMessage();
        assertTrue(error.startsWith(file + ": cannot be read"), error);
    }

    @Test
    void aHugeFileIsAnError() throws Exception {
        Path file = folder.resolve("huge.json");
        Files.writeString(file, " ".repeat(65537));
        String error = assertThrows(ConfigException.class, () -> OtamgrConfig.of(ConfigFiles.read(file, warnings::add)))
                .getMessage();
        assertEquals(file + ": expected at most 65536 bytes, found more", error);
    }
}
