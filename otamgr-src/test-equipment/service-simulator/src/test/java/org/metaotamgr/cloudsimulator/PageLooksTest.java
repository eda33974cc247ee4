// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.metaotamgr.simulator.HubbyDownload;

/**
 * How the page looks, at three widths, light and dark, with no, three and three hundred devices; pictures are in target/page. They are
 * compared with those in src/test/pictures, which {@code -Dpage.pictures=write} makes anew: look at them before you commit them.
 */
@DisplayName("The looks of the page in a headless Chromium")
class PageLooksTest extends InBrowser {

    private static final List<Integer> WIDTHS = List.of(360, 800, 1400);
    private static final String AXE_VERSION = "4.10.2";
    private static final String AXE_SHA256 = "b511cd9dec01c76f4b2ad1723b66b6db37d4c2eb4ed199076e1829d9ee7b75e3";
    /** Without a blank: it cannot break where a text would. */
    private static final String REASON = "e".repeat(400);
    /** What must be in one line, and what must not stick out of its place. */
    private static final String FAULTS =
            """
            (() => {
              const faults = [];
              if (document.documentElement.scrollWidth > innerWidth) faults.push('scrolls sideways: ' + document.documentElement.scrollWidth);
              const lines = node => {
                const range = document.createRange();
                range.selectNodeContents(node);
                return new Set([...range.getClientRects()].filter(box => box.width > 0).map(box => Math.round(box.top))).size;
              };
              for (const node of document.querySelectorAll('th, td.whole > div, h1, h2, label'))
                if (node.offsetParent && lines(node) > 2) faults.push('broken: ' + node.textContent.trim().slice(0, 40));
              for (const node of document.querySelectorAll('td.whole > div'))
                if (node.offsetParent && node.scrollWidth > node.clientWidth + 1) faults.push('sticks out: ' + node.textContent);
              for (const node of document.querySelectorAll('td, li, p'))
                if (node.offsetParent && node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).display !== 'inline')
                  faults.push('wider than its place: ' + node.textContent.trim().slice(0, 40));
              return faults.join('; ');
            })()""";

    private static final String PLACES =
            "JSON.stringify([...document.querySelectorAll('main *')].filter(node => node.tagName !== 'TIME').map(node => { const box ="
                    + " node.getBoundingClientRect(); return [node.tagName, Math.round(box.left), Math.round(box.width)]; }))";

    private static final Path REFERENCES = Path.of("src/test/pictures");
    /** Of a thousand points of a thumbnail. */
    private static final int MAY_DIFFER = 10;
    /** One font wherever Debian's Chromium is, and no words that depend on the hour. */
    private static final String STEADY =
            """
            (() => {
              const style = document.createElement('style');
              style.id = 'steady';
              style.textContent = '* { font-family: "DejaVu Sans" !important; } time { visibility: hidden; } :focus { outline: none !important; }';
              document.head.append(style);
              scrollTo(0, 0);
            })()""";

    private final ObjectMapper json = new ObjectMapper();
    private OtaServiceSimulator empty;

    @AfterEach
    void stopEmpty() throws Exception {
        if (empty != null) {
            empty.close();
        }
    }

    /** A service with so many devices; of those that there are one has failed with a long reason. */
    private URI serviceOf(int devices) throws Exception {
        if (devices == 0) {
            empty = OtaServiceSimulator.start(Service.settings(folder));
            return empty.uri();
        }
        service = new Service(Service.settings(folder));
        service.simulator.addDevices(
                Service.DEVICE_TYPE,
                IntStream.rangeClosed(4, devices)
                        .mapToObj(number -> String.format("fleet-%05d", number))
                        .toList());
        ObjectNode image = service.image("1.0.7", new byte[200_000]);
        service.push(image, "device-00001");
        service.push(image, "device-00002");
        for (int number = 4; number <= Math.min(devices, 40); number++) {
            service.push(image, String.format("fleet-%05d", number));
        }
        HubbyDownload failing = service.hubby("device-00001");
        failing.download(failing.poll().orElseThrow(), folder.resolve("ota_type_5"));
        failing.report("failed", 40, REASON);
        HubbyDownload slow = service.hubby("device-00002");
        slow.download(slow.poll().orElseThrow(), folder.resolve("ota_type_5b"));
        return service.simulator.uri();
    }

    private void open(URI place, int devices) throws Exception {
        browser.go(URI.create(place + "/"));
        browser.await("document.getElementById('link') && document.getElementById('link').textContent === 'live'");
        int shown = Math.min(devices, 200);
        browser.await("document.querySelectorAll('#devices tbody tr').length === " + shown);
    }

    private void look(int width, String scheme) throws Exception {
        browser.call(
                "Emulation.setDeviceMetricsOverride",
                json.createObjectNode()
                        .put("width", width)
                        .put("height", 900)
                        .put("deviceScaleFactor", 1)
                        .put("mobile", false));
        ObjectNode media = json.createObjectNode();
        media.putArray("features")
                .addObject()
                .put("name", "prefers-color-scheme")
                .put("value", scheme);
        browser.call("Emulation.setEmulatedMedia", media);
        // Two frames: styles and layout are done then.
        browser.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))");
    }

    @ParameterizedTest(name = "{0} devices")
    @ValueSource(ints = {0, 3, 300})
    @DisplayName(
            "nothing breaks, sticks out or scrolls sideways at 360, 800 and 1400 pixels, and dark is laid out as light")
    void layout(int devices) throws Exception {
        open(serviceOf(devices), devices);
        Files.createDirectories(Path.of("target/page"));
        for (int width : WIDTHS) {
            String light = "";
            for (String scheme : List.of("light", "dark")) {
                look(width, scheme);
                browser.screenshot(Path.of("target/page/" + devices + "-" + width + "-" + scheme + ".png"));
                String what = devices + " devices, " + width + " pixels, " + scheme;
                assertEquals("", browser.evaluate(FAULTS).asText(), what);
                String places = browser.evaluate(PLACES).asText();
                if (!light.isEmpty()) {
                    assertEquals(light, places, what);
                }
                light = places;
                compare(devices + "-" + width + "-" + scheme);
            }
        }
        if (devices > 0) {
            look(360, "light");
            browser.evaluate("document.querySelectorAll('details').forEach(node => { node.open = true; })");
            assertEquals("", browser.evaluate(FAULTS).asText(), "everything open at 360 pixels");
            assertTrue(
                    browser.evaluate("document.getElementById('devices').innerText")
                            .asText()
                            .contains(REASON),
                    "the whole reason");
        }
    }

    /** The page as it is now with the reference of that name. */
    private void compare(String name) throws Exception {
        Thumbnail found = thumbnail(name);
        Path reference = REFERENCES.resolve(name + ".png");
        if ("write".equals(System.getProperty("page.pictures"))) {
            found.write(reference);
            return;
        }
        int differences = found.differences(Thumbnail.read(reference));
        assertTrue(
                differences <= MAY_DIFFER,
                () -> "expected the page to look as in " + reference + ", found " + differences
                        + " of 1000 points to be others than there: see target/page/" + name
                        + ".png. If that is meant, run with -Dpage.pictures=write");
    }

    private Thumbnail thumbnail(String name) throws Exception {
        browser.evaluate(STEADY);
        browser.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))");
        Path steady = Path.of("target/page/steady-" + name + ".png");
        browser.screenshot(steady);
        browser.evaluate("document.getElementById('steady').remove()");
        return Thumbnail.of(steady);
    }

    @Test
    @DisplayName("the comparison of pictures sees another colour, a part that is gone and a line that is broken")
    void comparison() throws Exception {
        open(serviceOf(3), 3);
        look(800, "light");
        Files.createDirectories(Path.of("target/page"));
        Thumbnail before = thumbnail("comparison");
        assertEquals(0, thumbnail("comparison").differences(before), "the same page twice");
        for (String change : List.of(
                "document.body.style.background = '#fff0c0'",
                "document.getElementById('devices').style.display = 'none'",
                "document.querySelector('h1').style.width = '60px'")) {
            String kept = browser.evaluate("document.body.style.cssText").asText();
            browser.evaluate(change);
            int differences = thumbnail("comparison").differences(before);
            assertTrue(differences > MAY_DIFFER, change + ": " + differences);
            browser.evaluate(
                    "document.body.style.cssText = '" + kept + "';"
                            + "document.getElementById('devices').style.display = ''; document.querySelector('h1').style.width = ''");
        }
    }

    @ParameterizedTest(name = "{0} devices")
    @ValueSource(ints = {0, 3})
    @DisplayName("axe finds no violation, light and dark, contrast included")
    void axe(int devices) throws Exception {
        Optional<Path> axe = axe();
        assumeTrue(
                axe.isPresent(),
                "axe-core is not here, and npm cannot get it: install the Debian package npm to have the page's accessibility tested");
        open(serviceOf(devices), devices);
        browser.evaluate(Files.readString(axe.orElseThrow(), StandardCharsets.UTF_8) + "; true");
        for (int width : List.of(360, 1400)) {
            for (String scheme : List.of("light", "dark")) {
                look(width, scheme);
                browser.evaluate("document.querySelectorAll('details').forEach(node => { node.open = true; })");
                assertEquals(
                        "",
                        browser.evaluate(
                                        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']}).then(found =>"
                                                + " found.violations.map(one => one.id + ': ' + one.nodes.map(node => node.html + ' '"
                                                + " + node.failureSummary).slice(0, 3).join(' / ')).join('; '))")
                                .asText(),
                        width + " pixels, " + scheme);
            }
        }
    }

    /** axe-core of a known hash, from an earlier run or by npm; never part of the page. */
    private static Optional<Path> axe() throws Exception {
        Path kept = Path.of("target/axe/package/axe.min.js");
        if (!Files.exists(kept)) {
            Files.createDirectories(kept.getParent());
            try {
                Process npm = new ProcessBuilder(
                                "sh",
                                "-c",
                                "cd target/axe && npm pack -s axe-core@" + AXE_VERSION + " && tar xzf axe-core-"
                                        + AXE_VERSION + ".tgz package/axe.min.js")
                        .redirectErrorStream(true)
                        .redirectOutput(Path.of("target/axe/log").toFile())
                        .start();
                if (!npm.waitFor(120, TimeUnit.SECONDS) || npm.exitValue() != 0) {
                    npm.destroyForcibly();
                    return Optional.empty();
                }
            } catch (java.io.IOException e) {
                return Optional.empty();
            }
        }
        assertEquals(
                AXE_SHA256,
                HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(kept))),
                kept.toString());
        return Optional.of(kept);
    }

    @Test
    @DisplayName("filters by state, tells history, roll-outs and when a device was last seen; what is open stays open")
    void content() throws Exception {
        open(serviceOf(300), 300);
        String rollouts = browser.evaluate("document.getElementById('rollouts').innerText")
                .asText();
        assertTrue(rollouts.contains("version 1.0.7") && rollouts.contains("1 failed"), rollouts);
        assertEquals(
                "just now",
                browser.evaluate("document.querySelector('[data-device=device-00001]').cells[6].textContent")
                        .asText());
        browser.evaluate(
                "const choice = document.getElementById('outcome'); choice.value = 'failed'; choice.dispatchEvent(new Event('change'))");
        browser.await("document.querySelectorAll('#devices tbody tr').length === 1");
        browser.await("document.getElementById('shown').textContent === '1 of 300 devices'");
        browser.evaluate(
                "document.querySelector('#devices details').open = true; document.querySelector('#devices summary').focus()");
        service.push(service.image("1.0.8", new byte[1000]), "device-00002");
        browser.await("document.getElementById('rollouts').innerText.includes('1.0.8')");
        assertTrue(
                browser.evaluate("document.querySelector('#devices details').open")
                        .asBoolean(),
                "still open");
        assertEquals(
                "SUMMARY", browser.evaluate("document.activeElement.tagName").asText(), "where the keyboard is");
        browser.evaluate(
                "document.getElementById('filter').value = 'nobody'; document.getElementById('filter').dispatchEvent(new Event('input'))");
        browser.await("!document.getElementById('no-devices').hidden");
        assertTrue(
                browser.evaluate("document.getElementById('no-devices').textContent")
                        .asText()
                        .contains("Clear the field"),
                "what to do");
    }

    @Test
    @DisplayName("an empty service says of each part what to do")
    void nothing() throws Exception {
        open(serviceOf(0), 0);
        String text = browser.evaluate("document.body.innerText").asText();
        for (String words :
                List.of("scripts/ota deploy", "scripts/ota-service --device", "scripts/ota record create")) {
            assertTrue(text.contains(words), words + " in " + text);
        }
    }
}
